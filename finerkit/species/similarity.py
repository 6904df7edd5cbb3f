"""Rank look-alikes: how similar the species of a study are, by several measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from finerkit.base.checks import whole
from finerkit.base.labels import positions
from finerkit.base.names import choice, resolve
from finerkit.species.similarity_rows import confusion_rows, cosine_rows, logit_rows, taxonomy_rows
from finerkit.store.study import UNFINISHED, as_study

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

MEASURES = {
    "embedding": "cosine of the species' mean embeddings, after subtracting the mean over species",
    "weights": "cosine of the species' weights in the head, after subtracting the mean over species",
    "logits": "minus the mean absolute logit difference to the target, over the target's photos",
    "confusion": "mean probability that photos of one species get of the other, both ways",
    "taxonomy": "share of the taxonomic ranks that agree, from the highest down",
}


def similar_species(
    study: xr.DataTree | str | os.PathLike[str],
    target: str | None = None,
    by: str = "embedding",
    k: int | None = 5,
    *,
    ranks: Iterable[str] | None = None,
) -> xr.DataArray:
    """Rank look-alikes.

    Parameters
    ----------
    study
        From `finerkit.analyze`, or its path.
    target
        Species to find look-alikes of. None: all against all.
    by
        - "embedding": cosine of the prototypes (mean embeddings), centred over species. Range -1 to 1 (and always -1
          between the only two).
        - "weights": cosine of the head's weights, centred over species. Range -1 to 1.
        - "logits": the rule of the Finer-CAM paper, over the target's photos: minus the mean absolute difference
          between the target's logit and the other's. In logits, at most 0; not symmetric.
        - "confusion": mean cross-validated probability that the target's photos get of the other species and the
          other's photos of the target. Range 0 to 1. The coordinate ``confused`` counts actual mistakes, both ways.
        - "taxonomy": share of the taxonomic ranks in the table on which both agree, counted from the highest rank down.
    k
        How many to return for a `target`; None for all. Without a target the whole matrix is returned.
    ranks
        For "taxonomy": the columns to use, highest rank first. Default: those named like a rank (family, genus, ...).

    Returns
    -------
    xarray.DataArray
        For a target: (species), most similar first, the target itself left out. Else (target, species). Larger is more
        similar; the attr ``measure`` says what the numbers are. NaN where a species has no photo to tell from.

    Raises
    ------
    ValueError
        If there is no such species, measure or rank, or the target has no photo that the measure needs.
    """
    study = as_study(study)
    choice(by, MEASURES, "by")
    if k is not None:
        whole(k, "k", hint="Or None, for all.")
    names = head_species(study)
    if target is None:
        return similarity_rows(study, by, names, ranks)
    target = resolve(target, names, hint="fk.similar_species(study) lists all.")
    row = similarity_rows(study, by, [target], ranks).sel(target=target).drop_sel(species=target)
    if row.size and bool(row.isnull().all()):
        raise ValueError(
            f"There is no photo of {target!r} that by={by!r} could use: try by='weights' or by='taxonomy'."
        )
    order = np.argsort(-np.nan_to_num(row.values, nan=-np.inf), kind="stable")
    return row.isel(species=order[:k])


def similarity_rows(
    study: xr.DataTree, by: str, targets: list[str], ranks: Iterable[str] | None = None
) -> xr.DataArray:
    """Similarities of some species to all: (target, species), exactly spelled; see `similar_species`."""
    names = head_species(study)
    at = positions(targets, names)
    coords: dict[str, object] = {}
    if by == "embedding":
        matrix = cosine_rows(study["species"]["prototype"].values, at)
    elif by == "weights":
        if "weight" not in study["species"]:
            raise ValueError(
                "This study's head has no weights (its logits are not linear): use by='embedding' or 'logits'."
            )
        matrix = cosine_rows(study["species"]["weight"].values, at)
    elif by == "logits":
        matrix = logit_rows(study, names, at)
    elif by == "confusion":
        matrix, counts = confusion_rows(study, names, at)
        coords["confused"] = (("target", "species"), counts)
    else:
        matrix = taxonomy_rows(study, names, at, ranks)
    axes = {"target": np.array(targets, object), "species": np.array(names, object)}
    return xr.DataArray(
        matrix, axes | coords, ("target", "species"), "similarity",
        {"by": by, "measure": MEASURES[by]},
    )  # fmt: skip


def head_species(study: xr.DataTree) -> list[str]:
    """Names that the study's head knows."""
    if "species" not in study.children:
        raise ValueError(UNFINISHED)
    return [str(s) for s in study["species"]["species"].values]
