"""Make figures for papers: plotly figures that save themselves for print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import plotly.graph_objects as go

from finerkit.figures.page import paper_style

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from matplotlib.figure import Figure

_ENDINGS = (".png", ".svg", ".pdf", ".html")
#: Widths, in millimetres, in which text can be read and a page can hold: outside, something was meant in another unit.
_WIDTHS = (40, 1000)


class Content(Protocol):
    """What a figure shows, before it is drawn."""

    @property
    def caption(self) -> str:
        """What was computed, in words."""
        ...


class PaperFigure(go.Figure):
    """A plotly figure that knows what it shows, so that it can be saved for print without a browser or a network."""

    def __init__(
        self,
        *args: Any,
        content: Content | None = None,
        paper: Callable[[float], Figure] | None = None,
        **kwargs: Any,
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

    def save(self, path: str | os.PathLike[str], width_mm: float = 180, dpi: int = 300) -> Path:
        """Save the figure for print; works offline.

        Drawn anew from the same numbers; later changes to the plotly layout are not part of it (``write_html`` keeps
        them).

        Parameters
        ----------
        path
            Ending in .png, .svg or .pdf (vector; fonts embedded or outlined), or .html for the interactive figure.
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
        if path.suffix.lower() not in _ENDINGS:
            raise ValueError(f"The file must end in {', '.join(_ENDINGS)}. Got {path.name!r} instead.")
        if not _WIDTHS[0] <= width_mm <= _WIDTHS[1]:
            raise ValueError(
                f"width_mm must be in the range [{_WIDTHS[0]}, {_WIDTHS[1]}], in millimetres. Got {width_mm!r} "
                "instead; try save(path, width_mm=89) or 180."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".html":
            self.write_html(path, include_plotlyjs=True)  # plotly itself inside, so that it opens offline
            return path
        words = {
            "Title": getattr(content, "title", ""),
            ("Description" if _is_image(path) else "Subject"): self.caption,
        }
        with paper_style():
            self._paper(width_mm).savefig(path, dpi=dpi, metadata=words)
        return path


def _is_image(path: Path) -> bool:
    return path.suffix.lower() != ".pdf"
