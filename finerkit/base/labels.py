"""Turn species of photos, which are names, into classes to count by.

Names stay the objects they are: as text of fixed width, one long name would make all of a large collection's large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr


def usable_labels(images: xr.Dataset) -> np.ndarray:
    """Species of each photo (text objects), "" where unknown or where the photo cannot be used."""
    pairs = zip(images["status"].values, images["species"].values, strict=True)
    return np.array([as_text(name) if status == "ok" else "" for status, name in pairs], object)


def as_text(value: object) -> str:
    """What a cell of somebody's table says, which may be a number; "" where it lacks."""
    if type(value) is str:
        return value
    return "" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)


def texts(values: np.ndarray) -> list[str]:
    """Each as text; not by way of an array of text, in which all are as wide as the longest."""
    return [str(v) for v in values] if values.dtype == object else values.astype(str).tolist()


def coded(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names (class,) that occur, sorted, and the class (label,) of each label: 0, 1, 2, ..."""
    codes, names = pd.factorize(labels.astype(object), sort=True)
    return names.astype(str), codes


def counted(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names (class,) that occur, sorted, and how often each does."""
    names, codes = coded(labels)
    return names, np.bincount(codes, minlength=len(names))


def positions(labels: Iterable[object], names: Iterable[object]) -> np.ndarray:
    """Positions (label,) of labels among `names`; -1 where it is none of them."""
    place = {str(name): i for i, name in enumerate(names)}
    return np.array([place.get(str(label), -1) for label in labels], np.int64)


def class_sums(values: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """Sums (class, ...) of the rows (photo, ...) of each class 0, 1, ..., `count` - 1; -1 is none."""
    at = np.flatnonzero(classes >= 0)
    return csr_array((np.ones(len(at)), (classes[at], at)), (count, len(values))) @ values


def class_means(values: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """Mean rows (class, ...) as `class_sums` adds them; NaN where a class has none."""
    photos = np.bincount(classes[classes >= 0], minlength=count)
    return mean(class_sums(values, classes, count), photos[:, None])


def mean(total: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Total by number, NaN where the number is 0."""
    return np.divide(total, number, out=np.full(np.shape(total), np.nan), where=number > 0)


def need_two_species(labels: np.ndarray) -> None:
    """Raise ValueError unless the labels, "" left out, name at least two species."""
    names, count = counted(labels[labels != ""])
    if len(names) >= 2:
        return
    found = f"only {str(names[0])!r} ({count[0]} photos)" if len(names) else "no photo with a species name"
    raise ValueError(
        f"A species head compares at least two species. Got {found} instead: add photos of its look-alikes, or "
        "explain the network's own classes with analyze(..., head='model')."
    )
