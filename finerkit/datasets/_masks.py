"""Read masks of the drawn photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from finerkit.base.names import choice, resolve

if TYPE_CHECKING:
    import xarray as xr

#: Values of the masks of parts.
PART_LABELS = {"background": 0, "forewings": 1, "hindwings": 2, "body": 3, "antennae": 4}

MASK_KINDS = ("animal", "parts", "trait")


def mask(images: xr.Dataset, image: str, kind: str = "animal") -> np.ndarray:
    """Read a mask of one photo of `mimics`, aligned with it pixel by pixel.

    Parameters
    ----------
    images
        What `mimics` returned (a selection of it will do).
    image
        Id of the photo, an entry of ``images.image``.
    kind
        "animal" (any part of any animal), "parts" (see `PART_LABELS`) or "trait" (where the planted trait is or, in the
        species that lacks it, would be).

    Returns
    -------
    numpy.ndarray
        (height, width): bool, or uint8 for "parts".

    Raises
    ------
    ValueError
        If `images` has no masks, or `image` or `kind` is unknown.

    Examples
    --------
    >>> images = fk.datasets.mimics(2)  # doctest: +SKIP
    >>> fk.datasets.mask(images, images.image.values[0], "trait").mean()  # doctest: +SKIP
    """
    choice(kind, MASK_KINDS, "kind")
    folder = images.attrs.get("masks")
    if folder is None:
        raise ValueError("These images have no masks: expected the Dataset returned by fk.datasets.mimics().")
    image = resolve(str(image), images["image"].values, "image", "See images.image.values.")
    with Image.open(Path(folder, kind, image).with_suffix(".png")) as png:
        values = np.asarray(png)
    return values.astype(np.uint8) if kind == "parts" else values > 0
