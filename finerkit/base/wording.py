"""Write names, numbers and plain text for a reader, and for plotly."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

MINUS = "\N{MINUS SIGN}"


def shown(name: str) -> str:
    """A species name as it is shown: underscores as spaces."""
    return name.replace("_", " ")


def join(names: Iterable[str]) -> str:
    """Names as a list in a sentence."""
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def short(value: float) -> str:
    """A number with two significant digits; whole from 10 up."""
    if value == 0:
        return "0"
    return f"{value:.0f}" if abs(value) >= 9.95 else f"{value:#.2g}".replace("-", MINUS)


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals; never minus nothing."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", MINUS)


def probability(p: float) -> str:
    """A p-value, as journals print it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2f}" if p >= 0.095 else f"p = {p:.3f}"


def share(value: float, whole: str = "the margin") -> str:
    """How much of the margin something holds, or that this cannot be said."""
    return f"{value:.0%} of {whole}" if np.isfinite(value) else f"share not given, as {whole} is near zero"


def counted(number: int, noun: str) -> str:
    """'1 photo', '3 photos'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def safe(text: str) -> str:
    """Plain text for plotly, which reads HTML, ``$formulas$`` and ``%{templates}``; new lines stay new lines."""
    escaped = html.escape(text, quote=False).replace("$", "&#36;").replace("{", "&#123;")
    return escaped.replace("\n", "<br>")
