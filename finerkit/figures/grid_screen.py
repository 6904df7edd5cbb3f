"""Draw tiles on screen: lines of photos with maps, with plotly."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from finerkit.figures.colours import for_plotly
from finerkit.figures.tiles import shape
from finerkit.figures.words import safe

if TYPE_CHECKING:
    from PIL import Image

    from finerkit.figures.panels import Grid, Row
    from finerkit.figures.tiles import Tile

_LINE, _BAR, _TITLE, _MARGIN = 17, 76, 42, 10  # screen pixels
_WIDEST, _PAGE = 240, 1100


def screen_tiles(grid: Grid, lines: list[list[Tile]], rgba: np.ndarray) -> go.Figure:
    """Draw lines of tiles; all as wide as the first."""
    columns = len(lines[0])
    width = min(_WIDEST, _PAGE / columns)
    heights = [width * shape(line) for line in lines]
    heads = [_LINE * (1 + max(t.words.count("\n") for t in line)) + 6 for line in lines]
    gap = max(heads[1:], default=0)
    inner = sum(heights) + gap * (len(lines) - 1)
    figure = make_subplots(
        len(lines),
        columns,
        subplot_titles=[safe(line[j].words) if j < len(line) else "" for line in lines for j in range(columns)],
        row_heights=heights,
        horizontal_spacing=0.01,
        vertical_spacing=gap / inner,
    )
    figure.update_annotations(font_size=12)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    sources = {tile.row.image: data_url(tile.row.photo) for line in lines for tile in line}
    for i, line in enumerate(lines, 1):
        for j, tile in enumerate(line, 1):
            _place_photo(figure, tile.row, sources[tile.row.image], i, j)
            figure.add_trace(_bare(tile.row) if tile.panel is None else _heatmap(grid, tile), i, j)
    total = columns * width * 1.01 + 2 * _MARGIN
    top = _TITLE + heads[0]
    figure.update_layout(
        title={
            "text": safe(grid.title), "font_size": 16, "x": 0.01, "y": 1, "yref": "container", "yanchor": "top",
            "pad": {"t": 12},
        },
        coloraxis=_colour_axis(grid, rgba, inner, total),
        height=inner + top + _BAR,
        width=total,
        margin={"l": _MARGIN, "r": _MARGIN, "t": top, "b": _BAR},
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
    )  # fmt: skip
    return figure


def _place_photo(figure: go.Figure, row: Row, source: str, i: int, j: int) -> None:
    """Put the photo on axes that run in pixels of the original, y downwards."""
    size = {"x": 0, "y": 0, "sizex": row.width, "sizey": row.height}
    figure.add_layout_image({"source": source, **size, "sizing": "stretch", "layer": "below"}, row=i, col=j)
    figure.update_xaxes(range=[0, row.width], constrain="domain", row=i, col=j)
    anchor = figure.get_subplot(i, j).xaxis.plotly_name.replace("axis", "")
    figure.update_yaxes(range=[row.height, 0], scaleanchor=anchor, constrain="domain", row=i, col=j)


def _bare(row: Row) -> go.Scatter:
    """A trace that shows nothing but, on hover, which photo it is; plotly draws axes only where there is a trace."""
    return go.Scatter(
        x=[row.width / 2],
        y=[row.height / 2],
        marker={"size": 60, "opacity": 0},
        mode="markers",
        hovertemplate=f"{safe(row.image)}<br>margin {row.margin:.2f} logits<extra></extra>",
    )


def _heatmap(grid: Grid, tile: Tile) -> go.Heatmap:
    row, panel = tile.row, tile.panel
    height, width = panel.values.shape
    divisor = 1.0 if grid.scale == "shared" or panel.top == 0 else panel.top
    words = f"strength {panel.strength:g}<br>%{{customdata:.3f}} logits<br>x %{{x:.0f}}, y %{{y:.0f}} px"
    return go.Heatmap(
        z=panel.values.astype(np.float64) / divisor,
        customdata=panel.values.astype(np.float64),
        x=row.left + (np.arange(width) + 0.5) * row.cell_width,
        y=row.top + (np.arange(height) + 0.5) * row.cell_height,
        zsmooth="best",
        coloraxis="coloraxis",
        hovertemplate=words + "<extra></extra>",
    )


def _colour_axis(grid: Grid, rgba: np.ndarray, inner: float, total: float) -> dict[str, Any]:
    bottom, top = grid.limits
    bar = {
        "title": {"text": safe(grid.legend.replace("\n", " ")), "side": "top", "font_size": 12},
        "orientation": "h", "thickness": 12, "lenmode": "pixels", "len": min(420, total - 40), "x": 0,
        "xanchor": "left", "y": -8 / inner, "yanchor": "top", "ypad": 4, "bgcolor": "rgba(0,0,0,0)", "nticks": 6,
    }  # fmt: skip
    return {"cmin": bottom, "cmax": top, "colorscale": for_plotly(rgba), "colorbar": bar}


def data_url(photo: Image.Image) -> str:
    """A photo as text that any browser shows."""
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
