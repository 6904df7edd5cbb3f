"""Choose the most typical photos for a guide, and make data URLs of pictures."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finerkit.photo_display import display_photo, is_there
from finerkit.widgets.photos import encoded

if TYPE_CHECKING:
    import xarray as xr
    from PIL import Image

#: Columns of a table whose text belongs under a photo, if it is there.
CREDITS = ("photographer", "credit", "creator", "rightsholder", "rights", "license", "licence")


class Picture(NamedTuple):
    """A photo for the page; ``source`` is a data URL, ``width`` and ``height`` its shape in pixels."""

    image: str
    source: str
    width: int
    height: int
    credit: str


def data_url(picture: Image.Image, quality: int = 80) -> str:
    """The picture as the text that an ``img`` shows without fetching anything."""
    return f"data:image/jpeg;base64,{base64.b64encode(encoded(picture, quality)).decode()}"


def pictures(photos: xr.Dataset, ids: list[str], count: int, pixels: int) -> list[Picture]:
    """Return the first `count` of these photos whose files are there.

    Parameters
    ----------
    photos
        Table of photos: a study's ``/images``, or a comparison.
    ids
        Best first.
    count
        How many.
    pixels
        Longest side.
    """
    there = [image for image in ids if is_there(str(photos["path"].sel(image=image).item()))]
    found = []
    for image in there[:count]:
        one = photos.sel(image=image)
        photo = display_photo(str(one["path"].item()), (int(one["width"]), int(one["height"])), pixels)
        found.append(Picture(image, data_url(photo), *photo.size, _credit(one)))
    return found


def _credit(one: xr.Dataset) -> str:
    known = {str(name).casefold(): str(one[name].item()) for name in one.data_vars if one[name].ndim == 0}
    return ", ".join(v for v in (known.get(c, "") for c in CREDITS) if v not in ("", "nan", "None"))


def typical_in_study(study: xr.DataTree, species: str) -> list[str]:
    """Ids of a species' photos, the nearest to its mean embedding first."""
    from finerkit.labels import usable_labels

    images = study["images"].to_dataset()
    ids = images["image"].values[usable_labels(images) == species]
    stored = study["features"].to_dataset()["embedding"]
    embedding = stored.isel(image=stored.indexes["image"].get_indexer(ids)).values.astype(np.float64)
    prototype = study["species"].to_dataset()["prototype"].sel(species=species).values
    distance = np.linalg.norm(embedding - prototype, axis=1)
    return [str(i) for i in ids[np.argsort(distance, kind="stable")]]
