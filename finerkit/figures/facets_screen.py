"""Lay out equal panels on screen, with plotly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plotly.subplots import make_subplots

from finerkit.figures.words import safe

if TYPE_CHECKING:
    import plotly.graph_objects as go

_CELL, _HEIGHT, _GAP_X, _GAP_Y, _TOP, _BOTTOM = 330, 250, 70, 100, 100, 60  # screen pixels
_COLUMNS = 3


def screen_facets(titles: list[str], title: str, foot: int = 0) -> tuple[go.Figure, list[tuple[int, int]]]:
    """Panels with their titles (plain text), at most three to a line; `foot` pixels are left below."""
    lines = -(-len(titles) // _COLUMNS)
    columns = -(-len(titles) // lines)
    width = columns * _CELL - _GAP_X
    inner = lines * _HEIGHT + (lines - 1) * _GAP_Y
    figure = make_subplots(
        lines, columns,
        subplot_titles=[safe(t) for t in titles],
        horizontal_spacing=_GAP_X / width if columns > 1 else 0,
        vertical_spacing=_GAP_Y / inner if lines > 1 else 0,
    )  # fmt: skip
    figure.update_annotations(font_size=12)
    axis = {"showgrid": False, "showline": True, "linecolor": "black", "ticks": "outside", "zeroline": False}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis | {"zeroline": True, "zerolinecolor": "#bbbbbb"})
    figure.update_layout(
        title={
            "text": safe(title), "font_size": 16, "x": 0.01, "y": 1, "yref": "container", "yanchor": "top",
            "pad": {"t": 12},
        },
        width=max(width + 100, 420),
        height=inner + _TOP + _BOTTOM + foot,
        margin={"l": 70, "r": 30, "t": _TOP, "b": _BOTTOM + foot},
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
    )  # fmt: skip
    return figure, [(i // columns + 1, i % columns + 1) for i in range(len(titles))]
