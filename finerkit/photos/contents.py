"""Say which photos are the same, by what their files hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


def are_same(study: xr.DataTree, photos: xr.Dataset) -> bool:
    """Whether these are photos of the study; another folder may use the same ids for other ones."""
    kept = study["images"].to_dataset()
    known = dict(zip(kept["image"].values, contents(kept, photos), strict=True))
    return all(known.get(i) == c for i, c in zip(photos["image"].values, contents(photos, kept), strict=True))


def contents(photos: xr.Dataset, *others: xr.Dataset) -> list[str]:
    """What tells each photo from any other: the hash of its file, its fingerprint, or its path where there is neither.

    Hashes are left out where one of the datasets has none: only what all of them know can be compared.
    """
    hashed = all("sha256" in d for d in (photos, *others))
    known = [photos[v].values for v in ("sha256", "fingerprint") if v in photos and (hashed or v != "sha256")]
    return [next(filter(None, row)) for row in zip(*known, photos["path"].values, strict=True)]
