"""Make ``/species`` and ``/predictions`` of a study: what heads say of its photos, chunk by chunk."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from finerkit.base.labels import counted, need_two_species, positions, usable_labels
from finerkit.base.text import text_variable
from finerkit.species.confusion import SpeciesWarning, count_answers, name_confused, warn_few
from finerkit.species.cross_validation import judgeable, split, together, warn_crowd, warn_unjudged
from finerkit.species.heads import Head, constant_features, fit_head, held_out_heads, prototypes
from finerkit.species.similarity_rows import taken_for
from finerkit.store import groups as disk

if TYPE_CHECKING:
    from collections.abc import Callable

    import zarr

    from finerkit.store.location import Place

#: Logits per chunk on disk: 1 MB.
_CHUNK = 2**18

#: Photos x features x species from which on fitting a head takes seconds.
_LONG = 2**30


class Judgement(NamedTuple):
    """What heads say of photos."""

    species: xr.Dataset  # the table of species
    logits: Callable[[np.ndarray], np.ndarray]  # (image, species) of the photos at some successive positions
    fold: np.ndarray  # (image,) which head of cross-validation judges the photo; -1 for none


def trained(
    embedding: np.ndarray,
    images: xr.Dataset,
    kind: str,
    *,
    folds: int = 5,
    groups: tuple[str, ...] = (),
    seed: int = 0,
    C: float = 1.0,
    progress: bool = False,
) -> Judgement:
    """Fit and cross-validate a head on the labelled photos.

    Parameters
    ----------
    embedding
        (image, feature), NaN for photos that could not be used.
    images
        The study's ``/images``.
    kind
        "linear" or "nearest_mean".
    folds
        Folds of the cross-validation, stratified by species and shuffled with `seed`.
    groups
        Columns of `images`; photos that share a value in any of them stay in one fold.
    seed
        Of the shuffling.
    C
        Inverse strength of the penalty.
    progress
        Show a progress bar where it takes more than a moment.

    Returns
    -------
    Judgement
        ``prototype``, ``weight``, ``bias``, ``n_photos`` over dim ``species``. Logits of labelled photos are those of
        heads that had not seen them; NaN for species that such a head does not know. Attrs: ``constant_features``, how
        many are the same in all these photos.

    Raises
    ------
    ValueError
        If there are fewer than two species.

    Warns
    -----
    SpeciesWarning
        Naming the species that could not be judged; those with fewer photos than folds; and a group with more than
        half of the photos.
    """
    labels = usable_labels(images)
    need_two_species(labels)
    rows = np.flatnonzero(labels != "")
    belonging = together(images, groups)
    fold = np.full(len(labels), -1)
    fold[rows] = split(labels[rows], folds, belonging[rows], seed)
    judged = judgeable(labels[rows], fold[rows])
    warn_crowd(images, groups, belonging, rows)
    warn_unjudged(labels[rows], judged)
    warn_few(labels[rows][np.isin(labels[rows], labels[rows][judged])], folds)
    known, names = embedding if len(rows) == len(labels) else embedding[rows], labels[rows]
    work = known.size * len(counted(names)[0])
    delay = 0 if kind == "linear" and work > _LONG else 2  # the bar cannot appear while a head is being fitted
    with tqdm(total=folds + 1, desc="fitting the species head", unit="fit", delay=delay, disable=not progress) as bar:
        head = fit_head(known, names, kind, C)
        bar.update()
        judges = []
        for _, judge in held_out_heads(known, names, fold[rows], kind, C):
            judges.append(judge)
            bar.update()
    species = _with_head(_table(head.species, embedding, labels), head.weight, head.bias)
    species.attrs = {
        "head": kind, "cross_validated": 1, "folds": folds, "groups": ", ".join(groups), "seed": seed, "C": C,
        "constant_features": constant_features(known),
    }  # fmt: skip
    judge = np.where(labels == "", len(judges), fold)
    return Judgement(species, partial(_unseen_logits, embedding, [*judges, head], judge), fold)


def _unseen_logits(embedding: np.ndarray, heads: list[Head], judge: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Logits of the photos at some positions, each by one of the heads (``judge``, -1: none), the last knows most."""
    everyone = heads[-1].species
    logits = np.full((len(at), len(everyone)), np.nan)
    for i in np.unique(judge[at][judge[at] >= 0]):
        mine, columns = np.flatnonzero(judge[at] == i), np.searchsorted(everyone, heads[i].species)
        logits[np.ix_(mine, columns)] = heads[i].logits(embedding[at[mine]])
    return logits


