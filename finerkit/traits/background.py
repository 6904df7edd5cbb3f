"""Test, with heads that have not seen the photo, whether the background tells species apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.stats import sem

from finerkit.base.provenance import origin_attrs
from finerkit.base.roles import references_of, species_coords, target_of
from finerkit.photos.masks import mask_of
from finerkit.photos.read import usable
from finerkit.species.heads import held_out_heads_of
from finerkit.store.groups import provenance
from finerkit.store.photo_paths import cell_places
from finerkit.store.study import study_of
from finerkit.traits.cells import Question, check_additive, contrasts
from finerkit.traits.place import MARGIN, off_cells
from finerkit.traits.statistics import permutation_p

if TYPE_CHECKING:
    from finerkit.networks import Model
    from finerkit.photos.masks import Masks

PLACES = ("on_animal", "off_animal")

#: The background is called telling below this p-value.
LEVEL = 0.01


def test_background(
    comparison: xr.Dataset,
    masks: Masks,
    *,
    strength: float = 1.0,
    permutations: int = 9999,
    study: xr.DataTree | None = None,
    model: Model | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Test whether evidence off the animal tells the target's photos from those of its references.

    Some of a map always lies off the animal: cells see beyond their borders, what both species' photos share weighs
    something, and a head remembers the backgrounds of the photos it was trained on. A shortcut is none of these: it is
    more in the target's photos than in the references', also for a head that has not seen them. So every photo's
    contrast is computed with the cross-validated head that was fitted without it, summed over the cells on the animal
    and off it, and compared between the two groups of photos.

    Parameters
    ----------
    comparison
        From `finerkit.compare`, with ``method="cam"``, of a study whose head was trained on its photos.
    masks
        Of the animals, in photos of the target and of the references: a function or mapping from image id to a boolean
        (height, width) array, pixel by pixel with the upright original. Photos without one are left out.
    strength
        Comparison strength.
    permutations
        Number of random permutations of the photos between the two groups; where there are fewer in all, each is taken
        once.
    study, model
        See `finerkit.find_traits`.
    seed
        Of the permutations.

    Returns
    -------
    xarray.Dataset
        ``evidence(image, place)``: contrast by the head that has not seen the photo, in logits, over the cells of each
        ``place``, "on_animal" and "off_animal" (no pixel of an animal in the cell or within a cell of it); NaN for
        photos left out. ``difference(place)``: its mean over the target's photos less that over the references', with
        ``standard_error``; ``share`` of the whole difference; one-sided permutation ``p``. ``cells(place)``: mean share
        of the cells. ``background``: whether the background tells the species apart (p < 0.01 off the animal); then
        look at ``share`` to see how much hangs on it. Coordinates: ``true_species`` of each photo; ``species`` and
        ``role`` say which species is the target and which are references.

    Raises
    ------
    ValueError
        If the comparison does not add up, the head was not trained on the study's photos, or one of the groups has
        fewer than two photos with a mask.

    Notes
    -----
    The permutation takes photos as independent: if those of one individual or one session share a background, group
    them when analysing (``analyze(..., groups=...)``) and read p with care.
    """
    check_additive(comparison, "test_background")
    study = study_of(comparison, study)
    target, references = target_of(comparison), references_of(comparison)
    images = study["images"].to_dataset()
    photos = images.isel(image=usable(images) & np.isin(images["species"].values, [target, *references]))
    off, known = _off_animal(study, photos, masks)
    names = [target, *references]
    evidence = _held_out_evidence(study, photos, off, names, strength, str(comparison.attrs["objective"]), model)
    evidence[~known] = np.nan
    own = photos["species"].values.astype(str) == target
    counted = np.isfinite(evidence).all(1)
    if min((own & counted).sum(), (~own & counted).sum()) < 2:
        raise ValueError(
            "test_background compares photos of the target with those of its references, at least two each with a mask "
            f"and a head that has not seen them. Got {(own & counted).sum()} and {(~own & counted).sum()}: pass masks= "
            "for photos of both."
        )
    found = _tested(evidence[counted], own[counted], permutations, seed)
    cells = off[counted].mean()
    logit = {"units": "logit"}
    data = xr.Dataset(
        {
            "evidence": (("image", "place"), evidence, logit | {"comment": "by a head that has not seen the photo"}),
            **{name: ("place", values) for name, values in found.items()},
            "cells": ("place", np.array([1 - cells, cells]), {"comment": "mean share of the cells"}),
            "background": ((), bool(found["p"][1] < LEVEL)),
        },
        {
            "image": photos["image"].values,
            "true_species": ("image", photos["species"].values),
            "place": np.array(PLACES, object),
            **species_coords(target, references),
        },
    )
    for name in ("difference", "standard_error"):
        data[name].attrs |= logit
    return data.assign_attrs(
        provenance(
            **origin_attrs(comparison),
            strength=float(strength),
            off_animal=f"no pixel of an animal in the cell or within {MARGIN:g} cells of it",
            level=LEVEL,
            permutations=permutations,
            seed=seed,
        )
    )


test_background.__test__ = False  # its name goes with test_traits; it is not a test of ours


def _off_animal(study: xr.DataTree, photos: xr.Dataset, masks: Masks) -> tuple[np.ndarray, np.ndarray]:
    """Cells off the animal (image, y, x), and which photos have a mask."""
    rows, columns = study.finerkit.grid
    y, x = np.indices((rows, columns))
    place = cell_places(study, photos)
    off, known = np.zeros((len(place), rows, columns), bool), np.zeros(len(place), bool)
    for i, image in enumerate(photos["image"].values):
        mask = mask_of(masks, str(image), photos.isel(image=i))
        if mask is not None and mask.any():
            off[i], known[i] = off_cells(mask, place[i], x, y), True
    return off, known


def _held_out_evidence(
    study: xr.DataTree,
    photos: xr.Dataset,
    off: np.ndarray,
    names: list[str],
    strength: float,
    objective: str,
    model: Model | None,
) -> np.ndarray:
    """Contrast on and off the animal (image, place), by heads that have not seen the photo; NaN where there is none."""
    evidence = np.full((len(off), 2), np.nan)
    for images, head in held_out_heads_of(study):
        rows = np.flatnonzero(np.isin(photos["image"].values, images))
        if not len(rows) or not set(names) <= set(head.species):
            continue
        question = Question.of(head, names, strength, objective)
        maps = contrasts(study, photos.isel(image=rows), question, model)
        evidence[rows] = np.stack([(maps * side[rows]).sum((1, 2)) for side in (~off, off)], 1)
    return evidence


def _tested(evidence: np.ndarray, own: np.ndarray, permutations: int, seed: int) -> dict[str, np.ndarray]:
    """Difference of means, its standard error, share of the whole, and p by permutation; each (place,)."""
    groups = evidence[own], evidence[~own]
    difference = groups[0].mean(0) - groups[1].mean(0)
    weight = np.where(own, 1 / own.sum(), -1 / (~own).sum())
    return {
        "difference": difference,
        "standard_error": np.hypot(*(sem(group) for group in groups)),
        "share": difference / difference.sum(),
        "p": permutation_p(lambda order: weight[order] @ evidence, weight.shape, permutations, seed),
    }
