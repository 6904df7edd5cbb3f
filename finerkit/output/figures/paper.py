"""Make figures for papers: they know what they show, and draw it for print."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from finerkit.output.figures.page import paper_style

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from matplotlib.figure import Figure

_ENDINGS = (".png", ".svg", ".pdf", ".html")
#: Widths, in millimetres, in which text can be read and a page can hold: outside, something was meant in another unit.
_WIDTHS = (40, 1000)


class PrintFigure:
    """A figure that knows what it shows, and draws it for print without a browser or a network.

    Parameters
    ----------
    content
        What is drawn: a data class with a ``title`` and a ``caption``, in words, and the numbers.
    paper
        Draws it, given a width in millimetres, within `finerkit.figures.page.paper_style`.
    """

    def __init__(
        self, *args: Any, content: Any = None, paper: Callable[[float], Figure] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._content, self._paper = content, paper

    @property
    def content(self) -> Any:
        """All that is drawn, as a data class: numbers in their units, texts plain."""
        if self._content is None:
            raise ValueError(
                "This copy of the figure no longer knows its numbers: call the function of fk.figures that drew it, "
                "again."
            )
        return self._content

    @property
    def caption(self) -> str:
        """What was computed, in words, for the figure's legend in a paper."""
        return self.content.caption

    def draw(self, width_mm: float = 180) -> Figure:
        """Draw the figure for print.

        Parameters
        ----------
        width_mm
            Width in millimetres, 40 to 1000; the height follows. Many journals print columns of 89 mm and pages of
            180 mm.

        Returns
        -------
        matplotlib.figure.Figure
            A figure of its own, known to no window; save it within `finerkit.figures.page.paper_style`.
        """
        if not _WIDTHS[0] <= width_mm <= _WIDTHS[1]:
            raise ValueError(
                f"width_mm must be in the range [{_WIDTHS[0]}, {_WIDTHS[1]}], in millimetres. Got {width_mm!r} "
                "instead; try save(path, width_mm=89) or 180."
            )
        self.content  # noqa: B018 - a copy that no longer knows its numbers says so
        with paper_style():
            return self._paper(width_mm)

    def to_png(self, width_mm: float = 180, dpi: int = 100) -> bytes:
        """The print figure as the bytes of a PNG file; for the parameters see `save`."""
        buffer = io.BytesIO()
        with paper_style():
            self.draw(width_mm).savefig(buffer, format="png", dpi=dpi)
        return buffer.getvalue()

    def save(self, path: str | os.PathLike[str], width_mm: float = 180, dpi: int = 300) -> Path:
        """Save the figure for print; works offline.

        Drawn anew from the same numbers; later changes to a plotly layout are not part of it (``write_html`` keeps
        them).

        Parameters
        ----------
        path
            Ending in .png, .svg or .pdf (vector; fonts embedded or outlined), or .html for the figure as a notebook
            shows it.
        width_mm
            Width in millimetres, 40 to 1000; the height follows. Many journals print columns of 89 mm and pages of
            180 mm.
        dpi
            Resolution of .png and of the photos in the others.

        Returns
        -------
        pathlib.Path
            The file.
        """
        content, path = self.content, Path(path)
        kind = path.suffix.lower()
        if kind not in _ENDINGS:
            raise ValueError(f"The file must end in {', '.join(_ENDINGS)}. Got {path.name!r} instead.")
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == ".html":
            path.write_text(self._page(), encoding="utf-8")
            return path
        words = {"Title": content.title, "Subject" if kind == ".pdf" else "Description": content.caption}
        with paper_style():
            self.draw(width_mm).savefig(path, dpi=dpi, metadata=words)
        return path

    def _repr_html_(self) -> str:
        """The print figure as a picture, for notebooks."""
        picture = base64.b64encode(self.to_png()).decode()
        return f'<img alt="{html.escape(self.caption)}" src="data:image/png;base64,{picture}">'

    def _page(self) -> str:
        """What an HTML file holds: it opens offline."""
        return f'<!doctype html><meta charset="utf-8">{self._repr_html_()}'


class PaperFigure(PrintFigure, go.Figure):
    """A plotly figure for the screen that draws itself anew for print."""

    _repr_html_ = go.Figure._repr_html_

    def _page(self) -> str:
        """The interactive figure with plotly itself inside, so that it opens offline."""
        return self.to_html(include_plotlyjs=True)
