"""Photos of a guide: a study or a comparison enters; the most typical photos, and pictures as data URLs, leave."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from finerkit.photo import PhotoError, load_image
from finerkit.widgets.photos import encoded

if TYPE_CHECKING:
    import xarray as xr

#: Columns of a table whose text belongs under a photo, if it is there.
CREDITS = ("photographer", "credit", "creator", "rightsholder", "rights", "license", "licence")


class Picture(NamedTuple):
    """A photo for the page; ``source`` is a data URL, ``width`` and ``height`` its shape in pixels."""

    image: str
    source: str
    width: int
    height: int
    credit: str


def read_photo(path: str, size: tuple[int, int], pixels: int) -> Image.Image | None:
    """A photo for display, its longest side `pixels` at most; None where its file cannot be read."""
    scale = min(1.0, pixels / max(*size, 1))
    small = tuple(max(1, round(s * scale)) for s in size)
    try:
        return load_image(path, need=pixels).resize(small, Image.Resampling.LANCZOS)
    except PhotoError:
        return None


def data_url(picture: Image.Image, quality: int = 80) -> str:
    """The picture as the text that an ``img`` shows without fetching anything."""
    return f"data:image/jpeg;base64,{base64.b64encode(encoded(picture, quality)).decode()}"


def pictures(photos: xr.Dataset, ids: list[str], count: int, pixels: int) -> list[Picture]:
    """The first `count` of these photos whose files can be read.

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
    found: list[Picture] = []
    for image in ids:
        if len(found) == count:
            break
        one = photos.sel(image=image)
        photo = read_photo(str(one["path"].item()), (int(one["width"]), int(one["height"])), pixels)
        if photo is not None:
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
