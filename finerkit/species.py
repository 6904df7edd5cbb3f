"""Fit the species head to embeddings and labels, and heads that have not seen some of the photos."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from finerkit.blocks import class_means, fits, moments
from finerkit.labels import coded, positions, usable_labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

    from finerkit.blocks import Embedding

HEADS = ("linear", "nearest_mean", "model")

#: Where scikit-learn's fit ends: logits are then within .15 % of their spread of the optimum's in each photo. At its
#: usual 1e-4 they were up to 60 % away, and maps changed with the way the head was fitted.
_TOLERANCE = 1e-7

_MOST_STEPS = 200

#: Photos x features x species up to which scikit-learn is the quicker: at 10,000 x 1,280 x 20 it takes 6 s and a fit in
#: blocks 5 s, at x 50 21 s and 5 s, at x 200 81 s and 16 s.
_QUICK = 2**28

#: Numbers of a head (species x features) above which it is kept in float32.
_LARGE_HEAD = 2**22


class Head(NamedTuple):
    """A linear head on raw embeddings: ``logit = embedding @ weight.T + bias``."""

    species: np.ndarray  # (species,) names
    weight: np.ndarray  # (species, feature)
    bias: np.ndarray  # (species,)
    fitted_in: str = "blocks"  # or "memory", by scikit-learn

    def logits(self, embedding: np.ndarray) -> np.ndarray:
        """Logits (image, species) of embeddings (image, feature)."""
        return embedding.astype(self.weight.dtype) @ self.weight.T + self.bias


def fit_head(
    embedding: Embedding,
    labels: np.ndarray,
    kind: str = "linear",
    C: float = 1.0,
    rows: np.ndarray | None = None,
    start: Head | None = None,
) -> Head:
    """Fit a head for the species in `labels`.

    Both kinds work on standardised embeddings (zero mean; divided by the standard deviation or the median feature's,
    whichever is larger) and are folded back to raw ones, so that they act directly on features:

    - "linear": multinomial logistic regression with an L2 penalty of strength ``1 / C``, by scikit-learn; where that
      would take more than `finerkit.blocks.MEMORY`, or long, by `finerkit.softmax`, in blocks. Unless the head has
      more than 65,536 weights, logits of both are within half a percent of their spread of the optimum's;
    - "nearest_mean": no training; with standardised ``z`` and class means ``m_k`` the logit is
      ``(z . m_k - |m_k|^2 / 2) / sqrt(feature)``, which orders classes by distance to their means.

    Parameters
    ----------
    embedding
        (image, feature), finite; in memory or a `finerkit.blocks.Spool`.
    labels
        (image,) names, at least two different ones.
    kind
        "linear" or "nearest_mean".
    C
        Inverse strength of the penalty.
    rows
        Ascending positions of the photos to learn from; `labels` are theirs. Default: all.
    start
        A head of about the same photos, from which a fit in blocks sets out: it gets there in fewer passes.

    Returns
    -------
    Head
        Species in alphabetical order; in float64, very large heads in float32.
    """
    rows = np.arange(len(labels)) if rows is None else rows
    species, classes = coded(labels)
    mean, scale = moments(embedding, rows)
    scale = _divisors(mean, scale)
    features = len(mean)
    in_memory = kind == "linear" and _in_memory(len(rows), features, len(species))
    if kind == "nearest_mean":
        means = (class_means(embedding, rows, classes, len(species)) - mean) / scale
        weight, bias = means / np.sqrt(features), -(means**2).sum(1) / 2 / np.sqrt(features)
    elif in_memory:
        weight, bias = _logistic(_standardised(embedding, rows, mean, scale), classes, C)
    else:
        from finerkit.softmax import Problem, fit_softmax

        begun = None if start is None else _begun(start, species, mean, scale)
        weight, bias = fit_softmax(Problem(embedding, rows, classes, mean, scale, C, begun))
    dtype = np.float32 if weight.size > _LARGE_HEAD else np.float64
    raw = (weight / scale).astype(dtype)
    return Head(species, raw, (bias - raw @ mean).astype(dtype), "memory" if in_memory else "blocks")


def _begun(start: Head, species: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a head for some of its species, for embeddings that are standardised otherwise."""
    raw = start.weight[np.searchsorted(start.species, species)].astype(np.float64)
    bias = start.bias[np.searchsorted(start.species, species)] + raw @ mean
    return np.where(np.isfinite(scale), raw * np.where(np.isfinite(scale), scale, 0), 0), bias


def _in_memory(photos: int, features: int, species: int) -> bool:
    return photos * features * species <= _QUICK and fits(_numbers(photos, features, species))


def _numbers(photos: int, features: int, species: int) -> int:
    """Numbers in float64 that `_logistic` holds at its peak, as measured: embeddings, logits and weights."""
    copies = 3 if species == 2 or photos < features else 2
    return copies * photos * features + 5 * photos * species + 8 * species * features


