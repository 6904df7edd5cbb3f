"""Look-alikes: a study enters; how similar its species are, by several measures, leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.special import softmax

from finerkit.names import choice, resolve
from finerkit.species import usable_labels
from finerkit.store import as_study

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

#: Columns taken as taxonomic ranks, highest first, compared without case.
RANKS = (
    "kingdom", "phylum", "class", "order", "superfamily", "family", "subfamily", "tribe", "subtribe", "genus",
    "subgenus", "species_group", "breed_group",
)  # fmt: skip


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
    if k is not None and (not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1):
        raise ValueError(f"k must be an int in the range [1, inf), or None. Got {k!r} instead.")
    names = head_species(study)
    coords: dict[str, object] = {}
    if by == "embedding":
        matrix = _centred_cosine(study["species"]["prototype"].values)
    elif by == "weights":
        if "weight" not in study["species"]:
            raise ValueError(
                "This study's head has no weights (its logits are not linear): use by='embedding' or 'logits'."
            )
        matrix = _centred_cosine(study["species"]["weight"].values)
    elif by == "logits":
        matrix = _logit_nearness(study, names)
    elif by == "confusion":
        matrix, counts = _confusion(study, names)
        coords["confused"] = (("target", "species"), counts)
    else:
        matrix = _taxonomy(study, names, ranks)
    scores = xr.DataArray(
        matrix, {"target": names, "species": names, **coords}, ("target", "species"), "similarity",
        {"by": by, "measure": MEASURES[by]},
    )  # fmt: skip
    if target is None:
        return scores
    target = resolve(target, names, hint="fk.similar_species(study) lists all.")
    row = scores.sel(target=target).drop_sel(species=target)
    if row.size and bool(row.isnull().all()):
        raise ValueError(
            f"There is no photo of {target!r} that by={by!r} could use: try by='weights' or by='taxonomy'."
        )
    order = np.argsort(-np.nan_to_num(row.values, nan=-np.inf), kind="stable")
    return row.isel(species=order[:k])


def confusion_counts(study: xr.DataTree) -> xr.DataArray:
    """Count what labelled photos were taken for.

    Returns
    -------
    xarray.DataArray
        (target, species) photos of `target` taken for `species`, right answers on the diagonal. By heads that had not
        seen the photo where the study is cross-validated. Photos without logits do not count.
    """
    names = head_species(study)
    logits, labels = _by_label(study)
    predicted = np.where(np.isnan(logits), -np.inf, logits).argmax(1) if len(logits) else np.zeros(0, int)
    counts = np.stack([np.bincount(predicted[labels == name], minlength=len(names)) for name in names])
    return xr.DataArray(counts, {"target": names, "species": names}, ("target", "species"), "photos")


def head_species(study: xr.DataTree) -> list[str]:
    """Names that the study's head knows."""
    if "species" not in study.children:
        raise ValueError("This study is not finished: run fk.analyze(...) again with the same arguments to finish it.")
    return [str(s) for s in study["species"]["species"].values]


def _centred_cosine(vectors: np.ndarray) -> np.ndarray:
    centred = vectors.astype(np.float64) - np.nanmean(vectors, 0, dtype=np.float64)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(length > 0, length, 1)
    return np.clip(unit @ unit.T, -1, 1)


def _by_label(study: xr.DataTree) -> tuple[np.ndarray, np.ndarray]:
    """Logits (image, species) and labels of the photos that have both."""
    labels = usable_labels(study["images"].to_dataset())
    logits = study["predictions"]["logit"].values.astype(np.float64)
    known = (labels != "") & ~np.isnan(logits).all(1)
    return logits[known], labels[known]


def _logit_nearness(study: xr.DataTree, names: list[str]) -> np.ndarray:
    logits, labels = _by_label(study)
    matrix = np.full((len(names), len(names)), np.nan)
    for i, name in enumerate(names):
        mine = logits[labels == name]
        if len(mine):
            matrix[i] = -np.nanmean(np.abs(mine - mine[:, [i]]), 0)
    return matrix


def _confusion(study: xr.DataTree, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    logits, labels = _by_label(study)
    filled = np.where(np.isnan(logits), -np.inf, logits)
    probability = softmax(filled, axis=1)
    one_way = np.full((len(names), len(names)), np.nan)
    counts = confusion_counts(study).values
    for i, name in enumerate(names):
        mine = labels == name
        if mine.any():
            one_way[i] = probability[mine].mean(0)
    both = np.stack([one_way, one_way.T])
    seen = (~np.isnan(both)).sum(0)
    matrix = np.where(seen > 0, np.nansum(both, 0) / np.maximum(seen, 1), np.nan)
    np.fill_diagonal(counts, 0)
    return matrix, counts + counts.T


def _taxonomy(study: xr.DataTree, names: list[str], ranks: Iterable[str] | None) -> np.ndarray:
    images = study["images"].to_dataset()
    columns = {str(c).casefold(): str(c) for c in images.data_vars}
    if ranks is None:
        chosen = [columns[r] for r in RANKS if r in columns]
    else:
        chosen = [resolve(r, list(columns.values()), "column") for r in ranks]
    if not chosen:
        raise ValueError(
            "by='taxonomy' needs columns such as 'family' and 'genus' in the table given to fk.read_images; "
            "this study has "
            f"{', '.join(columns.values())}. Name others with ranks=[...], highest first."
        )
    labels = usable_labels(images)
    lineage = np.full((len(names), len(chosen)), "", object)
    for i, name in enumerate(names):
        for j, column in enumerate(chosen):
            values = [v for v in images[column].values[labels == name].astype(str) if v]
            lineage[i, j] = max(sorted(set(values)), key=values.count, default="")
    agree = (lineage[:, None] == lineage[None]) & (lineage[:, None] != "")
    shared = np.minimum.accumulate(agree, axis=2).mean(2)
    known = (lineage != "").any(1)
    return np.where(known[:, None] & known[None], shared, np.nan)
