"""The species head: embeddings and labels enter; prototypes, a linear head and cross-validated logits leave."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADS = ("linear", "nearest_mean", "model")


class Head(NamedTuple):
    """A linear head on raw embeddings: ``logit = embedding @ weight.T + bias``."""

    species: np.ndarray  # (species,) names
    weight: np.ndarray  # (species, feature)
    bias: np.ndarray  # (species,)

    def logits(self, embedding: np.ndarray) -> np.ndarray:
        """Logits (image, species) of embeddings (image, feature)."""
        return embedding.astype(np.float64) @ self.weight.T.astype(np.float64) + self.bias


def fit_head(embedding: np.ndarray, labels: np.ndarray, kind: str = "linear", C: float = 1.0) -> Head:
    """Fit a head for the species in `labels`.

    Both kinds work on standardised embeddings (zero mean, unit variance) and are folded back to raw ones, so that they
    act directly on features:

    - "linear": multinomial logistic regression with an L2 penalty of strength ``1 / C``;
    - "nearest_mean": no training; with standardised ``z`` and class means ``m_k`` the logit is
      ``(z . m_k - |m_k|^2 / 2) / sqrt(feature)``, which orders classes by distance to their means.

    Parameters
    ----------
    embedding
        (image, feature), finite.
    labels
        (image,) names, at least two different ones.
    kind
        "linear" or "nearest_mean".
    C
        Inverse strength of the penalty.

    Returns
    -------
    Head
        In float64, species in alphabetical order.
    """
    X = embedding.astype(np.float64)
    mean, scale = X.mean(0), X.std(0)
    # A feature that hardly varies for its size (rounding noise) must not be blown up.
    scale = np.where(scale > 1e-6 * (np.abs(mean) + 1e-12), scale, np.inf)
    Z = (X - mean) / scale
    species = np.unique(labels.astype(str))
    if kind == "nearest_mean":
        means = np.stack([Z[labels == s].mean(0) for s in species])
        weight, bias = means / np.sqrt(X.shape[1]), -(means**2).sum(1) / 2 / np.sqrt(X.shape[1])
    else:
        weight, bias = _logistic(Z, labels.astype(str), C)
    raw = weight / scale
    return Head(species, raw, bias - raw @ mean)


def _logistic(Z: np.ndarray, labels: np.ndarray, C: float) -> tuple[np.ndarray, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            fitted = LogisticRegression(C=C, max_iter=2000).fit(Z, labels)
        except ConvergenceWarning:
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = LogisticRegression(C=C, max_iter=2000).fit(Z, labels)
            warnings.warn(
                "The species head did not converge in 2000 steps; its logits may be off. Try fewer features, "
                "head='nearest_mean', or a smaller C.",
                stacklevel=4,
            )
    weight, bias = fitted.coef_, fitted.intercept_
    if len(weight) == 1:  # two species: scikit-learn keeps only their difference; the softmax form splits it evenly
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias


def cross_validate(
    embedding: np.ndarray,
    labels: np.ndarray,
    kind: str = "linear",
    folds: int = 5,
    groups: np.ndarray | None = None,
    seed: int = 0,
    C: float = 1.0,
) -> np.ndarray:
    """Logits of every photo from a head that was fitted without it.

    Parameters
    ----------
    embedding, labels, kind, C
        See `fit_head`.
    folds
        Number of folds, stratified by species and shuffled with `seed`.
    groups
        (image,) photos of one group (an individual, a specimen) stay in one fold.
    seed
        Of the shuffling.

    Returns
    -------
    numpy.ndarray
        (image, species), species in alphabetical order; NaN for species that were absent from the fold's training
        photos.

    Warns
    -----
    UserWarning
        Naming the species with fewer photos than folds.
    """
    species, count = np.unique(labels.astype(str), return_counts=True)
    few = species[count < folds]
    if len(few):
        warnings.warn(
            f"{len(few)} species with fewer photos than the {folds} folds of cross-validation: "
            f"{', '.join(few[:8])}{', ...' if len(few) > 8 else ''}. Their accuracy is uncertain.",
            stacklevel=3,
        )
    logits = np.full((len(labels), len(species)), np.nan)
    for test, head in held_out_heads(embedding, labels, kind, folds, groups, seed, C):
        logits[np.ix_(test, np.searchsorted(species, head.species))] = head.logits(embedding[test])
    return logits


def held_out_heads(
    embedding: np.ndarray,
    labels: np.ndarray,
    kind: str = "linear",
    folds: int = 5,
    groups: np.ndarray | None = None,
    seed: int = 0,
    C: float = 1.0,
) -> Iterator[tuple[np.ndarray, Head]]:
    """Fit the heads of cross-validation, and say which photos each has not seen.

    Parameters
    ----------
    embedding, labels, kind, folds, groups, seed, C
        See `cross_validate`.

    Yields
    ------
    test : numpy.ndarray
        Positions of the photos that the head has not seen; every photo once, unless its fold leaves fewer than two
        species to learn.
    head : Head
        Fitted on the others; species that are absent from them are absent from it.
    """
    units = len(labels) if groups is None else len(np.unique(groups))
    folds = min(folds, units)
    if folds < 2:
        return
    splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # `cross_validate` says it, with names
        parts = list(splitter.split(embedding, _stratifiable(labels, folds), groups))
    for train, test in parts:
        if len(np.unique(labels[train])) >= 2:
            yield test, fit_head(embedding[train], labels[train], kind, C)


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
    groups = _members(images[attrs["groups"]].values[known]) if attrs["groups"] else None
    stored = study["features"].to_dataset()["embedding"]
    ids = images["image"].values[known]
    embedding = stored.isel(image=stored.indexes["image"].get_indexer(ids)).values
    settings = attrs["head"], int(attrs["folds"]), groups, int(attrs["seed"]), float(attrs["C"])
    for test, head in held_out_heads(embedding, labels[known], *settings):
        yield ids[test], head


def _stratifiable(labels: np.ndarray, folds: int) -> np.ndarray:
    """Labels for stratified folds; all the same where every species is rare, which scikit-learn would refuse."""
    names, count = np.unique(labels.astype(str), return_counts=True)
    return labels.astype(str) if count.max() >= folds else np.full(len(labels), names[0])


def prototypes(embedding: np.ndarray, labels: np.ndarray, species: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean embedding (species, feature), NaN where a species has no photo, and number of photos (species,)."""
    count = np.array([(labels == s).sum() for s in species], np.int64)
    mean = np.full((len(species), embedding.shape[1]), np.nan)
    for i, s in enumerate(species):
        if count[i]:
            mean[i] = embedding[labels == s].mean(0, dtype=np.float64)
    return mean, count


