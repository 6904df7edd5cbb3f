"""Masks of animals, as people give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

#: Animal masks: a function or mapping from image id to a boolean (height, width) array; None where there are none.
Masks = Callable[[str], np.ndarray] | Mapping[str, np.ndarray] | None


def mask_of(masks: Masks, image: str, photo: xr.Dataset) -> np.ndarray | None:
    """The mask of one photo, checked; None where there is none."""
    try:
        mask = masks[image] if isinstance(masks, Mapping) else masks(image)
    except KeyError:
        return None
    if mask is None:
        return None
    mask = np.asarray(mask).astype(bool)
    expected = int(photo["height"]), int(photo["width"])
    if mask.shape != expected:
        raise ValueError(
            f"The mask of {str(image)!r} must be (height, width) = {expected}. Got shape {mask.shape} instead."
        )
    return mask