def _standardised(embedding: Embedding, rows: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    Z = embedding[rows].astype(np.float64)
    Z -= mean
    Z /= scale
    return Z


def _divisors(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """What standardising divides each feature by: its standard deviation, but never less than the median feature's.

    Features that are silent on nearly all photos would else get weights of a thousand times the others', which a
    patch of unseen texture sets off. The floor costs nothing: on 419 photos of 10 butterfly species and on two sets of
    rendered ones, cross-validated log loss fell from .031 to .029, from .225 to .194 and from .561 to .514.
    Features that are constant, but for rounding, are left out (infinity).
    """
    varies = _varies(mean, deviation)
    floor = np.median(deviation[varies]) if varies.any() else 0.0
    return np.where(varies, np.maximum(deviation, floor), np.inf)


def _varies(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    return deviation > 1e-6 * (np.abs(mean) + 1e-12)


def constant_features(embedding: Embedding, rows: np.ndarray) -> int:
    """Count the features that are the same, but for rounding, in all photos at `rows`; heads leave them out."""
    return int((~_varies(*moments(embedding, rows))).sum())


def _logistic(Z: np.ndarray, classes: np.ndarray, C: float) -> tuple[np.ndarray, np.ndarray]:
    """Weight (class, feature) and bias (class,) for standardised embeddings, at the optimum of the softmax form."""
    # The penalty sees lengths only, so weights lie in the space of the photos: where these are fewer than features,
    # the fit is the same in as many variables as there are photos.
    turn = None
    if len(Z) < Z.shape[1]:
        turn, Z = np.linalg.qr(Z.T)
        Z = np.ascontiguousarray(Z.T)
    two = classes.max() == 1
    # For two species scikit-learn fits their difference alone, whose square is twice the sum of the two halves'.
    fit = LogisticRegression(
        C=2 * C if two else C, tol=_TOLERANCE / max(1, C), solver="newton-cg", max_iter=_MOST_STEPS
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fitted = fit.fit(Z, classes)
    if any(issubclass(w.category, ConvergenceWarning) or "Line Search" in str(w.message) for w in said):
        warnings.warn(
            f"The species head did not converge in {_MOST_STEPS} steps; its logits may be off. Try "
            "head='nearest_mean', or a smaller C.",
            stacklevel=4,
        )
    weight, bias = fitted.coef_, fitted.intercept_
    if two:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight if turn is None else weight @ turn.T, bias


def held_out_heads(
    embedding: Embedding,
    labels: np.ndarray,
    fold: np.ndarray,
    kind: str = "linear",
    C: float = 1.0,
    rows: np.ndarray | None = None,
    start: Head | None = None,
) -> Iterator[tuple[int, Head]]:
    """Fit the heads of cross-validation.

    Parameters
    ----------
    embedding, labels, kind, C, rows, start
        See `fit_head`.
    fold
        (image,) of each label, from `finerkit.folds.split`.

    Yields
    ------
    fold : int
        0, 1, 2, ...
    head : Head
        Fitted on the photos of all other folds; species that are absent from them are absent from it.
    """
    rows = np.arange(len(labels)) if rows is None else rows
    for i in range(fold.max(initial=-1) + 1):
        train = fold != i
        yield i, fit_head(embedding, labels[train], kind, C, rows[train], start)


def held_out_heads_of(study: xr.DataTree) -> Iterator[tuple[np.ndarray, Head]]:
    """Fit again the heads that a study was cross-validated with: ids of photos, and a head that has not seen them.

    Parameters
    ----------
    study
        Whose head was trained on its own photos.

    Yields
    ------
    images : numpy.ndarray
        Ids.
    head : Head
        Fitted on the study's other photos.

    Raises
    ------
    ValueError
        If the study's head is the network's own, which was not trained on these photos.
    """
    attrs = study["species"].attrs
    if attrs.get("head") not in ("linear", "nearest_mean"):
        raise ValueError(
            "Only a head trained on the study's photos can be cross-validated: expected a study from "
            f"fk.analyze(..., head='linear'). Got head={attrs.get('head')!r} instead, which has seen none of them."
        )
    images = study["images"].to_dataset()
    labels = usable_labels(images)
    known = np.flatnonzero(labels != "")
    ids = images["image"].values[known]
    stored = study["features"].to_dataset()["embedding"]
    embedding = stored.isel(image=stored.indexes["image"].get_indexer(ids)).values
    fold = study["predictions"]["fold"].values[known]
    table = study["species"].to_dataset()
    start = Head(*(table[name].values for name in ("species", "weight", "bias"))) if "weight" in table else None
    for i, head in held_out_heads(embedding, labels[known], fold, attrs["head"], float(attrs["C"]), start=start):
        yield ids[fold == i], head


def prototypes(embedding: Embedding, labels: np.ndarray, species: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean embedding (species, feature), NaN where a species has no photo, and number of photos (species,)."""
    classes = positions(labels, species)
    rows = np.flatnonzero(classes >= 0)
    mean = class_means(embedding, rows, classes[rows], len(species))
    return mean, np.bincount(classes[rows], minlength=len(species))
