"""Draw the contrast grid, photos against comparison strengths, and the strip, one photo at many strengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finerkit.base.wording import short
from finerkit.evidence.contrast import DEFAULT_STRENGTH
from finerkit.output.figures.colours import colours
from finerkit.output.figures.page import per_line
from finerkit.output.figures.panels import contrast_panels
from finerkit.output.figures.paper import PaperFigure
from finerkit.output.figures.tiles import Tile, print_tiles, screen_tiles

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr

    from finerkit.output.figures.panels import Grid, Row

_ON_SCREEN = 6  # tiles of a strip to a line
_LEAST = 25.0  # millimetres of a strip's tile in print
_STRENGTHS = (0.0, 0.3, 0.6, 1.0, 1.5)


def contrast_grid(
    pair: xr.Dataset,
    strengths: float | Iterable[float] = (0.0, DEFAULT_STRENGTH, 1.0),
    images: int | str | Iterable[str] = 4,
    *,
    objective: str | None = None,
    references: Iterable[str] | None = None,
    relu: bool = True,
    scale: str = "shared",
    cmap: str | None = None,
    opacity: float = 0.75,
    pixels: int = 480,
) -> PaperFigure:
    """Draw photos against comparison strengths, the contrast laid over each photo where it belongs.

    Parameters
    ----------
    pair
        A comparison, from `finerkit.compare`.
    strengths
        Comparison strengths, one column each, in rising order.
    images
        Ids of photos, one row each; or how many, evenly spread from the largest margin to the smallest.
    objective, references, relu
        See `finerkit.contrast`.
    scale
        "shared": one colour scale in logits, so that panels compare; "image" and "panel": relative to the largest
        value of the photo or of the panel (each panel's title says its maximum in logits).
    cmap
        Perceptual colour map: one of `finerkit.figures.SEQUENTIAL`, or with ``relu=False`` of `DIVERGING`.
    opacity
        Of strong cells; cells without evidence are transparent.
    pixels
        Longest side of the photos inside the figure.

    Returns
    -------
    PaperFigure
        A plotly figure; ``.save("figure.pdf")`` writes PNG, SVG or PDF offline; ``.caption`` says what was computed.
    """
    grid = contrast_panels(
        pair, strengths, images, objective=objective, references=references, relu=relu, scale=scale, pixels=pixels
    )
    rgba = colours(cmap, not relu, opacity)
    lines = [_tiles(grid, row, headed=i == 0) for i, row in enumerate(grid.rows)]
    return PaperFigure(
        screen_tiles(grid, lines, rgba), content=grid, paper=lambda width: print_tiles(grid, lines, rgba, width)
    )


def strength_strip(
    pair: xr.Dataset,
    image: str | None = None,
    strengths: Iterable[float] = _STRENGTHS,
    *,
    objective: str | None = None,
    references: Iterable[str] | None = None,
    relu: bool = True,
    scale: str = "shared",
    cmap: str | None = None,
    opacity: float = 0.75,
    pixels: int = 640,
) -> PaperFigure:
    """Draw one photo at many comparison strengths, side by side.

    Each panel says the largest value of its map before scaling, in logits: a map that is only noise looks as strong as
    any once it is scaled to its own maximum.

    Parameters
    ----------
    pair
        A comparison, from `finerkit.compare`.
    image
        Id of the photo. Default: the one with the largest margin.
    strengths
        Comparison strengths, one panel each, in rising order.
    objective, references, relu
        See `finerkit.contrast`.
    scale
        "shared": one colour scale in logits for the whole strip; "panel": each panel relative to its own maximum.
    cmap, opacity
        See `finerkit.figures.contrast_grid`.
    pixels
        Longest side of the photo inside the figure.

    Returns
    -------
    PaperFigure
        A plotly figure; ``.save("strip.pdf", width_mm=89)`` writes PNG, SVG, PDF or HTML offline; ``.caption`` says
        what was computed.
    """
    if image is not None and not isinstance(image, str):
        raise TypeError(
            f"image is the id of one photo, a str, or None. Got {image!r} instead; for several photos use "
            "fk.figures.contrast_grid(pair, strengths, images)."
        )
    grid = contrast_panels(
        pair, strengths, 1 if image is None else image,
        objective=objective, references=references, relu=relu, scale=scale, pixels=pixels,
    )  # fmt: skip
    rgba, tiles = colours(cmap, not relu, opacity), _tiles(grid, grid.rows[0], headed=True)
    count = len(tiles)
    return PaperFigure(
        screen_tiles(grid, _split(tiles, per_line(count, _ON_SCREEN, 1)), rgba),
        content=grid,
        paper=lambda width: print_tiles(grid, _split(tiles, per_line(count, width, _LEAST)), rgba, width),
    )


def _tiles(grid: Grid, row: Row, *, headed: bool) -> list[Tile]:
    """A photo and its maps, with their strengths above if wanted."""
    heads = [f"strength {s:g}\n" if headed else "" for s in grid.strengths]
    maps = [Tile(row, j, f"{head}max {short(row.values[j].max())}") for j, head in enumerate(heads)]
    return [Tile(row, None, "photo" if headed else ""), *maps]


def _split(tiles: list[Tile], columns: int) -> list[list[Tile]]:
    """Lines of a strip, read like text."""
    return [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
