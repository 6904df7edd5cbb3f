"""Turn what a comparison is asked, as people type it, into species and photos of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from finerkit.base.checks import whole
from finerkit.base.labels import usable_labels
from finerkit.base.names import choice, resolve
from finerkit.base.text import typed_names
from finerkit.photos.read import usable
from finerkit.species.similarity import MEASURES, head_species, similar_species

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The paper's default number of references.
DEFAULT_REFERENCES = 3


class References(NamedTuple):
    """Reference species, nearest first, and how they were picked: "user", or by which measure of similarity.

    ``scores`` are their similarities to the target; there are none for references that were named by hand.
    """

    names: list[str]
    picked_by: str
    scores: list[float]


def choose_references(
    study: xr.DataTree, target: str, references: str | int | Iterable[str], by: str | None = None
) -> References:
    """Turn the `references` of `compare` into names of species."""
    known = head_species(study)
    others = [s for s in known if s != target]
    if not others:
        raise ValueError(f"{target!r} is the only species of this study: there is nothing to compare it with.")
    if by is not None:
        choice(by, MEASURES, "by")
    automatic = isinstance(references, str) and references == "auto"
    if automatic or (isinstance(references, int | np.integer) and not isinstance(references, bool)):
        k = max(1, min(DEFAULT_REFERENCES, len(others) - 1))
        if not automatic:
            k = whole(references, "references", hint="It may be 'auto' or names, too.")
        return _nearest(study, target, k, by or _usual_measure(study, target))
    names = typed_names(references)
    if names is None:
        raise TypeError(f"references must be 'auto', a whole number, or names of species. Got {references!r} instead.")
    if by is not None:
        raise ValueError("by= ranks look-alikes, so it goes with a number of references, not with names.")
    if not names:
        raise ValueError("references is empty: name at least one species, or leave it out for the nearest look-alikes.")
    chosen = [resolve(r, known, "reference species") for r in names]
    if target in chosen:
        raise ValueError(f"{target!r} is the target and cannot be its own reference. Others are {_some(others)}.")
    twice = sorted({r for r in chosen if chosen.count(r) > 1})
    if twice:
        raise ValueError(f"Each reference counts once. Named twice: {', '.join(map(repr, twice))}.")
    return References(chosen, "user", [])


def _usual_measure(study: xr.DataTree, target: str) -> str:
    """Embedding similarity, where target and others have photos; else by the weights; else by the logits."""
    photos = study["species"]["n_photos"]
    if photos.sel(species=target).item() > 0 and (photos.values > 0).sum() > 1:
        return "embedding"
    return "weights" if "weight" in study["species"] else "logits"


def _nearest(study: xr.DataTree, target: str, k: int, by: str) -> References:
    try:
        scores = similar_species(study, target, by, k)
    except ValueError as error:
        raise ValueError(
            f"The look-alikes of {target!r} cannot be ranked: {error} Or name them: references=[...]."
        ) from error
    scores = scores[scores.notnull()]
    return References([str(s) for s in scores.species.values], by, [float(v) for v in scores.values])


def choose_images(
    study: xr.DataTree, target: str, images: str | Iterable[str] | xr.Dataset | xr.DataArray | None
) -> xr.Dataset:
    """Turn the `images` of `compare` into a Dataset of usable photos, like ``/images``."""
    all_photos = study["images"].to_dataset()
    if isinstance(images, xr.DataTree):
        images = images.to_dataset()
    if isinstance(images, xr.Dataset):
        if {"path", "status", "species"} - set(images.variables):
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
            with_photos = sorted({str(s) for s in labels} - {""})
            raise ValueError(
                f"This study has no usable photo of {target!r} to explain. Say which photos to explain with "
                f"images=[...] or images='all', or choose a species with photos: {_some(with_photos)}."
            )
        return chosen
    ids = [str(i) for i in all_photos.image.values]
    if isinstance(images, str) and images == "all":
        return all_photos.isel(image=good)
    wanted = typed_names(images)
    if wanted is None:
        got = type(images).__name__
        raise TypeError(f"images are ids of the study, 'all', or photos from fk.read_images. Got {got} instead.")
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
