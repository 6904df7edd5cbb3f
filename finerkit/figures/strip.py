"""Draw the strength strip: one photo at many strengths, side by side."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from finerkit.figures.colours import colours
from finerkit.figures.grid_print import print_strip
from finerkit.figures.grid_screen import screen_tiles
from finerkit.figures.panels import contrast_panels
from finerkit.figures.paper import PaperFigure
from finerkit.figures.tiles import strip_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr

_ON_SCREEN = 6  # tiles to a line
_STRENGTHS = (0.0, 0.3, 0.6, 1.0, 1.5)


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
    strengths = np.atleast_1d(np.asarray(strengths if np.isscalar(strengths) else list(strengths), np.float64))
    grid = contrast_panels(
        pair, strengths, 1 if image is None else image,
        objective=objective, references=references, relu=relu, scale=scale, pixels=pixels,
    )  # fmt: skip
    rgba = colours(cmap, grid.signed, opacity)
    lines = strip_lines(grid, -(-len(grid.columns) // -(-len(grid.columns) // _ON_SCREEN)))
    return PaperFigure(screen_tiles(grid, lines, rgba), content=grid, paper=partial(print_strip, grid, rgba))