def trained_tables(
    embedding: np.ndarray,
    images: xr.Dataset,
    kind: str,
    *,
    folds: int = 5,
    groups: str | None = None,
    seed: int = 0,
    C: float = 1.0,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Make ``/species`` and ``/predictions`` with a head fitted on the labelled photos.

    Parameters
    ----------
    embedding
        (image, feature), NaN for photos that could not be used.
    images
        The study's ``/images``.
    kind
        "linear" or "nearest_mean".
    folds, groups, seed, C
        See `cross_validate`; `groups` names a column of `images`.

    Returns
    -------
    species : xarray.Dataset
        ``prototype``, ``weight``, ``bias``, ``count`` over dim ``species``; the cross-validated ``accuracy`` in attrs.
    predictions : xarray.Dataset
        ``logit(image, species)`` and ``predicted(image)``, cross-validated for labelled photos.

    Raises
    ------
    ValueError
        If there are fewer than two species.
    """
    labels = usable_labels(images)
    known = labels != ""
    need_two_species(labels)
    head = fit_head(embedding[known], labels[known], kind, C)
    logits = head.logits(embedding)
    members = _members(images[groups].values[known]) if groups else None
    logits[known] = cross_validate(embedding[known], labels[known], kind, folds, members, seed, C)
    judged = known & ~np.isnan(logits).all(1)
    right = head.species[np.nanargmax(logits[judged], 1)] == labels[judged]
    attrs = {
        "head": kind,
        "cross_validated": True,
        "folds": folds,
        "groups": groups or "",
        "seed": seed,
        "C": C,
        "accuracy": float(right.mean()) if len(right) else float("nan"),
    }
    species = _species_table(head.species, embedding, labels)
    species["weight"] = (("species", "feature"), head.weight.astype(np.float32), {"units": "logit per feature"})
    species["bias"] = ("species", head.bias.astype(np.float32), {"units": "logit"})
    return species.assign_attrs(attrs), _predictions(head.species, images, logits).assign_attrs(attrs)


def own_tables(
    embedding: np.ndarray,
    images: xr.Dataset,
    classes: tuple[str, ...],
    linear: tuple[np.ndarray, np.ndarray] | None,
    own_logit: np.ndarray | None,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Make ``/species`` and ``/predictions`` from the network's own classes; nothing is trained.

    Parameters
    ----------
    embedding, images
        See `trained_tables`.
    classes
        Names of the network's classes.
    linear
        Weight (class, feature) and bias of its classifier, or None where its logits are not linear in the embedding;
        then the species get no ``weight`` and ``bias``.
    own_logit
        (image, class) logits of the network, needed where `linear` is None.
    """
    names = np.array(classes)
    species = _species_table(names, embedding, usable_labels(images))
    if linear is not None:
        own_logit = Head(names, *linear).logits(embedding)
        species["weight"] = (("species", "feature"), linear[0], {"units": "logit per feature"})
        species["bias"] = ("species", linear[1], {"units": "logit"})
    attrs = {"head": "model", "cross_validated": False}
    return species.assign_attrs(attrs), _predictions(names, images, own_logit).assign_attrs(attrs)


def _members(groups: np.ndarray) -> np.ndarray:
    """Groups as text; a photo whose group is unknown is a group of its own."""
    text = groups.astype(str)
    return np.array([g if g not in ("", "nan", "NaT") else f"\0{i}" for i, g in enumerate(text)])


def usable_labels(images: xr.Dataset) -> np.ndarray:
    """Species of each photo as text, "" where unknown or where the photo cannot be used."""
    return np.where(images["status"].values.astype(str) == "ok", images["species"].values.astype(str), "")


def _species_table(names: np.ndarray, embedding: np.ndarray, labels: np.ndarray) -> xr.Dataset:
    mean, count = prototypes(embedding, labels, names)
    return xr.Dataset(
        {"prototype": (("species", "feature"), mean.astype(np.float32)), "count": ("species", count)},
        {"species": names.astype(object)},
    )


def _predictions(names: np.ndarray, images: xr.Dataset, logits: np.ndarray) -> xr.Dataset:
    predicted = np.array([""] * len(logits), object)
    certain = ~np.isnan(logits).all(1)
    if certain.any():
        predicted[certain] = names[np.nanargmax(logits[certain], 1)]
    return xr.Dataset(
        {
            "logit": (("image", "species"), logits.astype(np.float32), {"units": "logit"}),
            "predicted": ("image", predicted),
        },
        {"image": images.image.values.astype(object), "species": names.astype(object)},
    )


def need_two_species(labels: np.ndarray) -> None:
    """Raise ValueError unless the labels, "" left out, name at least two species."""
    names, count = np.unique(labels[labels != ""], return_counts=True)
    if len(names) >= 2:
        return
    found = f"only {str(names[0])!r} ({count[0]} photos)" if len(names) else "no photo with a species name"
    raise ValueError(
        f"A species head compares at least two species. Got {found} instead: add photos of its look-alikes, or "
        "explain the "
        "network's own classes with analyze(..., head='model')."
    )
