"""Decide which photos are held out together in cross-validation, and which species can then be judged."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from finerkit.base.labels import coded
from finerkit.base.names import listed
from finerkit.species.confusion import SpeciesWarning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import xarray as xr

#: Names in a warning.
_NAMED = 8


def together(images: xr.Dataset, groups: Iterable[str] = ()) -> np.ndarray:
    """Find the photos that must share a fold: rows of one file, copies of one file, and members of one group.

    Parameters
    ----------
    images
        The study's ``/images``.
    groups
        Columns; photos that share a value in any of them belong together, also by way of others. A photo without a
        value has nobody by that column.

    Returns
    -------
    numpy.ndarray
        int (image,); photos with the same number belong together.
    """
    photos, values, count = [], [], images.sizes["image"]
    usable = images["status"].values == "ok"
    offset = count
    for _, codes in _columns(images, groups):
        at = np.flatnonzero((codes >= 0) & usable)
        photos.append(at)
        values.append(codes[at] + offset)
        offset += codes.max(initial=-1) + 1
    a, b = (np.concatenate([np.zeros(0, np.int64), *part]) for part in (photos, values))
    graph = coo_matrix((np.ones(len(a), bool), (a, b)), (offset, offset))
    return connected_components(graph, directed=False)[1][:count]


def _columns(images: xr.Dataset, groups: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
    """What ties photos: names of columns, and codes (image,) of their values, -1 where there is none."""
    for name in dict.fromkeys([*groups, "file"]):
        if name in images:
            yield name, _coded(images[name].values)
    if "sha256" in images:
        yield "sha256", _coded(images["sha256"].values)
    if "duplicate_of" in images:
        first = images["duplicate_of"].values
        yield "duplicate_of", _coded(np.where(first == "", images["image"].values, first))


def _coded(values: np.ndarray) -> np.ndarray:
    codes, found = pd.factorize(values.astype(object) if values.dtype.kind in "UT" else values)
    blank = np.array([str(value) == "" for value in found], bool)
    return np.where(np.isin(codes, np.flatnonzero(blank)), -1, codes)


def split(labels: np.ndarray, folds: int, groups: np.ndarray, seed: int) -> np.ndarray:
    """Share photos out to folds, stratified by species and shuffled.

    Parameters
    ----------
    labels
        (image,) names.
    folds
        How many, at most.
    groups
        (image,) from `together`.
    seed
        Of the shuffling.

    Returns
    -------
    numpy.ndarray
        int (image,) fold 0, 1, 2, ...; -1 where the other folds have fewer than two species to learn from.
    """
    fold = np.full(len(labels), -1)
    units = len(np.unique(groups))
    folds = min(folds, units)
    if folds < 2:
        return fold
    alone = units == len(labels)
    splitter = (StratifiedKFold if alone else StratifiedGroupKFold)(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # `warn_few` says it, with names
        parts = list(splitter.split(labels, _stratifiable(labels, folds), None if alone else groups))
    taught = [test for train, test in parts if len(test) and len(coded(labels[train])[0]) >= 2]
    for i, test in enumerate(taught):
        fold[test] = i
    return fold


def _stratifiable(labels: np.ndarray, folds: int) -> np.ndarray:
    """Classes for stratified folds; all the same where every species is rare, which scikit-learn would refuse."""
    _, classes = coded(labels)
    return classes if np.bincount(classes).max() >= folds else np.zeros(len(labels), int)


def judgeable(labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Whether a head that knows the photo's species has not seen it: bool (image,)."""
    _, classes = coded(labels)
    _, part, inside = np.unique(np.stack([classes, fold]), axis=1, return_inverse=True, return_counts=True)
    return (fold >= 0) & (inside[part] < np.bincount(classes)[classes])


def warn_unjudged(labels: np.ndarray, judged: np.ndarray) -> None:
    """Name, in one `SpeciesWarning`, the species of which no photo could be judged; see `judgeable`."""
    names, classes = coded(labels)
    count = np.bincount(classes)
    never = np.flatnonzero(np.bincount(classes, judged) == 0)
    if not len(never):
        return
    told = [f"{str(names[i])!r} ({count[i]} photo{'s' if count[i] > 1 else ''})" for i in never[:_NAMED]]
    warnings.warn(
        f"{len(never)} species could not be judged: {listed(told, len(never))}. Their photos are a single one, or are "
        "held out together as those of one individual, so every head that knows the species, or any two, has seen "
        "them. Their recall is NaN and they do not count in the accuracy: add photos of other individuals.",
        SpeciesWarning,
        stacklevel=6,  # who called `finerkit.analyze`
    )


def warn_crowd(images: xr.Dataset, columns: Iterable[str], groups: np.ndarray, rows: np.ndarray) -> None:
    """Say, in one `SpeciesWarning`, where more than half of the labelled photos, at `rows`, belong together."""
    _, part, count = np.unique(groups[rows], return_inverse=True, return_counts=True)
    most = count.argmax()
    if count[most] <= max(len(rows) / 2, 1):
        return
    crowd = rows[part == most]
    shares = []
    for name, codes in _columns(images, columns):
        there = codes[crowd][codes[crowd] >= 0]
        if len(there):
            common = np.bincount(there).argmax()
            example = images[name].values[crowd[codes[crowd] == common][-1]]
            shares.append((int((there == common).sum()), name, str(example)))
    n, name, value = max(shares, key=lambda share: share[0])
    warnings.warn(
        f"{count[most]} of {len(rows)} labelled photos belong together and share a fold: {n} of them have {name} = "
        f"{value!r}. The heads of cross-validation learn from few of the others. Check the column, or leave it out of "
        "groups=.",
        SpeciesWarning,
        stacklevel=6,
    )
