"""Draw phenotype boxes on screen, with plotly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from finerkit.figures.colours import CATEGORIES
from finerkit.figures.facets_screen import screen_facets
from finerkit.figures.points import sideways
from finerkit.figures.words import safe, shown

if TYPE_CHECKING:
    from finerkit.figures.phenotype import PhenotypeBoxes


def screen_boxes(content: PhenotypeBoxes) -> go.Figure:
    """Draw a panel per trait; every photo's name on hover."""
    boxes = content.panels[0].boxes
    titles = [f"{p.trait}\n{p.test}" for p in content.panels]
    figure, places = screen_facets(titles, content.title)
    ticks = [safe(f"{shown(b.group)}\nn = {len(b.values)}") for b in boxes]
    for (i, j), panel in zip(places, content.panels, strict=True):
        for k, box in enumerate(panel.boxes):
            colour = CATEGORIES[k % len(CATEGORIES)]
            numbers = {"q1": [box.first], "median": [box.median], "q3": [box.third]}
            whiskers = {"lowerfence": [box.low], "upperfence": [box.high]}
            look = {"line": {"color": "black", "width": 1}, "fillcolor": f"{colour}40", "width": 0.55}
            figure.add_trace(go.Box(x=[k], **numbers, **whiskers, **look, name=safe(shown(box.group))), i, j)
            figure.add_trace(
                go.Scatter(
                    x=k + 0.2 * sideways(box.values), y=box.values, mode="markers",
                    marker={"color": colour, "size": 5, "opacity": 0.85}, customdata=[safe(n) for n in box.images],
                    hovertemplate="%{customdata}<br>%{y:.3f} logits<extra></extra>",
                ), i, j,
            )  # fmt: skip
        figure.update_xaxes(
            tickvals=list(range(len(ticks))), ticktext=ticks, range=[-0.6, len(ticks) - 0.4], showgrid=False,
            row=i, col=j,
        )  # fmt: skip
        figure.update_yaxes(title_text=safe(content.legend), range=content.limits, row=i, col=j)
    return figure
