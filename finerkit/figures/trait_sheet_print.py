"""Draw the exemplar sheet on paper, with matplotlib, laid out in millimetres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finerkit.figures.page import Heading, Page, line_height, per_line, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from finerkit.figures.trait_sheet import Picture, Sheet

_GAP, _LEAST = 1.2, 20.0  # millimetres


def print_sheet(sheet: Sheet, width: float) -> Figure:
    """Draw the sheet, `width` millimetres wide; a trait's pictures take as many lines as legible ones need."""
    most = max(len(p) for p in sheet.pictures)
    columns = per_line(max(most, 1), width, _LEAST, _GAP)
    side = (width - (columns - 1) * _GAP) / columns
    title = Heading(sheet.title, width)
    words = [wrap(w, width - 1, 7) for w in sheet.words]
    heads = [line_height(7) * (w.count("\n") + 1) + 0.8 for w in words]
    lines = [-(-len(p) // columns) for p in sheet.pictures]
    page = Page(width, title.height + sum(heads) + sum(lines) * (side + _GAP) + 1.5 * len(words))
    title.draw(page)
    top = title.height
    for text, head, pictures, number in zip(words, heads, sheet.pictures, lines, strict=True):
        page.text(0.5, top, text)
        for i, picture in enumerate(pictures):
            line, column = divmod(i, columns)
            _draw(page.axes(column * (side + _GAP), top + head + line * (side + _GAP), side, side), picture)
        top += head + number * (side + _GAP) + 1.5
    return page.figure


def _draw(ax: Axes, picture: Picture) -> None:
    left, top, right, bottom = picture.place
    ax.imshow(np.asarray(picture.photo), extent=(left, right, bottom, top), interpolation="lanczos")
    for ring in picture.crop.outlines:
        x, y = np.array(ring).T
        ax.plot(x, y, color="black", linewidth=1.6)
        ax.plot(x, y, color="white", linewidth=0.8)
    left, top, right, bottom = picture.crop.box
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.set_axis_off()
