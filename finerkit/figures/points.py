"""Place the values of a group side by side, so that points stay apart."""

from __future__ import annotations

import numpy as np


def sideways(values: np.ndarray) -> np.ndarray:
    """Places of a group's points across, in [-1, 1]: the same at each drawing, those of similar height far apart."""
    places = np.zeros(len(values))
    golden = (np.sqrt(5) - 1) / 2  # successive multiples, less their whole part, fall far from one another
    places[np.argsort(values, kind="stable")] = 2 * ((np.arange(len(values)) + 1) * golden % 1) - 1
    return places if len(values) > 1 else np.zeros(1)
