"""What heads say of photos: embeddings and labels enter; ``/species`` and ``/predictions`` leave, block by block."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from finerkit import store as disk
from finerkit.blocks import row_blocks
from finerkit.labels import counted, members, need_two_species, positions, usable_labels
from finerkit.likeness import taken_for
from finerkit.mistakes import SpeciesWarning, count_answers, name_confused, warn_few
from finerkit.pairs import text_variable
from finerkit.species import (
    Head,
    constant_features,
    fit_head,
    held_out_heads,
    prototypes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import zarr

    from finerkit.blocks import Embedding
    from finerkit.places import Place

#: Logits per chunk on disk: 1 MB.
_CHUNK = 2**18

#: Photos x features x species from which on fitting a head takes seconds.
_LONG = 2**30


class Judgement(NamedTuple):
    """A species table, and what gives the logits of photos at some successive positions."""

    species: xr.Dataset
    logits: Callable[[np.ndarray], np.ndarray]


def trained(
    embedding: Embedding,
    images: xr.Dataset,
    kind: str,
    *,
    folds: int = 5,
    groups: str | None = None,
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
    folds, groups, seed, C
        See `finerkit.species.cross_validate`; `groups` names a column of `images`.
    progress
        Show a progress bar where it takes more than a moment.

    Returns
    -------
    Judgement
        ``prototype``, ``weight``, ``bias``, ``count`` over dim ``species``. Logits of labelled photos are those of
        heads that had not seen them. Attrs: ``constant_features``, how many are the same in all these photos.

    Raises
    ------
    ValueError
        If there are fewer than two species.

    Warns
    -----
    SpeciesWarning
        Naming the species with fewer photos than folds.
    """
    labels = usable_labels(images)
    need_two_species(labels)
    rows = np.flatnonzero(labels != "")
    warn_few(labels[rows], folds)
    together = members(images[groups].values[rows]) if groups else None
    work = len(rows) * embedding.shape[1] * len(counted(labels[rows])[0])
    with _bar(folds + 1, progress, long=kind == "linear" and work > _LONG) as bar:
        head = fit_head(embedding, labels[rows], kind, C, rows)
        bar.update()
        judges = []
        for judge in held_out_heads(embedding, labels[rows], kind, folds, together, seed, C, rows):
            judges.append(judge)
            bar.update()
    species = _table(head.species, embedding, labels)
    species["weight"] = (("species", "feature"), head.weight.astype(np.float32), {"units": "logit per feature"})
    species["bias"] = ("species", head.bias.astype(np.float32), {"units": "logit"})
    species.attrs = {
        "head": kind, "cross_validated": True, "folds": folds, "groups": groups or "", "seed": seed, "C": C,
        "constant_features": constant_features(embedding, rows),
    }  # fmt: skip
    return Judgement(species, _Unseen(embedding, head, [(rows[test], judge) for test, judge in judges], rows))


def _bar(fits: int, progress: bool, *, long: bool) -> tqdm:
    """A bar that quick work never shows; it cannot appear while a head is being fitted, so long work shows it first."""
    delay = 0 if long else 2
    return tqdm(total=fits, desc="fitting the species head", unit="fit", delay=delay, disable=not progress)


