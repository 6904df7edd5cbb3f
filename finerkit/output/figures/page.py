"""Make pages for print with matplotlib: settings, and a width in millimetres from which the height follows."""

from __future__ import annotations

import textwrap
from functools import lru_cache
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractContextManager

    import numpy as np

MM_PER_INCH = 25.4
_PAD = 0.6 / MM_PER_INCH  # around each panel, and at the page's edges
#: What journals ask for, where the machine has it; the last comes with matplotlib and knows most scripts.
_FONTS = ("Arial", "Liberation Sans", "DejaVu Sans")
_STYLE = {
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "text.parse_math": False,
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.titlepad": 2,
    "axes.labelpad": 2,
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "legend.frameon": False,
}


def paper_style() -> AbstractContextManager[None]:
    """Settings for print: text stays text in PDF (TrueType, embedded) and becomes outlines in SVG."""
    known = {font.name for font in fontManager.ttflist}
    return mpl.rc_context(_STYLE | {"font.family": [f for f in _FONTS if f in known]})


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = 7, weight: str = "normal") -> float:
    """Millimetres that plain text takes, its longest line counting; in `paper_style`."""
    font = FontProperties(family=list(mpl.rcParams["font.family"]), weight=weight, size=size)
    widths = [TextPath((0, 0), line, prop=font).get_extents().x1 for line in text.split("\n") if line.strip()]
    return max(widths, default=0.0) * MM_PER_INCH / 72


def wrap(text: str, width: float, size: float = 7, weight: str = "normal") -> str:
    """Break lines of plain text that are wider than `width` millimetres; a word that is too long is cut."""
    lines = []
    for line in text.split("\n"):
        letters = int(len(line) * min(1.0, 1.3 * width / max(text_width(line, size, weight), width)))
        while letters > 4 and text_width(textwrap.fill(line, letters), size, weight) > width:
            letters -= 1
        lines.append(textwrap.fill(line, max(letters, 4)))
    return "\n".join(lines)


def per_line(count: int, width: float, least: float) -> int:
    """How many of `count` equal panels to put on a line, none narrower than `least` millimetres."""
    lines = -(-count // max(1, int(width / least)))
    return -(-count // lines)


def page(title: str, width: float, columns: int, ratios: Sequence[float]) -> tuple[Figure, np.ndarray]:
    """Lines of equal panels under a title.

    Parameters
    ----------
    title
        Plain text.
    width
        Of the page, in millimetres.
    columns
        Panels to a line.
    ratios
        Height of each line's panels, in their widths.

    Returns
    -------
    tuple of matplotlib.figure.Figure and numpy.ndarray
        The page, higher than it need be until `settle` is called, and its axes (line, column).
    """
    height = width / columns * sum(ratios) + 40 * len(ratios) + 60
    figure = Figure((width / MM_PER_INCH, height / MM_PER_INCH), layout="constrained")
    figure.get_layout_engine().set(w_pad=_PAD, h_pad=1.5 * _PAD, wspace=0, hspace=0)
    figure.suptitle(wrap(title, width - 2, 8, "bold"), x=0.6 / width, ha="left", size=8, weight="bold")
    return figure, figure.subplots(len(ratios), columns, squeeze=False, height_ratios=ratios)


def panels_page(title: str, titles: Collection[str], width: float) -> tuple[Figure, np.ndarray]:
    """A `page` of panels for plots, each under its own title (plain text, wrapped)."""
    count = per_line(len(titles), width, 40)
    columns = max(count, int(width // 80))
    inner = width / columns - 10  # without the numbers and the label at the left
    lines = -(-len(titles) // columns)
    figure, axes = page(title, width, columns, [min(0.8, 48 / inner)] * lines)
    for ax, text in zip(axes.flat, titles, strict=False):
        ax.set_title(wrap(text, inner), loc="left")
    for ax in axes.flat[len(titles) :]:
        ax.set_axis_off()
    return figure, axes


def settle(figure: Figure) -> Figure:
    """Make a page, on which all is drawn, as high as its panels need."""
    shapes = [(ax, ax.get_aspect()) for ax in figure.axes]
    for ax, _ in shapes:
        ax.set_aspect("auto")  # so that panels fill their slots, and the space that words take is seen
    grid = figure.axes[0].get_gridspec()
    for _ in range(2):
        figure.get_layout_engine().execute(figure)
        slots = [ax.get_position(original=True) for ax in figure.axes[: grid.nrows * grid.ncols : grid.ncols]]
        width, height = figure.get_size_inches()
        panels = sum(grid.get_height_ratios()) * slots[0].width * width
        figure.set_figheight(height * (1 - sum(slot.height for slot in slots)) + panels)
    for ax, shape in shapes:
        ax.set_aspect(shape)
    figure.set_layout_engine("none")  # what is settled stays, and saving is quicker
    return figure


def colour_bar(figure: Figure, axes: np.ndarray, limits: tuple[float, float], colours: np.ndarray, label: str) -> None:
    """A horizontal bar below all panels, its label above it."""
    width = figure.get_figwidth() * MM_PER_INCH
    length = min(40, 0.5 * width)
    cmap = mpl.colors.ListedColormap(colours)
    bar = figure.colorbar(
        ScalarMappable(Normalize(*limits), cmap), ax=axes, location="bottom", shrink=length / width, pad=0.01,
        aspect=length / 2, ticks=MaxNLocator(4, steps=[1, 2, 5, 10]),
    )  # fmt: skip
    bar.ax.set_title(wrap(label, width - 4), pad=3)
    bar.outline.set_linewidth(0.4)
    bar.solids.set_rasterized(True)  # vector cells with see-through colours would show seams
