"""What a comparison is asked: names, numbers and ids as people type them enter; species and photos of a study leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from finerkit.images import usable
from finerkit.names import resolve
from finerkit.similarity import head_species, similar_species
from finerkit.species import usable_labels

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The paper's default number of references.
DEFAULT_REFERENCES = 3


def choose_references(
    study: xr.DataTree, target: str, references: str | int | Iterable[str], by: str | None = None
) -> tuple[list[str], dict[str, Any]]:
    """Turn the `references` of `compare` into names, and say in attrs how they were picked, with their scores."""
    known = head_species(study)
    others = [s for s in known if s != target]
    if not others:
        raise ValueError(f"{target!r} is the only species of this study: there is nothing to compare it with.")
    automatic = isinstance(references, str) and references == "auto"
    if automatic or (isinstance(references, int | np.integer) and not isinstance(references, bool)):
        k = DEFAULT_REFERENCES if automatic else int(references)
        if k < 1:
            raise ValueError(f"references must be 'auto', a number in the range [1, inf), or names. Got {k} instead.")
        if by is None:
            with_photo = study["species"]["count"].sel(species=target).item() > 0
            rivals = (study["species"]["count"].values > 0).sum() > with_photo
            by = "embedding" if with_photo and rivals else ("weights" if "weight" in study["species"] else "logits")
        scores = similar_species(study, target, by, k)
        scores = scores[scores.notnull()]
        return [str(s) for s in scores.species.values], {
            "picked_by": by,
            "reference_scores": [float(v) for v in scores.values],
        }
    names = [references] if isinstance(references, str) else list(references)
    if not names:
        raise ValueError("references is empty: name at least one species, or leave it out for the nearest look-alikes.")
    chosen = [resolve(r, known, "reference species") for r in names]
    if target in chosen:
        raise ValueError(f"{target!r} is the target and cannot be its own reference. Others are {_some(others)}.")
    twice = sorted({r for r in chosen if chosen.count(r) > 1})
    if twice:
        raise ValueError(f"Each reference counts once. Named twice: {', '.join(map(repr, twice))}.")
    return chosen, {"picked_by": "user", "reference_scores": []}


def choose_images(
    study: xr.DataTree, target: str, images: str | Iterable[str] | xr.Dataset | xr.DataArray | None
) -> xr.Dataset:
    """Turn the `images` of `compare` into a Dataset of usable photos, like ``/images``."""
    all_photos = study["images"].to_dataset()
    if isinstance(images, xr.Dataset):
        if "path" not in images or "status" not in images:
            raise ValueError("New photos are given as fk.read_images(...) returns them.")
        chosen = images.isel(image=usable(images))
        if not chosen.sizes["image"]:
            raise ValueError("None of these photos can be used: their 'status' says why.")
        return chosen
    good = usable(all_photos)
    if images is None:
        labels = usable_labels(all_photos)
        chosen = all_photos.isel(image=labels == target)
        if not chosen.sizes["image"]:
            with_photos = sorted(set(labels) - {""})
            raise ValueError(
                f"This study has no usable photo of {target!r} to explain. Say which photos to explain with "
                "images=[...] or "
                f"images='all', or choose a species with photos: {_some(with_photos)}."
            )
        return chosen
    ids = [str(i) for i in all_photos.image.values]
    if isinstance(images, str) and images == "all":
        return all_photos.isel(image=good)
    wanted = (
        [images]
        if isinstance(images, str)
        else [str(i) for i in np.atleast_1d(getattr(images, "values", list(images)))]
    )
    wanted = [resolve(w, ids, "photo", "study['images'].image lists all.") for w in dict.fromkeys(wanted)]
    if not wanted:
        raise ValueError("images is empty: name at least one photo, or leave it out for all photos of the target.")
    chosen = all_photos.sel(image=wanted)
    if not usable(chosen).all():
        bad = chosen.isel(image=int(np.flatnonzero(~usable(chosen))[0]))
        raise ValueError(f"{bad.image.item()!r} cannot be explained: {bad.status.item()}.")
    return chosen


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
