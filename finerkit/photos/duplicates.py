"""Find photos that are there twice, by the content of their files."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from finerkit.base.names import listed
from finerkit.photos.decode import checksum

if TYPE_CHECKING:
    import xarray as xr


class DuplicateWarning(UserWarning):
    """The same photo is there under two species; the message names the pairs, `duplicate_of` keeps all copies."""


def duplicate_of(images: xr.Dataset) -> np.ndarray:
    """Find copies: text (image,), the id of the first usable photo with the same bytes; "" for photos that are none."""
    ids, content = images["image"].values, _contents(images)
    first = content.drop_duplicates()
    copies = content[content.duplicated()]
    found = np.full(len(ids), "", object)
    found[copies.index] = ids[pd.Series(first.index, first)[copies]]
    return found


def _contents(images: xr.Dataset) -> pd.Series:
    """SHA-256 of the files of usable photos that may have a copy, by position; read now where it is not known."""
    prints = pd.Series(images["fingerprint"].values, dtype=object)
    prints = prints[(images["status"].values == "ok") & (prints != "")]
    alike = prints.index[prints.duplicated(keep=False)]
    known, paths = (images[v].values if v in images else [""] * len(images["path"]) for v in ("sha256", "path"))
    contents = pd.Series([known[i] or checksum(paths[i]) for i in alike], alike, object)
    return contents[contents != ""]


def warn_duplicates(images: xr.Dataset) -> None:
    """Name, in one `DuplicateWarning`, the photos that are there under two species; "" contradicts none."""
    photos = pd.DataFrame({v: images[v].values for v in ("image", "species", "duplicate_of")}, dtype=object)
    photos = photos[photos["species"] != ""]
    content = photos["duplicate_of"].where(photos["duplicate_of"] != "", photos["image"])
    photos[["first", "known"]] = photos.groupby(content)[["image", "species"]].transform("first")
    wrong = photos[photos["species"] != photos["known"]]
    pairs = [f"{row.first!r} ({row.known}) and {row.image!r} ({row.species})" for row in wrong.itertuples()]
    if not pairs:
        return
    warnings.warn(
        f"{len(pairs)} pairs of photos are the same file under two species, so one of each is labelled wrongly: "
        f"{listed(pairs[:5], len(pairs), '; ')}. Correct the labels and read the photos again. The variable "
        "'duplicate_of' names the first photo of which each other one is a copy.",
        DuplicateWarning,
        stacklevel=3,
    )