def own(
    embedding: np.ndarray,
    images: xr.Dataset,
    classes: tuple[str, ...],
    linear: tuple[np.ndarray, np.ndarray] | None,
    own_logit: zarr.Array | None,
) -> Judgement:
    """Take the network's own classes; nothing is trained.

    Parameters
    ----------
    embedding, images
        See `trained`.
    classes
        Names of the network's classes.
    linear
        Weight (class, feature) and bias of its classifier, or None where its logits are not linear in the embedding;
        then the species get no ``weight`` and ``bias``.
    own_logit
        (image, class) logits of the network, needed where `linear` is None; read by block.
    """
    names = np.array(classes)
    none = np.full(len(embedding), -1)
    species = _table(names, embedding, usable_labels(images))
    species.attrs = {"head": "model", "cross_validated": 0}
    if linear is None:
        return Judgement(species, lambda at: own_logit[at[0] : at[-1] + 1], none)
    head = Head(names, *(part.astype(np.float64) for part in linear))
    return Judgement(_with_head(species, *linear), lambda at: head.logits(embedding[at]), none)


def _table(names: np.ndarray, embedding: np.ndarray, labels: np.ndarray) -> xr.Dataset:
    mean, count = prototypes(embedding, labels, names)
    return xr.Dataset(
        {"prototype": (("species", "feature"), mean.astype(np.float32)), "n_photos": ("species", count)},
        {"species": names.astype(object)},
    )


def _with_head(species: xr.Dataset, weight: np.ndarray, bias: np.ndarray) -> xr.Dataset:
    weights = ("species", "feature"), weight.astype(np.float32), {"units": "logit per feature"}
    return species.assign(weight=weights, bias=("species", bias.astype(np.float32), {"units": "logit"}))


def write_tables(
    path: Place, images: xr.Dataset, judged: Judgement, attrs: dict[str, Any]
) -> tuple[xr.Dataset, np.ndarray]:
    """Write ``/species`` and ``/predictions``, whose logits are never in memory whole; returns species and folds."""
    names = judged.species["species"].values
    rows = max(disk.CHUNK, _CHUNK // len(names))
    coords = {"image": text_variable(images["image"].values), "species": names}
    disk.write_group(path, "predictions", xr.Dataset(coords=coords), **judged.species.attrs | attrs)
    shape, units = {"logit": {"species": len(names)}}, {"logit": "logit"}
    group = disk.make_arrays(path, "predictions", len(images["image"]), shape, {"logit": "float32"}, units, rows)
    species, summary = _predicted(judged, images, lambda start, logits: group.write(start, logit=logits), rows)
    disk.add_to_group(path, "predictions", summary, **attrs)
    disk.write_group(path, "species", species, **attrs)
    return species, judged.fold


def warn_indistinct(study: xr.DataTree) -> None:
    """Name, in one `SpeciesWarning`, what a study's head cannot tell apart; see `confusion.confused`."""
    table = study["species"]
    if not table.attrs["cross_validated"]:
        return
    names, features = table["species"].values, table.sizes["feature"]
    if table.attrs["constant_features"] == features:
        said = (
            f"The network says the same of every photo: all {features} features are constant, so nothing tells the "
            "species apart, and all maps are empty. Check the photos and the network (its weights, its preprocessing)."
        )
    else:
        said = name_confused(taken_for(study, list(names)), names)
    if said:
        warnings.warn(said, SpeciesWarning, stacklevel=4)  # who called `finerkit.analyze`


def _predicted(
    judged: Judgement, images: xr.Dataset, put: Callable[[int, np.ndarray], None], rows: int
) -> tuple[xr.Dataset, xr.Dataset]:
    """Hand the logits on in parts of `rows` photos; returns ``/species``, and what each is."""
    labels, names = usable_labels(images), judged.species["species"].values
    own = positions(labels, names)
    predicted = np.array([""] * len(labels), object)
    for start in range(0, len(labels), rows):
        at = np.arange(start, min(start + rows, len(labels)))
        logits = judged.logits(at)
        certain = ~np.isnan(logits).all(1)
        labelled = np.flatnonzero(own[at] >= 0)
        certain[labelled] &= ~np.isnan(logits[labelled, own[at[labelled]]])  # else the right answer was not on offer
        predicted[at[certain]] = names[np.nanargmax(logits[certain], 1)]
        put(start, logits.astype(np.float32))
    species = _with_recall(judged.species, own, predicted)
    coords = {"image": text_variable(images["image"].values), "species": names}
    about = {"comment": "head of cross-validation that judged the photo, which it had not seen; -1: none"}
    summary = {"predicted": text_variable(predicted), "fold": ("image", judged.fold, about)}
    return species, xr.Dataset(summary, coords, species.attrs)


def _with_recall(species: xr.Dataset, own: np.ndarray, predicted: np.ndarray) -> xr.Dataset:
    """Add the shares of photos that were recognised, of each species and of all, where these had not been seen."""
    if not species.attrs["cross_validated"]:
        return species
    names = species["species"].values
    answers = count_answers(own, positions(predicted, names), len(names))
    about = {"units": "1", "comment": "share of the photos recognised by heads that had not seen them"}
    recall = ("species", answers.recall().astype(np.float32), about)
    return species.assign(recall=recall).assign_attrs(accuracy=answers.accuracy(), chance_level=answers.commonest())
