"""Draw tiles on paper, with matplotlib, laid out in millimetres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finerkit.figures.colours import for_matplotlib
from finerkit.figures.page import BAR_HEIGHT, Heading, Page, fitting_size, line_height, per_line
from finerkit.figures.tiles import grid_lines, shape, strip_lines

if TYPE_CHECKING:
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from finerkit.figures.panels import Grid, Panel, Row
    from finerkit.figures.tiles import Tile

_GAP, _LEAST = 1.2, 24.0  # millimetres


def print_grid(grid: Grid, rgba: np.ndarray, width: float) -> Figure:
    """Draw photos against strengths, `width` millimetres wide."""
    return _print_tiles(grid, grid_lines(grid), rgba, width)


def print_strip(grid: Grid, rgba: np.ndarray, width: float) -> Figure:
    """Draw one photo at many strengths, `width` millimetres wide, in as many lines as legible panels need."""
    columns = per_line(len(grid.columns), width, _LEAST, _GAP)
    return _print_tiles(grid, strip_lines(grid, columns), rgba, width)


def _print_tiles(grid: Grid, lines: list[list[Tile]], rgba: np.ndarray, width: float) -> Figure:
    column = (width - (len(lines[0]) - 1) * _GAP) / len(lines[0])
    size = fitting_size([t.words for line in lines for t in line], column, 7.0)
    spaces = [line_height(size) * (1 + max(t.words.count("\n") for t in line)) + 0.6 for line in lines]
    heights = [column * shape(line) for line in lines]
    title = Heading(grid.title, width)
    page = Page(width, title.height + sum(spaces) + sum(heights) + _GAP * len(lines) + BAR_HEIGHT + 2)
    title.draw(page)
    top, cmap = title.height, for_matplotlib(rgba)
    for line, space, height in zip(lines, spaces, heights, strict=True):
        top += space
        for j, tile in enumerate(line):
            left = j * (column + _GAP)
            page.text(left + column / 2, top - 0.5, tile.words, size, ha="center", va="bottom")
            ax = page.axes(left, top, column, height)
            _photo(ax, tile.row)
            if tile.panel is not None:
                _overlay(ax, tile.row, tile.panel, cmap, grid.signed)
        top += height + _GAP
    page.colour_bar(top + 1.2, grid.limits, cmap, grid.legend)
    return page.figure


def _photo(ax: Axes, row: Row) -> None:
    ax.imshow(np.asarray(row.photo), extent=(0, row.width, row.height, 0), interpolation="lanczos")
    ax.set_axis_off()


def _overlay(ax: Axes, row: Row, panel: Panel, cmap: mpl.colors.Colormap, signed: bool) -> None:
    height, width = panel.values.shape
    right, bottom = row.left + width * row.cell_width, row.top + height * row.cell_height
    top = panel.top or 1.0
    ax.imshow(
        panel.values, extent=(row.left, right, bottom, row.top), cmap=cmap, vmin=-top if signed else 0, vmax=top,
        interpolation="bilinear",
    )  # fmt: skip
    ax.set_xlim(0, row.width)
    ax.set_ylim(row.height, 0)
