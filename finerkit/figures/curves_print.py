"""Score curves on paper: what they show enters; a matplotlib figure, laid out in millimetres, leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finerkit.figures.colours import CATEGORIES
from finerkit.figures.page import Facets

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from finerkit.figures.curves import CurvePanel, Line, ScoreCurves


class Look(NamedTuple):
    """Of a line: told apart by colour, dash and marker, so that grey copies work too."""

    colour: str
    dash: str
    marker: str


LOOKS = {
    "contrast": Look(CATEGORIES[0], "-", "o"),
    "random map": Look("#666666", ":", "s"),
    "edge map": Look(CATEGORIES[1], "--", "^"),
}


def print_curves(content: ScoreCurves, width: float) -> Figure:
    """Draw a panel per measure, `width` millimetres wide."""
    facets = Facets([p.title for p in content.panels], width, content.title, 10, foot=5)
    for i, panel in enumerate(content.panels):
        ax = facets.axes(i)
        for line in panel.lines:
            _line(ax, line)
        _frame(ax, panel)
    names = {line.label: LOOKS[line.label] for panel in content.panels for line in panel.lines}
    left = 4.0
    for name, look in names.items():
        ax = facets.page.axes(left, facets.foot + 0.5, 8, 3)
        ax.plot([0, 1, 2], [0, 0, 0], color=look.colour, linestyle=look.dash, linewidth=1)
        ax.plot([1], [0], color=look.colour, marker=look.marker, markersize=3)
        ax.set_axis_off()
        facets.page.text(left + 9, facets.foot + 2, name, va="center")
        left += 28
    return facets.page.figure


def _line(ax: Axes, line: Line) -> None:
    look = LOOKS[line.label]
    style = {"color": look.colour, "linestyle": look.dash, "marker": look.marker, "markersize": 2.5, "linewidth": 1}
    error = np.nan_to_num(line.error)
    if line.label == "contrast":
        ax.errorbar(line.x, line.mean, yerr=error, capsize=1.5, elinewidth=0.6, capthick=0.6, zorder=3, **style)
    else:
        ax.fill_between(line.x, line.mean - error, line.mean + error, color=look.colour, alpha=0.18, linewidth=0)
        ax.plot(line.x, line.mean, **style)


def _frame(ax: Axes, panel: CurvePanel) -> None:
    ax.set_xlabel(panel.x_label, labelpad=2)
    ax.set_ylabel(panel.y_label)
    ax.locator_params(axis="y", nbins=5)
    ax.locator_params(axis="x", nbins=6)
    if panel.y_label in ("share", "probability"):
        bottom, top = ax.get_ylim()
        ax.set_ylim(min(bottom, 0), top)
