"""Draw phenotype boxes on paper, with matplotlib, laid out in millimetres."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finerkit.figures.colours import CATEGORIES
from finerkit.figures.page import Facets, fitted, text_width
from finerkit.figures.points import sideways
from finerkit.figures.words import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from finerkit.figures.phenotype import Box, PhenotypeBoxes, TraitBoxes

_SIZE, _LONGEST = 6.5, 25.0


def print_boxes(content: PhenotypeBoxes, width: float) -> Figure:
    """Draw a panel per trait, `width` millimetres wide."""
    labels = [_label(b) for b in content.panels[0].boxes]
    widest = max(text_width(t, _SIZE) for t in labels)
    titles = [f"{p.trait}\n{p.test}" for p in content.panels]
    facets = Facets(titles, width, content.title, 9)
    turned = widest * len(labels) > 0.85 * facets.cell - 8
    if turned:
        labels = [f"{fitted(shown(b.group), _LONGEST, _SIZE)} ({len(b.values)})" for b in content.panels[0].boxes]
        bottom = max(text_width(t, _SIZE) for t in labels) + 5
        facets = Facets(titles, width, content.title, bottom)
    for i, panel in enumerate(content.panels):
        ax = facets.axes(i)
        _panel(ax, panel, content, facets.height)
        ax.set_xticks(range(len(labels)), labels, rotation=90 if turned else 0)
        if i % facets.columns == 0 or content.limits is None:
            ax.set_ylabel(content.legend)
    return facets.page.figure


def _label(box: Box) -> str:
    return f"{shown(box.group)}\nn = {len(box.values)}"


def _panel(ax: Axes, panel: TraitBoxes, content: PhenotypeBoxes, height: float) -> None:
    ax.axhline(0, color="0.6", linewidth=0.5, zorder=0)
    for j, box in enumerate(panel.boxes):
        colour = CATEGORIES[j % len(CATEGORIES)]
        numbers = {"med": box.median, "q1": box.first, "q3": box.third, "whislo": box.low, "whishi": box.high}
        line = {"color": "black", "linewidth": 0.6}
        ax.bxp(
            [numbers], positions=[j], widths=0.55, showfliers=False, patch_artist=True, capwidths=0.2,
            boxprops={"facecolor": f"{colour}40", "edgecolor": "black", "linewidth": 0.6}, whiskerprops=line,
            capprops=line, medianprops={"color": "black", "linewidth": 1.2},
        )  # fmt: skip
        size = 7 if len(box.values) <= 15 else 4 if len(box.values) <= 60 else 2
        ax.scatter(j + 0.2 * sideways(box.values), box.values, s=size, color=colour, linewidths=0, alpha=0.85, zorder=3)
    ax.set_xlim(-0.6, len(panel.boxes) - 0.4)
    ax.locator_params(axis="y", nbins=max(3, min(6, round(height / 6))))
    if content.limits is not None:
        ax.set_ylim(*content.limits)
