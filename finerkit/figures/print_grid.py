"""The contrast grid on paper: what it shows enters; a PNG, SVG, PDF or HTML file leaves. Needs no browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from finerkit.figures.colours import for_matplotlib

if TYPE_CHECKING:
    import os

    import plotly.graph_objects as go
    from matplotlib.axes import Axes

    from finerkit.figures.panels import Grid, Panel, Row

_ENDINGS = (".png", ".svg", ".pdf", ".html")
_MM_PER_INCH = 25.4


def save_grid(
    figure: go.Figure, grid: Grid, rgba: np.ndarray, path: str | os.PathLike[str], width_mm: float, dpi: int
) -> Path:
    """Write a grid to a file; see `finerkit.figures.ContrastFigure.save`."""
    path = Path(path)
    if path.suffix.lower() not in _ENDINGS:
        raise ValueError(f"The file must end in {', '.join(_ENDINGS)}. Got {path.name!r} instead.")
    if not width_mm > 0:
        raise ValueError(f"width_mm must be in the range (0, inf). Got {width_mm!r} instead.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".html":
        figure.write_html(path, include_plotlyjs=True)  # plotly itself inside, so that it opens offline
        return path
    # Text stays text in PDF (fonts embedded as TrueType) and becomes outlines in SVG, so it looks the same everywhere.
    with mpl.rc_context({"pdf.fonttype": 42, "svg.fonttype": "path", "font.size": 7, "font.family": "DejaVu Sans"}):
        _draw(grid, rgba, width_mm / _MM_PER_INCH).savefig(path, dpi=dpi)
    return path


def _draw(grid: Grid, rgba: np.ndarray, width: float) -> Figure:
    columns = len(grid.columns)
    panel = (width - 0.9) / columns
    heights = [panel * min(1.6, row.height / row.width) for row in grid.rows]
    drawn = Figure(figsize=(width, sum(heights) + 0.22 * len(heights) + 0.75), layout="constrained")
    drawn.suptitle(grid.title, fontsize=9, parse_math=False)
    axes = drawn.subplots(len(grid.rows), columns, squeeze=False, height_ratios=heights)
    cmap = for_matplotlib(rgba)
    for i, row in enumerate(grid.rows):
        for j, ax in enumerate(axes[i]):
            head = grid.columns[j] if i == 0 else ""
            _photo(ax, row)
            if j:
                _overlay(ax, row, row.panels[j - 1], cmap, grid.signed)
                head = f"{head}\n{row.panels[j - 1].title}".strip()
            ax.set_title(head, fontsize=7, pad=2, parse_math=False)
    scale = ScalarMappable(Normalize(*grid.limits), cmap)
    bar = drawn.colorbar(scale, ax=axes, shrink=0.6 if len(grid.rows) > 1 else 0.9, aspect=25, pad=0.01)
    bar.set_label(grid.legend, fontsize=7, parse_math=False)
    bar.solids.set_rasterized(True)  # vector cells with see-through colours would show seams
    return drawn


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
