"""Make perceptually even colours with rising opacity, the same for screen and print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Perceptually even colour maps that are offered; rainbow maps such as jet invent borders where there are none.
SEQUENTIAL = ("viridis", "cividis", "plasma", "inferno", "magma")
DIVERGING = ("RdBu_r", "PuOr_r", "BrBG_r", "PRGn_r")

#: Okabe and Ito's colours, told apart with any colour vision; yellow, too pale for lines and points, left out.
CATEGORIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")

_STEPS = 256


def colours(name: str | None, signed: bool, opacity: float) -> np.ndarray:
    """Colours of a map that is drawn over a photo.

    Parameters
    ----------
    name
        One of `SEQUENTIAL`, or of `DIVERGING` for signed maps; None for the default.
    signed
        Whether zero lies in the middle.
    opacity
        Of strong cells, 0 to 1. Towards zero evidence the colours become transparent, so that the photo shows.

    Returns
    -------
    numpy.ndarray
        (256, 4) red, green, blue, alpha in [0, 1].
    """
    allowed = DIVERGING if signed else SEQUENTIAL
    name = name or allowed[0]
    if name not in allowed:
        kind = "signed maps" if signed else "maps of positive evidence"
        raise ValueError(f"cmap must be one of {', '.join(map(repr, allowed))} for {kind}. Got {name!r} instead.")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must be in the range [0, 1]. Got {opacity!r} instead.")
    position = np.linspace(0, 1, _STEPS)
    # The darkest quarter of a sequential map cannot be told from a dark wing: begin above it.
    rgba = mpl.colormaps[name](position if signed else 0.25 + 0.75 * position)
    distance = np.abs(position - 0.5) * 2 if signed else position
    rgba[:, 3] = opacity * np.clip(distance / 0.5, 0, 1)
    return rgba


def for_plotly(rgba: np.ndarray) -> list[list[object]]:
    """Colours as a plotly colour scale."""
    stops = np.linspace(0, len(rgba) - 1, 33).round().astype(int)
    return [
        [float(i / (len(rgba) - 1)), "rgba({:.0f},{:.0f},{:.0f},{:.3f})".format(*(255 * rgba[i, :3]), rgba[i, 3])]
        for i in stops
    ]


def ink_on(rgba: Sequence[float]) -> str:
    """Black or white, whichever contrasts more with a colour (red, green, blue in [0, 1]; by WCAG's luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgba[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.18 else "white"
