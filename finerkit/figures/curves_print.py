"""Draw score curves on paper, with matplotlib, laid out in millimetres."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finerkit.figures.colours import CATEGORIES
from finerkit.figures.page import Facets, text_width

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
    labels = dict.fromkeys(line.label for panel in content.panels for line in panel.lines)
    places = _flow(list(labels), width)
    foot = places[-1][1] + _KEY_LINE
    facets = Facets([p.title for p in content.panels], width, content.title, 10, foot)
    for i, panel in enumerate(content.panels):
        ax = facets.axes(i)
        for line in panel.lines:
            _line(ax, line)
        _frame(ax, panel)
    for label, (left, top) in zip(labels, places, strict=True):
        look = LOOKS[label]
        ax = facets.page.axes(left, facets.foot + top, _SAMPLE, 3)
        ax.plot([0, 1, 2], [0, 0, 0], color=look.colour, linestyle=look.dash, linewidth=1)
        ax.plot([1], [0], color=look.colour, marker=look.marker, markersize=3)
        ax.set_axis_off()
        facets.page.text(left + _SAMPLE + 1, facets.foot + top + 1.5, label, va="center")
    return facets.page.figure


_SAMPLE, _KEY_LINE = 8.0, 4.5  # millimetres


def _flow(labels: list[str], width: float) -> list[tuple[float, float]]:
    """Left and top, in millimetres, of each entry of a key that breaks into lines like text."""
    places, left, top = [], 3.0, 0.0
    for label in labels:
        need = _SAMPLE + text_width(label, 7) + 6
        if places and left + need > width:
            left, top = 3.0, top + _KEY_LINE
        places.append((left, top))
        left += need
    return places


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
