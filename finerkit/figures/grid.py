"""The contrast grid: a comparison enters; a plotly figure that can also be saved for print leaves."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from finerkit.evidence import DEFAULT_STRENGTH
from finerkit.figures.colours import colours, for_plotly
from finerkit.figures.panels import Grid, Row, contrast_panels
from finerkit.figures.print_grid import save_grid

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

    import xarray as xr
    from PIL import Image

_PANEL_WIDTH, _GAP = 240, 26  # screen pixels


class ContrastFigure(go.Figure):
    """A plotly figure that knows what it shows, so that it can be saved for print without a browser or a network."""

    def __init__(self, *args: Any, grid: Grid | None = None, rgba: np.ndarray | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._grid, self._rgba = grid, rgba

    @property
    def caption(self) -> str:
        """What was computed, in words, for the figure's legend in a paper."""
        return self._grid.caption

    def save(self, path: str | os.PathLike[str], width_mm: float = 180, dpi: int = 300) -> Path:
        """Save the grid for print; works offline.

        Drawn anew from the same numbers; later changes to the plotly layout are not part of it (``write_html`` keeps
        them).

        Parameters
        ----------
        path
            Ending in .png, .svg or .pdf (vector text, fonts embedded or outlined), or .html for the interactive figure.
        width_mm
            Width in millimetres; the height follows.
        dpi
            Resolution of .png and of the photos in the others.

        Returns
        -------
        pathlib.Path
            The file.
        """
        if self._grid is None:
            raise ValueError(
                "This copy of the figure no longer knows its numbers: draw it with contrast_grid(...) again."
            )
        return save_grid(self, self._grid, self._rgba, path, width_mm, dpi)


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
) -> ContrastFigure:
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
    ContrastFigure
        A plotly figure; ``.save("figure.pdf")`` writes PNG, SVG or PDF offline; ``.caption`` says what was computed.
    """
    grid = contrast_panels(
        pair, strengths, images, objective=objective, references=references, relu=relu, scale=scale, pixels=pixels
    )
    rgba = colours(cmap, grid.signed, opacity)
    return ContrastFigure(_draw(grid, rgba), grid=grid, rgba=rgba)


def _draw(grid: Grid, rgba: np.ndarray) -> go.Figure:
    rows, columns = len(grid.rows), len(grid.columns)
    titles = ["" if j == 0 else row.panels[j - 1].title for row in grid.rows for j in range(columns)]
    titles[:columns] = [f"{html.escape(c)}<br>{t}" for c, t in zip(grid.columns, titles[:columns], strict=True)]
    heights = [_PANEL_WIDTH * min(1.6, row.height / row.width) for row in grid.rows]
    inner = sum(heights) + (rows - 1) * _GAP
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=titles,
        row_heights=heights,
        horizontal_spacing=0.01,
        vertical_spacing=_GAP / inner,
    )
    figure.update_annotations(font_size=12)
    for i, row in enumerate(grid.rows, 1):
        source = _data_url(row.photo)
        for j in range(1, columns + 1):
            _place_photo(figure, row, source, i, j)
            if j > 1:
                figure.add_trace(_heatmap(grid, row, j - 2), i, j)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(
        title={"text": html.escape(grid.title), "font_size": 16, "x": 0.01},
        coloraxis=_colour_axis(grid, rgba),
        height=inner + 106,
        width=columns * 1.01 * _PANEL_WIDTH + 110,
        margin={"l": 10, "r": 100, "t": 96, "b": 10},
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
    )
    return figure


def _place_photo(figure: go.Figure, row: Row, source: str, i: int, j: int) -> None:
    """Put the photo on axes that run in pixels of the original, y downwards."""
    size = {"x": 0, "y": 0, "sizex": row.width, "sizey": row.height}
    figure.add_layout_image({"source": source, **size, "sizing": "stretch", "layer": "below"}, row=i, col=j)
    if j == 1:  # an empty trace, so that plotly draws the axes
        hover = f"{html.escape(row.image)}<br>margin {row.margin:.2f} logits<extra></extra>"
        corner = {"x": [row.width / 2], "y": [row.height / 2], "marker": {"size": 60, "opacity": 0}}
        figure.add_trace(go.Scatter(**corner, mode="markers", hovertemplate=hover), i, j)
    figure.update_xaxes(range=[0, row.width], constrain="domain", row=i, col=j)
    anchor = figure.get_subplot(i, j).xaxis.plotly_name.replace("axis", "")
    figure.update_yaxes(range=[row.height, 0], scaleanchor=anchor, constrain="domain", row=i, col=j)


def _heatmap(grid: Grid, row: Row, j: int) -> go.Heatmap:
    panel = row.panels[j]
    height, width = panel.values.shape
    divisor = 1.0 if grid.scale == "shared" or panel.top == 0 else panel.top
    words = f"{html.escape(grid.columns[j + 1])}<br>%{{customdata:.3f}} logits<br>x %{{x:.0f}}, y %{{y:.0f}} px"
    return go.Heatmap(
        z=panel.values.astype(np.float64) / divisor,
        customdata=panel.values.astype(np.float64),
        x=row.left + (np.arange(width) + 0.5) * row.cell_width,
        y=row.top + (np.arange(height) + 0.5) * row.cell_height,
        zsmooth="best",
        coloraxis="coloraxis",
        hovertemplate=words + "<extra></extra>",
    )


def _colour_axis(grid: Grid, rgba: np.ndarray) -> dict[str, Any]:
    bottom, top = grid.limits
    title = {"text": html.escape(grid.legend).replace("\n", "<br>"), "side": "right", "font_size": 12}
    return {
        "cmin": bottom,
        "cmax": top,
        "colorscale": for_plotly(rgba),
        "colorbar": {"title": title, "thickness": 14, "len": 0.8, "bgcolor": "rgba(0,0,0,0)"},
    }


def _data_url(photo: Image.Image) -> str:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
