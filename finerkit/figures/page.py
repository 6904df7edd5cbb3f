"""Place matplotlib axes and texts on a page, in millimetres from its upper left corner."""

from __future__ import annotations

import textwrap
from bisect import bisect
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes

MM_PER_INCH = 25.4
_MM_PER_POINT = MM_PER_INCH / 72
#: What journals ask for, where the machine has it; the last comes with matplotlib and knows most scripts.
_FONTS = ("Arial", "Liberation Sans", "DejaVu Sans")


def paper_style() -> AbstractContextManager[None]:
    """Settings for print: text stays text in PDF (TrueType, embedded) and becomes outlines in SVG."""
    known = {font.name for font in fontManager.ttflist}
    return mpl.rc_context(
        {
            "pdf.fonttype": 42,
            "svg.fonttype": "path",
            "font.size": 7,
            "font.family": [f for f in _FONTS if f in known],
            "axes.linewidth": 0.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 7,
            "axes.labelsize": 7,
            "text.parse_math": False,
            "xtick.labelsize": 6.5,
            "ytick.labelsize": 6.5,
            "xtick.major.width": 0.5,
            "ytick.major.width": 0.5,
            "xtick.major.size": 2,
            "ytick.major.size": 2,
            "xtick.major.pad": 2,
            "ytick.major.pad": 2,
        }
    )


def line_height(size: float) -> float:
    """Millimetres from one line of text to the next, for a font size in points."""
    return 1.2 * size * _MM_PER_POINT


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Millimetres that plain text takes, its longest line counting; in `paper_style`."""
    family = tuple(mpl.rcParams["font.family"])
    return size * max(_line_width(line, weight, family) for line in text.split("\n"))


@lru_cache(maxsize=4096)
def _line_width(line: str, weight: str, family: tuple[str, ...]) -> float:
    """Millimetres of one line, per point of its font size."""
    if not line.strip():
        return 0.0
    font = FontProperties(family=list(family), weight=weight)
    return TextPath((0, 0), line, size=100, prop=font).get_extents().x1 * _MM_PER_POINT / 100


def wrap(text: str, width: float, size: float, weight: str = "normal") -> str:
    """Break plain text into lines that fit `width` millimetres; a word that is too long is cut."""
    total = text_width(text, size, weight)
    if total <= width:
        return text
    letters = max(4, int(len(text) * width / total))
    while letters > 4:
        wrapped = textwrap.fill(text, letters)
        if text_width(wrapped, size, weight) <= width:
            return wrapped
        letters -= 1
    return textwrap.fill(text, letters)


def fitting_size(texts: Iterable[str], width: float, size: float) -> float:
    """`size`, or less down to 5 points so that each text fits `width` millimetres."""
    widest = max(text_width(t, size) for t in texts)
    return size if widest <= width else max(5.0, size * width / widest)


def fitted(text: str, width: float, size: float) -> str:
    """Plain text on one line of `width` millimetres, cut with an ellipsis if it is longer."""
    if text_width(text, size) <= width:
        return text
    end = bisect(range(1, len(text)), width, key=lambda letters: text_width(text[:letters] + "…", size))
    return text[:end].rstrip() + "…"


class Page:
    """A sheet of paper; everything is placed in millimetres from its upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / MM_PER_INCH, height / MM_PER_INCH))

    def axes(self, left: float, top: float, width: float, height: float, **options: Any) -> Axes:
        """Axes whose frame fills a place."""
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(place, **options)

    def text(self, left: float, top: float, text: str, size: float = 7, **options: Any) -> None:
        """Plain text whose upper left corner (unless `ha` and `va` say otherwise) is at a place."""
        options = {"ha": "left", "va": "top", "linespacing": 1.15} | options
        self.figure.text(left / self.width, 1 - top / self.height, text, fontsize=size, **options)

    def colour_bar(
        self, top: float, limits: tuple[float, float], cmap: mpl.colors.Colormap, label: str, length: float = 40
    ) -> None:
        """A horizontal bar, `BAR_HEIGHT` in all, with its label to the right."""
        length = min(length, 0.42 * self.width)
        ax = self.axes(_BAR_LEFT, top, length, 2)
        bar = ax.figure.colorbar(ScalarMappable(Normalize(*limits), cmap), cax=ax, orientation="horizontal")
        bar.locator = MaxNLocator(4, steps=[1, 2, 5, 10])
        bar.outline.set_linewidth(0.4)
        bar.solids.set_rasterized(True)  # vector cells with see-through colours would show seams
        right = _BAR_LEFT + length + 4
        self.text(right, top - 0.6, "\n".join(wrap(line, self.width - right - 1, 7) for line in label.split("\n")))


#: Millimetres that a colour bar takes, its numbers and two lines of label included.
BAR_HEIGHT = 7.0
_BAR_LEFT = 4.0


class Heading:
    """A title over the whole width, wrapped."""

    def __init__(self, title: str, width: float, size: float = 8) -> None:
        self.text, self.size = wrap(title, width - 1, size, "bold"), size
        self.height = line_height(size) * (self.text.count("\n") + 1) + 1.5

    def draw(self, page: Page) -> None:
        """Write it at the top."""
        page.text(0.5, 0.5, self.text, self.size, fontweight="bold")


def per_line(count: int, width: float, least: float, gap: float) -> int:
    """How many of `count` equal panels to put on a line, none narrower than `least` millimetres."""
    most = max(1, int((width + gap) / (least + gap)))
    lines = -(-count // most)
    return -(-count // lines)


class Facets:
    """Equal panels with axes, read like text; titles are plain and wrapped."""

    def __init__(self, titles: list[str], width: float, heading: str, bottom: float, foot: float = 0) -> None:
        self.columns = per_line(len(titles), width, 40, 0)
        self.cell = min(width / self.columns, 75.0)
        self.titles = ["\n".join(wrap(line, self.cell - 5, 7) for line in t.split("\n")) for t in titles]
        self.top = line_height(7) * (1 + max(t.count("\n") for t in self.titles)) + 2
        self.height = min(0.8 * (self.cell - _LEFT), 48.0)
        self.line = self.top + self.height + bottom
        head = Heading(heading, width)
        self.start = head.height
        self.page = Page(width, head.height + -(-len(titles) // self.columns) * self.line + foot)
        self.foot = self.page.height - foot
        head.draw(self.page)

    def axes(self, i: int) -> Axes:
        """Panel `i`, with its title."""
        line, column = divmod(i, self.columns)
        left, above = column * self.cell, self.start + line * self.line + self.top
        self.page.text(left + 3, above - 1.2, self.titles[i], va="bottom")
        return self.page.axes(left + _LEFT, above, self.cell - _LEFT - 2, self.height)


#: Millimetres left of a panel for its axis label and numbers.
_LEFT = 11.0
