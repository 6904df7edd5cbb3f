"""Write HTML without accidents: every piece of text is escaped.

Only `Markup` counts as HTML, and only the functions here (and our own fixed texts) make it: whatever comes from names,
files and tables is an ordinary str and is escaped on its way in.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from finerkit.figures.words import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_VOID = frozenset({"br", "col", "hr", "img", "meta"})

#: Control characters, line separators and marks that turn the direction of writing: nothing that a name should do.
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_BINOMIAL = re.compile(r"[A-Z][a-z]+(?: [a-z][a-z-]+){1,2}")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def plain(value: Any) -> str:
    """Text of one line of writing: odd characters become spaces."""
    return _ODD.sub(" ", str(value))


def escaped(value: Any) -> Markup:
    """Markup as it is; anything else as text."""
    return value if isinstance(value, Markup) else Markup(html.escape(plain(value)))


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """One element.

    Parameters
    ----------
    name
        Of the element.
    *children
        `Markup`, or texts, which are escaped; None is left out.
    **attributes
        ``class_`` stands for ``class``, ``aria_label`` for ``aria-label``; None and False are left out, True is bare.
    """
    words = [name]
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(attribute)
        elif value is not None and value is not False:
            words.append(f'{attribute}="{html.escape(plain(value))}"')
    opened = f"<{' '.join(words)}>"
    return Markup(opened if name in _VOID else f"{opened}{together(children)}</{name}>")


def together(parts: Iterable[Any], between: str = "") -> Markup:
    """Parts one after the other, with a text `between`; None is left out."""
    return Markup(escaped(between).join(escaped(p) for p in parts if p is not None))


def listed(parts: Sequence[Any], last: str = "and") -> Markup:
    """Parts as a list in a sentence."""
    if len(parts) < 2:
        return together(parts)
    return together([together(parts[:-1], ", "), f" {last} ", parts[-1]])


def species_name(name: str) -> Markup:
    """A name as it is shown; scientific names in italics."""
    text = shown(name)
    return tag("i", text) if _BINOMIAL.fullmatch(text) else escaped(text)
