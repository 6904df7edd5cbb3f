"""Lay out the panels of a grid as lines of tiles, each a photo with or without a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from finerkit.figures.panels import Grid, Panel, Row

#: Taller photos are drawn narrower than their column.
TALLEST = 1.35


class Tile(NamedTuple):
    """A photo, the map over it if there is one, and the words above (plain text)."""

    row: Row
    panel: Panel | None
    words: str


def grid_lines(grid: Grid) -> list[list[Tile]]:
    """Photos against strengths: a line per photo; the first line says the strengths."""
    lines = []
    for i, row in enumerate(grid.rows):
        heads = grid.columns if i == 0 else [""] * len(grid.columns)
        words = ["", *(p.title for p in row.panels)]
        tiles = zip((None, *row.panels), heads, words, strict=True)
        lines.append([Tile(row, panel, f"{head}\n{word}".strip()) for panel, head, word in tiles])
    return lines


def strip_lines(grid: Grid, columns: int) -> list[list[Tile]]:
    """One photo at many strengths: read like text, `columns` tiles to a line, every tile with its strength."""
    row = grid.rows[0]
    tiles = [Tile(row, None, grid.columns[0])]
    tiles += [Tile(row, p, f"{head}\n{p.title}") for p, head in zip(row.panels, grid.columns[1:], strict=True)]
    return [tiles[i : i + columns] for i in range(0, len(tiles), columns)]


def shape(tiles: list[Tile]) -> float:
    """Height of a line's photos, in widths of a column."""
    return min(TALLEST, max(t.row.height / t.row.width for t in tiles))
