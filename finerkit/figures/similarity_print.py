"""The similarity map on paper: what it shows enters; a matplotlib figure, laid out in millimetres, leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize

from finerkit.figures.colours import ink_on
from finerkit.figures.page import BAR_HEIGHT, Heading, Page, fitted, fitting_size, line_height, text_width
from finerkit.figures.words import MINUS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from finerkit.figures.similarity import SimilarityMap

_LARGEST_CELL, _LEAST_FONT, _FONT = 12.5, 4.5, 7.0


def print_similarity(content: SimilarityMap, width: float) -> Figure:
    """Draw tree and matrix, `width` millimetres wide."""
    number = len(content.names)
    title = Heading(content.title, width)
    tree = max(7.0, 0.1 * width)
    longest = 0.3 * width
    font = fitting_size(content.names, longest, _FONT)
    names = [fitted(n, longest, font) for n in content.names]
    labels = max(text_width(n, font) for n in names) + 2
    side = min(width - tree - labels - 2, _LARGEST_CELL * number)
    cell = side / number
    size = min(font, cell / line_height(1) * 0.95)
    legible = size >= _LEAST_FONT
    below = labels if legible else 1.0
    page = Page(width, title.height + side + below + BAR_HEIGHT + 3)
    title.draw(page)
    ax = page.axes(1 + tree, title.height, side, side)
    _matrix(ax, content, cell)
    _tree(page.axes(1, title.height, tree - 0.5, side), content)
    if legible:
        for i, name in enumerate(names):
            at = (i + 0.5) * cell
            page.text(2 + tree + side, title.height + at, name, size, va="center_baseline")
            page.text(
                1 + tree + at, title.height + side + 1, name, size, ha="center", rotation=90, rotation_mode="default"
            )
    page.colour_bar(title.height + side + below + 2, content.limits, mpl.colormaps[content.cmap], content.legend)
    return page.figure


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
        texts = {
            (i, j): f"{content.values[i, j]:.{decimals}f}".replace("-", MINUS)
            for i, j in np.argwhere(~np.isnan(content.values))
        }
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
