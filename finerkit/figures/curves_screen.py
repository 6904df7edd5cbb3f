"""Draw score curves on screen, with plotly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from finerkit.figures.curves_print import LOOKS
from finerkit.figures.facets_screen import screen_facets
from finerkit.figures.words import safe

if TYPE_CHECKING:
    from finerkit.figures.curves import CurvePanel, Line, ScoreCurves

_DASHES = {"-": "solid", ":": "dot", "--": "dash"}
_MARKERS = {"o": "circle", "s": "square", "^": "triangle-up"}


def screen_curves(content: ScoreCurves) -> go.Figure:
    """Draw a panel per measure; means, errors and numbers of photos on hover."""
    figure, places = screen_facets([p.title for p in content.panels], content.title, foot=40)
    first = True
    for (i, j), panel in zip(places, content.panels, strict=True):
        for line in panel.lines:
            if line.label != "contrast":
                figure.add_trace(_band(line), i, j)
            figure.add_trace(_line(panel, line, named=first), i, j)
        first = False
        figure.update_xaxes(title_text=safe(panel.x_label), title_standoff=6, row=i, col=j)
        figure.update_yaxes(title_text=safe(panel.y_label), rangemode="tozero", row=i, col=j)
    legend = {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"}
    return figure.update_layout(showlegend=True, legend=legend)


def _line(panel: CurvePanel, line: Line, *, named: bool) -> go.Scatter:
    look = LOOKS[line.label]
    where = f"{safe(line.label)}<br>{safe(panel.x_label)} %{{x:g}}"
    hover = where + "<br>%{y:.3f} ± %{customdata[0]:.3f} (n = %{customdata[1]})"
    bars: dict[str, Any] = {"type": "data", "array": line.error, "thickness": 1, "width": 3}
    return go.Scatter(
        x=line.x,
        y=line.mean,
        mode="lines+markers",
        name=safe(line.label),
        legendgroup=line.label,
        showlegend=named,
        line={"color": look.colour, "dash": _DASHES[look.dash], "width": 2},
        marker={"symbol": _MARKERS[look.marker], "size": 6},
        error_y=bars if line.label == "contrast" else None,
        customdata=np.column_stack([line.error, line.n]),
        hovertemplate=hover + "<extra></extra>",
    )


def _band(line: Line) -> go.Scatter:
    error = np.nan_to_num(line.error)
    red, green, blue = (int(LOOKS[line.label].colour[k : k + 2], 16) for k in (1, 3, 5))
    return go.Scatter(
        x=np.concatenate([line.x, line.x[::-1]]),
        y=np.concatenate([line.mean + error, (line.mean - error)[::-1]]),
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.18)",
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        legendgroup=line.label,
        showlegend=False,
    )
