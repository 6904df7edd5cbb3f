"""Draw the similarity map on screen, with plotly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from finerkit.figures.colours import for_plotly
from finerkit.figures.words import fixed, safe

if TYPE_CHECKING:
    from finerkit.figures.similarity import SimilarityMap

_TREE, _CELL, _PAGE, _LEGIBLE = 90, 46, 700, 30  # screen pixels


def screen_similarity(content: SimilarityMap) -> go.Figure:
    """Draw tree and matrix; every number on hover, and in its cell where it fits."""
    number = len(content.names)
    cell = min(_CELL, _PAGE / number)
    side, letters = cell * number, 7.5 * min(max(len(n) for n in content.names), 40)
    figure = make_subplots(1, 2, column_widths=[_TREE, side], horizontal_spacing=0.0, shared_yaxes=True)
    for branch in content.branches:
        line = {"color": "black", "width": 1.2}
        figure.add_trace(go.Scatter(x=branch[:, 1], y=branch[:, 0], mode="lines", line=line, hoverinfo="skip"), 1, 1)
    figure.add_trace(_unknown(content), 1, 2)
    figure.add_trace(_heat(content, cell), 1, 2)
    names = {"tickvals": list(range(number)), "ticktext": [safe(n) for n in content.names], "showgrid": False}
    bare = {"visible": False}
    figure.update_yaxes(range=[number - 0.5, -0.5], **bare, row=1, col=1)
    figure.update_yaxes(
        range=[number - 0.5, -0.5], side="right", showticklabels=True, **names, zeroline=False, row=1, col=2
    )
    figure.update_xaxes(autorange="reversed", **bare, row=1, col=1)
    figure.update_xaxes(range=[-0.5, number - 0.5], tickangle=-90, **names, zeroline=False, row=1, col=2)
    bottom, top = content.limits
    # A see-through colour scale would be wrong here: cells lie on nothing.
    scale = for_plotly(mpl.colormaps[content.cmap](np.linspace(0, 1, 256)))
    bar = {
        "title": {"text": safe(content.legend), "side": "top", "font_size": 12}, "orientation": "h", "thickness": 12,
        "lenmode": "pixels", "len": min(380, max(side, 240)), "x": _TREE / (_TREE + side), "xanchor": "left",
        "y": -(letters + 24) / side, "yanchor": "top", "ypad": 0, "nticks": 6,
    }  # fmt: skip
    figure.update_layout(
        title={
            "text": safe(content.title), "font_size": 16, "x": 0.01, "y": 1, "yref": "container", "yanchor": "top",
            "pad": {"t": 12},
        },
        coloraxis={"cmin": bottom, "cmax": top, "colorscale": scale, "colorbar": bar},
        width=max(_TREE + side + letters + 30, 480),
        height=side + letters + 48 + 90,
        margin={"l": 15, "r": letters + 15, "t": 48, "b": letters + 90},
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
    )  # fmt: skip
    return figure


def _unknown(content: SimilarityMap) -> go.Heatmap:
    """Grey where there is no number, which white would not say."""
    places = list(range(len(content.names)))
    z = np.where(np.isnan(content.values), 0.0, None)
    grey = [[0, "#e0e0e0"], [1, "#e0e0e0"]]
    return go.Heatmap(z=z, x=places, y=places, xgap=1, ygap=1, colorscale=grey, showscale=False, hoverinfo="skip")


def _heat(content: SimilarityMap, cell: float) -> go.Heatmap:
    number = len(content.names)
    known = ~np.isnan(content.values)
    text = np.where(known, [[fixed(v, 2) for v in row] for row in content.values], "")
    names = [safe(n) for n in content.names]
    hover = [[f"{a}<br>{b}<br>{text[i, j]}" for j, b in enumerate(names)] for i, a in enumerate(names)]
    return go.Heatmap(
        z=np.where(known, content.values, None),
        x=list(range(number)),
        y=list(range(number)),
        customdata=hover,
        text=text if cell >= _LEGIBLE else None,
        texttemplate="%{text}" if cell >= _LEGIBLE else None,
        xgap=1,
        ygap=1,
        coloraxis="coloraxis",
        hovertemplate="%{customdata}<extra></extra>",
        hoverongaps=False,
    )
