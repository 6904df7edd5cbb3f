"""Make one text of a browser module that stands alone, imports and all.

Notebooks load a module from a blob, from where it cannot import a neighbour; so neighbours are written into it.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|let|class) )", re.MULTILINE)


@cache
def module(name: str) -> str:
    """Text of one ES module, its neighbours written in ahead of it; only its own default export is left.

    Parameters
    ----------
    name
        Of a file in ``finerkit/widgets/static``.
    """
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", _text(part))) for part in _in_order(name, ()))


@cache
def style() -> str:
    """The style sheet of all explorers."""
    return _text("explorer.css")


def _text(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def _in_order(name: str, above: tuple[str, ...]) -> list[str]:
    """The module and what it imports, each once, what is needed first."""
    if name in above:
        raise ValueError(f"Browser modules import each other in a circle: {' -> '.join([*above, name])}.")
    parts: list[str] = []
    for needed in _IMPORT.findall(_text(name)):
        parts += [p for p in _in_order(needed, (*above, name)) if p not in parts]
    return [*parts, name]
