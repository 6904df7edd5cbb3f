"""Compute how alike species are: similarities of some targets to all species, row by row.

Nothing here is photos x species or species x species large, unless every species is a target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from finerkit.blocks import row_blocks
from finerkit.labels import positions, usable_labels
from finerkit.mistakes import Answers, count_answers
from finerkit.names import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import xarray as xr

#: Columns taken as taxonomic ranks, highest first, compared without case.
RANKS = (
    "kingdom", "phylum", "class", "order", "superfamily", "family", "subfamily", "tribe", "subtribe", "genus",
    "subgenus", "species_group", "breed_group",
)  # fmt: skip


def cosine_rows(vectors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Cosine of vectors (species, feature), centred over species, with those of the targets: (target, species)."""
    centred = vectors.astype(np.float64) - np.nanmean(vectors, 0, dtype=np.float64)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    centred /= np.where(length > 0, length, 1)
    return np.clip(centred[targets] @ centred.T, -1, 1)


def logit_rows(study: xr.DataTree, names: list[str], targets: np.ndarray) -> np.ndarray:
    """Minus the mean absolute difference of logits to the target's, over its photos: (target, species)."""
    total, number = np.zeros((2, len(targets), len(names)))
    row = {int(target): i for i, target in enumerate(targets)}
    for classes, logits in _logit_blocks(study, names, targets):
        for c in np.unique(classes):
            apart = np.abs(logits[classes == c] - logits[classes == c][:, [c]])
            total[row[c]] -= np.nansum(apart, 0)
            number[row[c]] += np.isfinite(apart).sum(0)
    return _mean(total, number)


def confusion_rows(study: xr.DataTree, names: list[str], targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability of being taken for each other, and mistakes counted, both ways: (target, species) each."""
    given, givers = np.zeros((2, len(targets), len(names)))  # by the targets' photos to all species
    received, receivers = np.zeros((2, len(names), len(targets)))  # by all species' photos to the targets
    row = np.full(len(names), -1)
    row[targets] = np.arange(len(targets))
    for classes, logits in _logit_blocks(study, names):
        known = ~np.isnan(logits)  # a head that does not know a species cannot take a photo for it
        probability = softmax(np.where(known, logits, -np.inf), axis=1)
        mine = row[classes] >= 0
        np.add.at(given, row[classes[mine]], probability[mine])
        np.add.at(givers, row[classes[mine]], known[mine])
        np.add.at(received, classes, probability[:, targets])
        np.add.at(receivers, classes, known[:, targets])
    both = np.stack([_mean(given, givers), _mean(received, receivers).T])
    seen = (~np.isnan(both)).sum(0)
    return _mean(np.nansum(both, 0), seen), _mistakes(study, names, targets)


def _mistakes(study: xr.DataTree, names: list[str], targets: np.ndarray) -> np.ndarray:
    own, taken, number, _ = taken_for(study, names)
    counts = np.zeros((len(targets), len(names)), np.int64)
    row = np.full(len(names), -1)
    row[targets] = np.arange(len(targets))
    for a, b in ((own, taken), (taken, own)):
        wrong = (own != taken) & (row[a] >= 0)
        np.add.at(counts, (row[a[wrong]], b[wrong]), number[wrong])
    return counts


def taken_for(study: xr.DataTree, names: list[str]) -> Answers:
    """Count what labelled photos were taken for, by position among the head's species."""
    predictions = study["predictions"].to_dataset()
    if "predicted" in predictions:
        own, said = _classes(study, names), positions(predictions["predicted"].values, names)
    else:
        parts = [(c, np.nan_to_num(y, nan=-np.inf).argmax(1)) for c, y in _logit_blocks(study, names)]
        own, said = (
            (np.concatenate([np.zeros(0, np.int64), *p]) for p in zip(*parts, strict=True)) if parts else ([], [])
        )
    return count_answers(np.asarray(own, np.int64), np.asarray(said, np.int64), len(names))


def taxonomy_rows(study: xr.DataTree, names: list[str], targets: np.ndarray, ranks: Iterable[str] | None) -> np.ndarray:
    """Share of ranks that agree, from the highest down: (target, species)."""
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
    classes = _classes(study, names)
    shared, so_far = np.zeros((len(targets), len(names))), True
    known = np.zeros(len(names), bool)
    for column in chosen:
        value = _usual(images[column].values.astype(str), classes, len(names))
        so_far = so_far & (value[targets][:, None] == value) & (value != "")
        shared += so_far
        known |= value != ""
    return np.where(known[targets][:, None] & known, shared / len(chosen), np.nan)


def _usual(values: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """The most frequent value of each class, the first by name of equals; "" where it has none."""
    there = (values != "") & (classes >= 0)
    texts, codes = np.unique(values[there], return_inverse=True)
    found = np.full(count, "", object)
    pairs, number = np.unique(classes[there] * max(len(texts), 1) + codes, return_counts=True)
    order = np.lexsort((-pairs, number))  # the most frequent last, and of equals the first by name
    found[pairs[order] // max(len(texts), 1)] = texts[pairs[order] % max(len(texts), 1)]
    return found


def _mean(total: np.ndarray, number: np.ndarray) -> np.ndarray:
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


def _classes(study: xr.DataTree, names: list[str]) -> np.ndarray:
    """Position of each photo's species; -1 where it is unknown to the head, or the photo cannot be used."""
    return positions(usable_labels(study["images"].to_dataset()), names)


def _logit_blocks(
    study: xr.DataTree, names: list[str], only: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Species and logits of photos that a head which knows their species has judged, in blocks; `only` some species."""
    classes = _classes(study, names)
    wanted = classes >= 0 if only is None else np.isin(classes, only)
    logit = study["predictions"].to_dataset()["logit"]
    for at in row_blocks(np.flatnonzero(wanted), 2 * len(names)):
        block = logit.isel(image=at).values.astype(np.float64)
        known = ~np.isnan(block[np.arange(len(at)), classes[at]])
        yield classes[at][known], block[known]
