"""Draw the contrast grid: photos against comparison strengths."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from finerkit.evidence import DEFAULT_STRENGTH
from finerkit.figures.colours import colours
from finerkit.figures.grid_print import print_grid
from finerkit.figures.grid_screen import screen_tiles
from finerkit.figures.panels import contrast_panels
from finerkit.figures.paper import PaperFigure
from finerkit.figures.tiles import grid_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr


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
    rgba = colours(cmap, grid.signed, opacity)
    return PaperFigure(screen_tiles(grid, grid_lines(grid), rgba), content=grid, paper=partial(print_grid, grid, rgba))
