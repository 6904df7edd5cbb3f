"""Draw the similarity map on paper, with matplotlib, laid out in millimetres."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize

from finerkit.figures.colours import ink_on
from finerkit.figures.page import BAR_HEIGHT, Heading, Page, fitted, line_height, text_width
from finerkit.figures.words import fixed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from finerkit.figures.similarity import SimilarityMap

_LARGEST_CELL = 12.5  # millimetres
_FONT, _LEAST_UNCUT, _LEAST_FONT = 7.0, 5.0, 4.5  # points


class Plan(NamedTuple):
    """Millimetres of the tree's width, the matrix' side and the labels; labels are empty where there is no room."""

    tree: float
    side: float
    room: float
    names: list[str]
    size: float


def print_similarity(content: SimilarityMap, width: float) -> Figure:
    """Draw tree and matrix, `width` millimetres wide."""
    number = len(content.names)
    plan = _plan(content, width)
    if not plan.names:
        warnings.warn(
            f"{number} names are too many for {width:g} mm and were left out: save(path, width_mm=...) with "
            f"{_width_for(content, width)} or more prints them.",
            stacklevel=3,
        )
    title = Heading(content.title, width)
    page = Page(width, title.height + plan.side + plan.room + BAR_HEIGHT + 3)
    title.draw(page)
    left, top, cell = 1 + plan.tree, title.height, plan.side / number
    _matrix(page.axes(left, top, plan.side, plan.side), content, cell)
    _tree(page.axes(1, top, plan.tree - 0.5, plan.side), content)
    for i, name in enumerate(plan.names):
        at = (i + 0.5) * cell
        page.text(left + plan.side + 1, top + at, name, plan.size, va="center_baseline")
        page.text(left + at, top + plan.side + 1, name, plan.size, ha="center", rotation=90)
    page.colour_bar(top + plan.side + plan.room + 2, content.limits, mpl.colormaps[content.cmap], content.legend)
    return page.figure


def _plan(content: SimilarityMap, width: float) -> Plan:
    """The largest labels that fit their lines; long names are cut only in the smallest."""
    number, tree, longest = len(content.names), max(7.0, 0.1 * width), 0.3 * width
    for size in np.arange(_FONT, _LEAST_FONT - 0.1, -0.25):
        names = [fitted(n, longest, size) for n in content.names]
        room = max(text_width(n, size) for n in names) + 2
        side = min(width - tree - room - 2, _LARGEST_CELL * number)
        whole = names == list(content.names) or size <= _LEAST_UNCUT
        if whole and line_height(size) * 0.95 <= side / number:
            return Plan(tree, side, room, names, float(size))
    return Plan(tree, min(width - tree - 3, _LARGEST_CELL * number), 1.0, [], 0.0)


def _width_for(content: SimilarityMap, width: float) -> int:
    """The next width, in tens of millimetres, that has room for names."""
    wide = 10 * int(width // 10 + 1)
    while not _plan(content, wide).names and wide < 2000:
        wide += 10
    return wide


def _matrix(ax: Axes, content: SimilarityMap, cell: float) -> None:
    number = len(content.names)
    cmap = mpl.colormaps[content.cmap].with_extremes(bad="0.88")
    scale = Normalize(*content.limits)
    masked = np.ma.masked_invalid(content.values)
    gap = {"edgecolors": "white", "linewidth": min(0.5, cell / 8)}
    ax.pcolormesh(np.arange(number + 1), np.arange(number + 1), masked, cmap=cmap, norm=scale, **gap)
    for i, j, text, size in cell_texts(content, cell):
        ink = ink_on(cmap(scale(content.values[i, j])))
        ax.text(j + 0.5, i + 0.5, text, fontsize=size, color=ink, ha="center", va="center_baseline")
    ax.set_ylim(number, 0)
    ax.set_axis_off()


def cell_texts(content: SimilarityMap, cell: float) -> list[tuple[int, int, str, float]]:
    """Row, column, words and font size (points) of each cell's number; none if they would be too small to read."""
    for decimals in (2, 1):
        texts = {(i, j): fixed(content.values[i, j], decimals) for i, j in np.argwhere(~np.isnan(content.values))}
        widest = max(text_width(t, _FONT) for t in set(texts.values()))
        size = min(_FONT, _FONT * (cell - 0.8) / widest)
        if size >= _LEAST_FONT:
            return [(int(i), int(j), t, size) for (i, j), t in texts.items()]
    return []


def _tree(ax: Axes, content: SimilarityMap) -> None:
    for branch in content.branches:
        ax.plot(branch[:, 1], branch[:, 0] + 0.5, color="black", linewidth=0.6, solid_capstyle="projecting")
    ax.set_ylim(len(content.names), 0)
    ax.set_xlim(1.03 * max(b[:, 1].max() for b in content.branches) or 1, 0)
    ax.set_axis_off()