def own(
    embedding: Embedding,
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
    species = _table(names, embedding, usable_labels(images))
    species.attrs = {"head": "model", "cross_validated": False}
    if linear is None:
        return Judgement(species, lambda at: own_logit[at[0] : at[-1] + 1])
    head = Head(names, *(part.astype(np.float64) for part in linear))
    species["weight"] = (("species", "feature"), linear[0], {"units": "logit per feature"})
    species["bias"] = ("species", linear[1], {"units": "logit"})
    return Judgement(species, lambda at: head.logits(embedding[at]))


class _Unseen:
    """Logits by heads that have not seen the photo: those of cross-validation where it was labelled."""

    def __init__(
        self, embedding: Embedding, head: Head, judges: list[tuple[np.ndarray, Head]], labelled: np.ndarray
    ) -> None:
        self._embedding = embedding
        self._judges = [(judge, np.searchsorted(head.species, judge.species)) for _, judge in judges]
        self._judges.append((head, np.arange(len(head.species))))
        self._judge = np.full(len(embedding), len(judges))
        self._judge[labelled] = -1  # where no fold could judge it, nobody does
        for i, (test, _) in enumerate(judges):
            self._judge[test] = i

    def __call__(self, at: np.ndarray) -> np.ndarray:
        block, judge = self._embedding[at], self._judge[at]
        head, everyone = self._judges[-1]
        logits = np.full((len(at), len(everyone)), np.nan, head.weight.dtype)
        for i in np.unique(judge[judge >= 0]):
            mine, (head, columns) = np.flatnonzero(judge == i), self._judges[i]
            logits[np.ix_(mine, columns)] = head.logits(block[mine])
        return logits


def _table(names: np.ndarray, embedding: Embedding, labels: np.ndarray) -> xr.Dataset:
    mean, count = prototypes(embedding, labels, names)
    return xr.Dataset(
        {"prototype": (("species", "feature"), mean.astype(np.float32)), "count": ("species", count)},
        {"species": names.astype(object)},
    )


def trained_tables(
    embedding: np.ndarray, images: xr.Dataset, kind: str, **options: Any
) -> tuple[xr.Dataset, xr.Dataset]:
    """``/species`` and ``/predictions`` in memory; parameters as for `trained`."""
    judged = trained(embedding, images, kind, **options)
    parts: list[np.ndarray] = []
    species, summary = _predicted(judged, images, lambda _, logits: parts.append(logits), len(images["image"]))
    logit = (("image", "species"), np.concatenate(parts), {"units": "logit"})
    return species, summary.assign(logit=logit)


def write_tables(path: Place, images: xr.Dataset, judged: Judgement, attrs: dict[str, Any]) -> None:
    """Write ``/species`` and ``/predictions``, whose logits are never in memory whole."""
    names = judged.species["species"].values
    rows = min(len(images["image"]), max(disk.CHUNK, _CHUNK // len(names)))
    group = disk.ChunkedGroup(
        path,
        "predictions",
        {"logit": {"species": len(names)}},
        {"logit": "float32"},
        images["image"].values,
        coords={"species": names},
        units={"logit": "logit"},
        attrs=judged.species.attrs | attrs,
        chunk=rows,
    )
    species, summary = _predicted(judged, images, lambda start, logits: group.write(start, logit=logits), rows)
    disk.add_to_group(path, "predictions", summary, **attrs)
    disk.write_group(path, "species", species, **attrs)


def warn_indistinct(study: xr.DataTree) -> None:
    """Name, in one `SpeciesWarning`, what a study's head cannot tell apart; see `finerkit.mistakes.confused`."""
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
    predicted = np.array([""] * len(labels), object)
    for at, logits in _parts(judged, len(labels), rows):
        certain = ~np.isnan(logits).all(1)
        predicted[at[certain]] = names[np.nanargmax(logits[certain], 1)]
        put(int(at[0]), logits.astype(np.float32))
    species = _with_recall(judged.species, labels, predicted)
    coords = {"image": text_variable(images["image"].values), "species": names}
    return species, xr.Dataset({"predicted": text_variable(predicted)}, coords, species.attrs)


def _with_recall(species: xr.Dataset, labels: np.ndarray, predicted: np.ndarray) -> xr.Dataset:
    """Add the shares of photos that were recognised, of each species and of all, where these had not been seen."""
    if not species.attrs["cross_validated"]:
        return species
    names = species["species"].values
    answers = count_answers(positions(labels, names), positions(predicted, names), len(names))
    about = {"units": "1", "comment": "share of the photos recognised by heads that had not seen them"}
    recall = ("species", answers.recall().astype(np.float32), about)
    return species.assign(recall=recall).assign_attrs(accuracy=answers.accuracy())


def _parts(judged: Judgement, count: int, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Logits of all photos in parts of `rows`, which are judged in smaller blocks."""
    features, species = judged.species.sizes["feature"], judged.species.sizes["species"]
    for start in range(0, count, rows):
        part = np.arange(start, min(start + rows, count))
        yield part, np.concatenate([judged.logits(at) for at in row_blocks(part, features, 2 * species)])
