"""Compute how alike species are: similarities of some targets to all species, row by row.

Nothing here is photos x species or species x species large, unless every species is a target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.special import softmax

from finerkit.base.labels import class_sums, mean, positions, usable_labels
from finerkit.base.names import resolve
from finerkit.species.confusion import Answers, count_answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import xarray as xr

#: Columns taken as taxonomic ranks, highest first, compared without case.
RANKS = (
    "kingdom", "phylum", "class", "order", "superfamily", "family", "subfamily", "tribe", "subtribe", "genus",
    "subgenus", "species_group", "breed_group",
)  # fmt: skip

#: Logits that are read at once.
_AT_ONCE = 2**24


def cosine_rows(vectors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Cosine of vectors (species, feature), centred over species, with those of the targets: (target, species)."""
    centred = vectors.astype(np.float64) - np.nanmean(vectors, 0, dtype=np.float64)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    centred /= np.where(length > 0, length, 1)
    return np.clip(centred[targets] @ centred.T, -1, 1)


def logit_rows(study: xr.DataTree, names: list[str], targets: np.ndarray) -> np.ndarray:
    """Minus the mean absolute difference of logits to the target's, over its photos: (target, species)."""
    total, number = np.zeros((2, len(targets), len(names)))
    row = _rows(names, targets)
    for classes, logits in _logit_blocks(study, names, targets):
        apart = np.abs(logits - logits[np.arange(len(logits)), classes][:, None])
        total -= class_sums(np.nan_to_num(apart), row[classes], len(targets))
        number += class_sums(np.isfinite(apart), row[classes], len(targets))
    return mean(total, number)


def confusion_rows(study: xr.DataTree, names: list[str], targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability of being taken for each other, and mistakes counted, both ways: (target, species) each."""
    given, givers = np.zeros((2, len(targets), len(names)))  # by the targets' photos to all species
    received, receivers = np.zeros((2, len(names), len(targets)))  # by all species' photos to the targets
    row = _rows(names, targets)
    for classes, logits in _logit_blocks(study, names):
        known = ~np.isnan(logits)  # a head that does not know a species cannot take a photo for it
        probability = softmax(np.where(known, logits, -np.inf), axis=1)
        given += class_sums(probability, row[classes], len(targets))
        givers += class_sums(known, row[classes], len(targets))
        received += class_sums(probability[:, targets], classes, len(names))
        receivers += class_sums(known[:, targets], classes, len(names))
    both = np.stack([mean(given, givers), mean(received, receivers).T])
    return mean(np.nansum(both, 0), (~np.isnan(both)).sum(0)), _mistakes(study, names, targets)


def _rows(names: list[str], targets: np.ndarray) -> np.ndarray:
    """Row (species,) of each target; -1 of others."""
    row = np.full(len(names), -1)
    row[targets] = np.arange(len(targets))
    return row


def _mistakes(study: xr.DataTree, names: list[str], targets: np.ndarray) -> np.ndarray:
    own, taken, number, count = taken_for(study, names)
    one_way = csr_array((number * (own != taken), (own, taken)), (count, count))
    return (one_way + one_way.T)[targets].toarray()


def taken_for(study: xr.DataTree, names: list[str]) -> Answers:
    """Count what labelled photos were taken for, by position among the head's species."""
    said = positions(study["predictions"]["predicted"].values, names)
    return count_answers(_classes(study, names), said, len(names))


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
            "by='taxonomy' needs columns such as 'family' and 'genus' in the table given to fk.read_images; this study "
            f"has {', '.join(columns.values())}. Name others with ranks=[...], highest first."
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


def _usual(values: np.ndarray, classes: np.ndarray, species: int) -> np.ndarray:
    """The most frequent value of each class, the first by name of equals; "" where it has none."""
    photos = pd.DataFrame({"class": classes, "value": values})[(values != "") & (classes >= 0)]
    count = photos.value_counts(sort=False).reset_index()
    usual = count.sort_values(["count", "value"], ascending=[False, True]).drop_duplicates("class")
    found = np.full(species, "", object)
    found[usual["class"]] = usual["value"]
    return found


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
    photos = np.flatnonzero(wanted)
    for at in np.array_split(photos, 1 + len(photos) * len(names) // _AT_ONCE):
        block = logit.isel(image=at).values.astype(np.float64)
        known = ~np.isnan(block[np.arange(len(at)), classes[at]])
        yield classes[at][known], block[known]
