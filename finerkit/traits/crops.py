"""Say where to look: the square of a photo that shows a region of a trait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr


def around(box: np.ndarray, width: float, height: float) -> tuple[float, float, float, float]:
    """A square with some surroundings, as far as possible within the photo.

    Parameters
    ----------
    box
        Left, top, right, bottom of a region, in pixels of the upright original.
    width, height
        Of the photo.

    Returns
    -------
    tuple of float
        Left, top, right, bottom; it sticks out of a long photo only where the square is wider than that.
    """
    left, top, right, bottom = box
    side = min(max(1.8 * max(right - left, bottom - top), 0.3 * max(width, height)), max(width, height))
    x = np.clip((left + right) / 2, min(side / 2, width / 2), max(width - side / 2, width / 2))
    y = np.clip((top + bottom) / 2, min(side / 2, height / 2), max(height - side / 2, height / 2))
    return float(x - side / 2), float(y - side / 2), float(x + side / 2), float(y + side / 2)


def exemplar_regions(traits: xr.Dataset, k: int, count: int) -> list[int]:
    """The strongest region of a trait in each of its best photos, best first."""
    mine = traits["region_trait"].values == k
    images, evidence = traits["region_image"].values, traits["region_evidence"].values
    found = (np.flatnonzero(mine & (images == image)) for image in traits["exemplar"].values[k][:count])
    return [int(at[evidence[at].argmax()]) for at in found if len(at)]
