"""Draw lines of tiles, each a photo with or without a map: on paper with matplotlib, on screen with plotly."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import ListedColormap
from plotly.subplots import make_subplots

from finerkit.base.wording import safe
from finerkit.output.figures.colours import for_plotly
from finerkit.output.figures.page import colour_bar, page, settle, wrap
from finerkit.output.figures.screen import look
from finerkit.photos.display import data_url, encoded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from finerkit.output.figures.panels import Grid, Row

_TALLEST = 1.35  # taller photos are drawn narrower than their column
_HEAD, _BAR, _TITLE, _MARGIN = 40, 76, 42, 10  # screen pixels
_WIDEST, _PAGE = 240, 1100


class Tile(NamedTuple):
    """A photo, which of its maps to lay over it, if any, and the words above (plain text)."""

    row: Row
    map: int | None
    words: str


def _shapes(lines: list[list[Tile]]) -> list[float]:
    """Height of each line's photos, in widths of a column."""
    return [min(_TALLEST, max(t.row.height / t.row.width for t in line)) for line in lines]


def print_tiles(grid: Grid, lines: list[list[Tile]], rgba: np.ndarray, width: float) -> Figure:
    """Draw a page `width` millimetres wide."""
    columns, shapes = len(lines[0]), _shapes(lines)
    figure, axes = page(grid.title, width, columns, shapes)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[], frame_on=False)
    for line, tiles in zip(axes, lines, strict=True):
        for ax, tile in zip(line, tiles, strict=False):
            ax.set_title(wrap(tile.words, width / columns - 1.2))
            _print_tile(ax, tile, ListedColormap(rgba), signed=grid.limits[0] < 0)
    colour_bar(figure, axes, grid.limits, rgba, grid.legend)
    return settle(figure)


def _print_tile(ax: Axes, tile: Tile, cmap: ListedColormap, *, signed: bool) -> None:
    row = tile.row
    ax.imshow(np.asarray(row.photo), extent=(0, row.width, row.height, 0), interpolation="lanczos")
    if tile.map is not None:
        values, top = row.values[tile.map], row.tops[tile.map] or 1.0
        scale = {"cmap": cmap, "vmin": -top if signed else 0, "vmax": top}
        ax.imshow(values, extent=row.place.extent(*values.shape), interpolation="bilinear", **scale)
        ax.set(xlim=(0, row.width), ylim=(row.height, 0))


def screen_tiles(grid: Grid, lines: list[list[Tile]], rgba: np.ndarray) -> go.Figure:
    """Draw lines of tiles for a screen; all as wide as the first."""
    columns = len(lines[0])
    width = min(_WIDEST, _PAGE / columns)
    heights = [width * shape for shape in _shapes(lines)]
    inner = sum(heights) + _HEAD * (len(lines) - 1)
    figure = make_subplots(
        len(lines), columns, subplot_titles=[safe(t.words) for line in lines for t in line], row_heights=heights,
        horizontal_spacing=0.01, vertical_spacing=_HEAD / inner,
    )  # fmt: skip
    sources = {tile.row.image: data_url(encoded(tile.row.photo)) for line in lines for tile in line}
    for i, line in enumerate(lines, 1):
        for j, tile in enumerate(line, 1):
            _screen_tile(figure, grid, tile, sources[tile.row.image], row=i, col=j)
    total = columns * width * 1.01 + 2 * _MARGIN
    bottom, top = grid.limits
    bar = {
        "title": {"text": safe(grid.legend.replace("\n", " ")), "side": "top", "font_size": 12}, "orientation": "h",
        "thickness": 12, "lenmode": "pixels", "len": min(420, total - 40), "y": -8 / inner, "yanchor": "top",
        "ypad": 4, "nticks": 6,
    }  # fmt: skip
    margin = {"l": _MARGIN, "r": _MARGIN, "t": _TITLE + _HEAD, "b": _BAR}
    return look(
        figure.update_xaxes(visible=False).update_yaxes(visible=False), grid.title,
        coloraxis={"cmin": bottom, "cmax": top, "colorscale": for_plotly(rgba), "colorbar": bar},
        height=inner + margin["t"] + _BAR, width=total, margin=margin, showlegend=False,
    )  # fmt: skip


def _screen_tile(figure: go.Figure, grid: Grid, tile: Tile, source: str, **at: int) -> None:
    """Put photo and map on axes that run in pixels of the original, y downwards."""
    row = tile.row
    across, down = row.width / row.photo.width, row.height / row.photo.height
    hover = f"{safe(row.image)}<br>margin {row.margin:.2f} logits<extra></extra>"
    place = {"x0": across / 2, "dx": across, "y0": down / 2, "dy": down}
    figure.add_trace(go.Image(source=source, **place, zsmooth="fast", hovertemplate=hover), **at)
    if tile.map is not None:
        figure.add_trace(_heatmap(grid, row, tile.map), **at)
    figure.update_xaxes(range=[0, row.width], **at)
    figure.update_yaxes(range=[row.height, 0], **at)


def _heatmap(grid: Grid, row: Row, at: int) -> go.Heatmap:
    values, place = row.values[at].astype(np.float64), row.place
    height, width = values.shape
    words = f"strength {grid.strengths[at]:g}<br>%{{customdata:.3f}} logits<br>x %{{x:.0f}}, y %{{y:.0f}} px"
    return go.Heatmap(
        z=values / (1.0 if grid.scale == "shared" else row.tops[at] or 1.0),
        customdata=values,
        x=place.left + (np.arange(width) + 0.5) * place.cell_width,
        y=place.top + (np.arange(height) + 0.5) * place.cell_height,
        zsmooth="best",
        coloraxis="coloraxis",
        hovertemplate=words + "<extra></extra>",
    )
