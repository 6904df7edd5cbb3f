"""Draw the exemplar sheet on screen, with plotly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from finerkit.figures.grid_screen import data_url
from finerkit.figures.words import safe

if TYPE_CHECKING:
    from finerkit.figures.trait_sheet import Picture, Sheet

_HEAD, _TITLE, _PAGE = 30, 48, 1080  # screen pixels


def screen_sheet(sheet: Sheet) -> go.Figure:
    """Draw a line of pictures per trait."""
    rows, columns = len(sheet.pictures), max(1, *(len(p) for p in sheet.pictures))
    side = min(230, _PAGE / columns)
    inner = rows * side + (rows - 1) * _HEAD
    figure = make_subplots(rows, columns, horizontal_spacing=0.008, vertical_spacing=_HEAD / inner)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    for i, (words, pictures) in enumerate(zip(sheet.words, sheet.pictures, strict=True)):
        top = 1 - i * (side + _HEAD) / inner
        figure.add_annotation(
            text=safe(words), x=0, y=top, xref="paper", yref="paper", xanchor="left", yanchor="bottom", yshift=4,
            showarrow=False, font_size=13,
        )  # fmt: skip
        for j, picture in enumerate(pictures):
            _place(figure, picture, i + 1, j + 1)
    figure.update_layout(
        title={
            "text": safe(sheet.title), "font_size": 16, "x": 0.01, "y": 1, "yref": "container", "yanchor": "top",
            "pad": {"t": 12},
        },
        height=inner + _TITLE + _HEAD + 10,
        width=columns * side * 1.01 + 20,
        margin={"l": 10, "r": 10, "t": _TITLE + _HEAD - 6, "b": 10},
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
    )  # fmt: skip
    return figure


def _place(figure: go.Figure, picture: Picture, i: int, j: int) -> None:
    left, top, right, bottom = picture.place
    size = {"x": left, "y": top, "sizex": right - left, "sizey": bottom - top}
    source = data_url(picture.photo)
    figure.add_layout_image({"source": source, **size, "sizing": "stretch", "layer": "below"}, row=i, col=j)
    x: list[float | None] = []
    y: list[float | None] = []
    for ring in picture.crop.outlines:
        x += [*(p[0] for p in ring), None]
        y += [*(p[1] for p in ring), None]
    hover = f"{safe(picture.crop.image)}<br>region {picture.crop.evidence:.2f} logits<extra></extra>"
    for colour, width in (("black", 4), ("white", 2)):
        line = {"color": colour, "width": width}
        figure.add_trace(go.Scatter(x=x, y=y, mode="lines", line=line, hovertemplate=hover), i, j)
    left, top, right, bottom = picture.crop.box
    figure.update_xaxes(range=[left, right], constrain="domain", row=i, col=j)
    anchor = figure.get_subplot(i, j).xaxis.plotly_name.replace("axis", "")
    figure.update_yaxes(range=[bottom, top], scaleanchor=anchor, constrain="domain", row=i, col=j)
