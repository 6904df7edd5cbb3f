"""Lay out plotly figures: their look, and equal panels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plotly.subplots import make_subplots

from finerkit.base.wording import safe

if TYPE_CHECKING:
    from collections.abc import Collection

    import plotly.graph_objects as go

_WIDTH, _HEIGHT, _TOP, _BOTTOM = 330, 250, 100, 100  # screen pixels of a panel, and between lines
_COLUMNS = 3


def look(figure: go.Figure, title: str, **layout: Any) -> go.Figure:
    """Give a figure its title (plain text) and a plain ground."""
    figure.update_annotations(font_size=12)
    heading = {"text": safe(title), "font_size": 16, "x": 0.01, "y": 1, "yref": "container", "yanchor": "top"}
    return figure.update_layout(
        title=heading | {"pad": {"t": 12}}, template="simple_white", plot_bgcolor="rgba(0,0,0,0)", **layout
    )


def facets(titles: Collection[str], title: str, **layout: Any) -> tuple[go.Figure, list[dict[str, int]]]:
    """Panels under their titles (plain text), at most three to a line, and the ``row`` and ``col`` of each."""
    lines = -(-len(titles) // _COLUMNS)
    columns = -(-len(titles) // lines)
    height = lines * (_HEIGHT + _TOP)
    figure = make_subplots(
        lines, columns, subplot_titles=[safe(t) for t in titles], horizontal_spacing=0.2 / columns,
        vertical_spacing=_TOP / (height - _TOP),
    )  # fmt: skip
    figure.update_yaxes(zeroline=True, zerolinecolor="#bbbbbb")
    margin = {"l": 70, "r": 30, "t": _TOP, "b": _BOTTOM}
    look(figure, title, width=columns * _WIDTH + 100, height=height + _BOTTOM, margin=margin, **layout)
    return figure, [{"row": i // columns + 1, "col": i % columns + 1} for i in range(len(titles))]
