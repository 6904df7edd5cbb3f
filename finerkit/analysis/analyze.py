"""Run the main job: embed photos chunk by chunk, fit the species head, and keep all of it in a study."""

from __future__ import annotations

import atexit
import math
import os
import shutil
import tempfile
import uuid
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from finerkit.analysis.rows import ESSENTIAL, Match, append, changed, match, reuse, updated
from finerkit.base.checks import whole
from finerkit.base.identity import Identity, hashed
from finerkit.base.labels import need_two_species, texts, usable_labels
from finerkit.base.names import choice, resolve
from finerkit.base.text import text_variable, typed_names
from finerkit.networks import Model, load_model
from finerkit.networks.embed import embed, features_group, run_here
from finerkit.networks.of_study import class_names, model_attrs, network_id, remember
from finerkit.photos.contents import contents
from finerkit.photos.read import read_images, usable, warn_unusable
from finerkit.photos.tables import RESERVED
from finerkit.species.heads import HEADS
from finerkit.species.predictions import own, trained, warn_indistinct, write_tables
from finerkit.store import groups as disk
from finerkit.store.compact import compacted
from finerkit.store.location import exists, is_local, place, remove
from finerkit.store.lock import break_lock as break_the_lock
from finerkit.store.lock import writing
from finerkit.store.schema import check_version
from finerkit.store.study import SETTINGS, mend, open_place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributed import Client

    from finerkit.networks.embed import Run
    from finerkit.store.location import Place

#: With ``keep_features="auto"``, feature maps are kept while they need no more than this before compression.
KEEP_BYTES = 8 * 2**30


def analyze(
    images: xr.Dataset | str | os.PathLike[str],
    model: Model | str | None = None,
    store: str | os.PathLike[str] | None = None,
    head: str = "linear",
    *,
    keep_features: bool | int | str = "auto",
    folds: int = 5,
    groups: str | Iterable[str] | None = None,
    C: float = 1.0,
    seed: int = 0,
    overwrite: bool = False,
    compact: bool = False,
    break_lock: bool = False,
    progress: bool = True,
    client: Client | None = None,
) -> xr.DataTree:
    """Embed photos, fit and cross-validate the species head, and keep everything in a study.

    Run again with the same arguments to resume after an interruption; a finished study is opened at once. Run again
    with more photos, and only those that were added or changed are computed; photos that failed are tried again.

    Parameters
    ----------
    images
        From `finerkit.read_images`, or what it takes.
    model
        From `finerkit.load_model`, or a name for it. Default: the embedded network at 448 pixels.
    store
        Where to write the Zarr store: a folder such as "warblers.zarr", an address such as "s3://bucket/warblers.zarr"
        (any file system of fsspec; credentials come from its own configuration), or a ``upath.UPath`` with options.
        None: a temporary folder, gone with the session.
    head
        "linear": multinomial logistic regression on standardised embeddings, folded back to raw ``weight`` and
        ``bias``; "nearest_mean": training-free; "model": the network's own classes.
    keep_features
        Keep the feature maps (float16), so that later questions need no forward pass. "auto" keeps them up to 8 GiB
        and a quarter of the free disk (of a local one); a number is a budget in bytes.
    folds
        Folds of the cross-validation.
    groups
        Column or columns of `images`; photos that share a value in any of them (an individual, a session) stay in one
        fold. A photo without a value is alone. Identical files, and rows of one file, always share a fold.
    C
        Inverse strength of the head's L2 penalty.
    seed
        Of the cross-validation's shuffling.
    overwrite
        Replace a store that holds a different study, or leave out photos that are no longer among `images`.
    compact
        Rewrite the store, which lies on a disk, without the rows that were removed and without its comparisons. Trees
        and comparisons that were opened before can then no longer be used.
    break_lock
        Remove the lock that a killed process left beside a study in a bucket; see `finerkit.break_lock`.
    progress
        Show progress bars.
    client
        A ``dask.distributed.Client``: its workers embed the photos, each with its own copy of the network and on its
        own GPU where it has one, and write to the store. They must see it, and the photos, under the same path or
        address.
        Needs ``finerkit[distributed]``; see ``docs/cluster.md``. Default: this process does it all.

    Returns
    -------
    xarray.DataTree
        Lazy. Groups ``/images``, ``/features`` (``embedding``, ``feature_map``), ``/species`` (``prototype``,
        ``weight``, ``bias``, ``n_photos``, ``recall``: the share of the species' photos that heads that had not seen
        them recognise, NaN where none could be judged) and ``/predictions`` (``logit``, ``predicted``, ``fold``;
        cross-validated). The attrs of ``/species`` have the ``accuracy`` over all photos that could be judged, the
        ``chance_level`` (share of the commonest species among them) and the number of ``constant_features``.

    Raises
    ------
    ValueError
        If no photo can be used, there are fewer than two species, the store holds a different study, or its address
        cannot be used.
    BlockingIOError
        If another process is writing to the store.

    Warns
    -----
    PhotoWarning
        If photos fail now that could be read before; they are kept in ``/images/status`` with the reason.
    SpeciesWarning
        Naming the species that have fewer photos than there are folds; and those that the head does not tell from
        another, in photos that it had not seen, better than chance might (Fisher's exact test; species of five photos
        and more); or if all features are constant.

    Notes
    -----
    Writes the store, nothing else (and beside it a lock file). The parts of a killed run that were finished are
    used by the next. Photos are known by the content of their files. Rows are append-only: a photo that is new, or
    whose file changed, gets a new row; the row that it replaces stays, with status "removed" and "~1" after its id.
    Labels and columns are brought up to date in place. Where that changes what the species head learns from, it is
    fitted anew; comparisons of the earlier head stay in the store but no longer belong to the study, and are asked
    again. Traits, which may have been named by hand, are kept as they are.
    """
    choice(head, HEADS, "head")
    run = run_here
    if client is not None:
        from finerkit.analysis.cluster import workers

        run = workers(client)
    if not isinstance(images, xr.Dataset):
        images = read_images(images, progress=progress)
    _check_images(images, head)
    whole(folds, "folds", 2)
    if not np.isfinite(C) or C <= 0:
        raise ValueError(f"C must be a number in the range (0, inf). Got {C!r} instead.")
    if not isinstance(model, Model):
        model = load_model() if model is None else load_model(model)
    remember(model)
    columns = _group_columns(images, groups)
    settings = {"head": head, "folds": folds, "groups": ", ".join(columns), "C": float(C), "seed": seed}
    job = Job(_place(store), images, model, settings, columns, progress, run)
    if compact and not is_local(job.path):
        raise ValueError(
            f"{str(job.path)!r} cannot be compacted, since nothing can be renamed in a bucket: copy the study to a "
            "disk, compact it there, and copy it back."
        )
    if break_lock:
        break_the_lock(job.path)
    mend(job.path)
    if not compact and _is_ours(job, overwrite) and (table := _finished(job)) is not None:
        return open_place(job.path, table=table)
    with writing(job.path):
        if not _is_ours(job, overwrite):
            _begin(job, keep_features)
        study = _completed(job, overwrite)
        if compact:
            compacted(job.path)
            study = _completed(job, overwrite)
        return study


@dataclass(frozen=True)
class Job:
    """What a run is to do: bring the study at a place in line with photos, network and settings of the head."""

    path: Place
    images: xr.Dataset
    model: Model
    settings: dict[str, Any]
    groups: tuple[str, ...]
    progress: bool
    run: Run

    @property
    def made_by(self) -> dict[str, Any]:
        """Facts, as the root's attrs keep them, that must agree for a study to be continued."""
        facts = {k: v for k, v in model_attrs(self.model).items() if k not in ("model", "pretrained")} | self.settings
        names = class_names(self.model) if self.settings["head"] == "model" else ()
        return facts | {"class_names": hashed(list(names))}


def _finished(job: Job) -> xr.Dataset | None:
    """Return ``/images`` of a study that is all that it should be, so that nothing is to be done; else None."""
    table = disk.read_group(job.path, "images")
    found = match(table, job.images)
    if len(found.new) or len(found.pending) or found.lost:
        return None
    after = updated(table, job.images, found)
    return table if changed(table, after) == [] and _knows(job, after) else None


def _knows(job: Job, table: xr.Dataset) -> bool:
    """Whether the head was fitted to these photos, labels and settings."""
    root = disk.read_root(job.path)
    known = root.get("lesson"), root.get("rows")
    return bool(root.get("head_id")) and known == (_lesson(job, table), table.sizes["image"])


def _lesson(job: Job, table: xr.Dataset) -> str:
    """Short hash of all that head and predictions depend on: photos, labels, what shares a fold, and settings."""
    table = table.isel(image=table["status"].values != disk.REMOVED)
    columns = [texts(table[c].values) for c in ("duplicate_of", "file", *job.groups) if c in table]
    photos = [c if good else "" for c, good in zip(contents(table), usable(table), strict=True)]
    return hashed(job.made_by, photos, list(usable_labels(table)), columns)


def _completed(job: Job, overwrite: bool) -> xr.DataTree:
    """Bring the store to where it should be; nobody else writes to it meanwhile."""
    path, images = job.path, job.images
    table = disk.read_group(path, "images")
    found = match(table, images)
    if found.lost and not overwrite:
        raise ValueError(
            f"{len(found.lost)} photos of the study {str(path)!r} are not among these {images.sizes['image']}, such as "
            f"{found.lost[0]!r}. Choose another store=, or leave them out with analyze(..., overwrite=True)."
        )
    if len(found.new):
        append(path, table, images, found)
    _embed(job, found)
    table = disk.read_group(path, "images")
    found = match(table, images)
    after = updated(table, images, found)
    news = np.where(usable(images), after["status"].values[found.row], "ok")  # read_images has warned of the others
    warn_unusable(images.assign(status=text_variable(news)), "could not be analysed")
    if not usable(after).any():
        raise ValueError("None of the photos could be analysed: /images/status in the store says why.")
    fresh = not _knows(job, after)
    if fresh:
        disk.commit(path, head_id="", **job.made_by)
    _write_table(job, table, after)
    if fresh:
        _fit(job, after)
    study = open_place(path)
    if fresh:
        warn_indistinct(study)
    return study


def _with_contents(job: Job, table: xr.Dataset, found: Match) -> xr.Dataset:
    """Write what the files hold now, of photos that failed before, before anything is computed of them."""
    for name in ("fingerprint", "sha256"):
        if name in table and name in job.images:
            values = table[name].values.copy()
            values[found.row] = job.images[name].values
            disk.write_column(job.path, "images", name, values, table[name].attrs)
            table = table.assign({name: text_variable(values, attrs=table[name].attrs)})
    return table


def _embed(job: Job, found: Match) -> None:
    """Compute what is pending, and try again what failed before: a drive may have been away."""
    table = disk.read_group(job.path, "images", "status", "path", "fingerprint", "sha256")
    table = _with_contents(job, table, found)
    before = table["status"].values
    status, paths = before.copy(), table["path"].values.copy()
    status[found.pending] = disk.PENDING
    left_out = found.removed[status[found.removed] == disk.PENDING]
    status[left_out] = disk.REMOVED
    paths[found.row] = job.images["path"].values
    if (status != before).any():
        disk.write_status(job.path, 0, status)
    if (status == disk.PENDING).any():
        reuse(job.path, table.assign(status=text_variable(status)))
        embed(job.path, paths, job.model, job.progress, job.run)


def _write_table(job: Job, before: xr.Dataset, after: xr.Dataset) -> None:
    """Write what changed in ``/images``."""
    names = changed(before, after)
    for name in names:
        disk.write_column(job.path, "images", name, after[name].values, after[name].attrs)
    attrs = _photo_attrs(job)
    if names or any(before.attrs.get(k) != v for k, v in attrs.items()):
        disk.make_group(job.path, "images", **attrs)
        disk.commit(job.path, "images")


def _photo_attrs(job: Job) -> dict[str, str]:
    """Where the photos are, also as seen from the store, so that both can be moved together."""
    root = str(job.images.attrs.get("root", ""))
    beside = ""
    if root and is_local(job.path):
        with suppress(ValueError):  # another drive
            beside = os.path.relpath(root, job.path.absolute().parent)
    return {"root": root, "root_from_store": Path(beside).as_posix() if beside else ""}


def _fit(job: Job, table: xr.Dataset) -> None:
    """Fit the species head on the embeddings, keep it with its predictions, and make it the study's head."""
    path, head = job.path, job.settings["head"]
    features = disk.ChunkedGroup(path, "features")
    embedding = features["embedding"][:]
    if head == "model":
        own_logit = features["own_logit"] if "own_logit" in features.names else None
        judged = own(embedding, table, class_names(job.model), job.model.own_head, own_logit)
    else:
        options = {k: job.settings[k] for k in ("folds", "seed", "C")}
        judged = trained(embedding, table, head, groups=job.groups, progress=job.progress, **options)
    species, fold = write_tables(path, table, judged, model_attrs(job.model))
    head_id = _head_id(species, fold, table, head)
    identity = Identity.from_attrs(disk.read_root(path) | {"head_id": head_id})
    for group in ("species", "predictions"):
        disk.make_group(path, group, **identity.to_attrs())
    disk.commit(path, "species", "predictions", head_id=head_id, lesson=_lesson(job, table), rows=len(fold))


def _head_id(species: xr.Dataset, fold: np.ndarray, table: xr.Dataset, head: str) -> str:
    """Short hash of a head: see `finerkit.base.identity.Identity`. That of the network's own learns from no label."""
    weights = [np.ascontiguousarray(species[v].values).tobytes() for v in ("weight", "bias") if v in species]
    labels = usable_labels(table)
    known = labels != "" if head != "model" else np.zeros(len(labels), bool)
    ids = table["image"].values
    gone = ids[table["status"].values == disk.REMOVED]
    replaced = [i for i in gone if "~" in i]  # their files show something else now
    learned = [list(ids[known]), list(labels[known]), fold[known].tolist(), replaced]
    return hashed(list(map(str, species["species"].values)), *learned, *weights)


# --- beginning ---


def _check_images(images: xr.Dataset, head: str) -> None:
    missing = [v for v in ("species", "path", "width", "height", "status") if v not in images]
    if missing or "image" not in images.coords:
        raise ValueError(
            f"Expected photos from fk.read_images(...). This Dataset lacks {', '.join(missing) or 'image'}."
        )
    if not images.indexes["image"].is_unique:
        twice = images.indexes["image"][images.indexes["image"].duplicated()][0]
        raise ValueError(
            f"Each photo may be there once. {str(twice)!r} is there twice: read them all in one fk.read_images(...)."
        )
    if not usable(images).any():
        raise ValueError("None of these photos can be used: their 'status' says why.")
    if head != "model":
        need_two_species(usable_labels(images))


def _group_columns(images: xr.Dataset, groups: str | Iterable[str] | None) -> tuple[str, ...]:
    """Names of the columns that say which photos share a fold."""
    names = [] if groups is None else typed_names(groups)
    if names is None:
        raise TypeError(f"groups names one or more columns of the table. Got {groups!r} instead.")
    known = [str(v) for v in images.data_vars if v == "species" or v not in RESERVED]
    return tuple(dict.fromkeys(resolve(name, known, "column of the table") for name in names))


def _place(store: str | os.PathLike[str] | None) -> Place:
    if store is not None:
        return place(store)
    folder = tempfile.mkdtemp(prefix="finerkit-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    warnings.warn(
        "This study is in a temporary folder and goes with this session: give store='name.zarr' to keep it.",
        stacklevel=3,
    )
    return Path(folder, "study.zarr")


def _is_ours(job: Job, overwrite: bool) -> bool:
    """Whether the store holds the study that this run goes on with; False if it is to be made (anew).

    Raises
    ------
    FileExistsError, ValueError
        If something else is there.
    """
    path = job.path
    if not exists(path) or (path.is_dir() and not any(path.iterdir())):
        return False
    attrs = disk.read_root(path)
    if "study_id" not in attrs:
        raise FileExistsError(f"{str(path)!r} exists and is not a finerkit study: choose another store=.")
    check_version(path, attrs, disk.SCHEMA_VERSION)
    differs = [k for k, v in job.made_by.items() if attrs.get(k) != v]
    if differs and not overwrite:
        raise ValueError(
            f"{str(path)!r} holds a study that differs in {', '.join(differs)}. Choose another store=, open it with "
            f"fk.open_study({str(path)!r}), or replace it with analyze(..., overwrite=True)."
        )
    own_classes = "model" in (job.settings["head"], attrs["head"])
    if not set(differs) <= set(SETTINGS) or (differs and own_classes):
        return False  # the features cannot serve again
    return {"images", "features"} <= set(disk.committed(path))


def _begin(job: Job, keep_features: bool | int | str) -> None:
    """Make the store, with no photo in it yet."""
    path = job.path
    keep = _keeps(keep_features, job.images.sizes["image"], job.model, path)
    remove(path)
    identity = Identity(uuid.uuid4().hex, network_id(job.model), "")
    made_by = model_attrs(job.model) | job.made_by | identity.to_attrs()
    disk.commit(path, **made_by, features_kept=int(keep))
    disk.make_group(path, "images", **disk.provenance(**_photo_attrs(job)))
    disk.make_group(path, "features", **disk.provenance(**model_attrs(job.model)))
    nothing = job.images.isel(image=slice(0))
    for name in ESSENTIAL:
        if name in nothing:
            disk.write_column(path, "images", name, nothing[name].values, nothing[name].attrs)
    disk.write_ids(path, nothing["image"].values)
    features_group(path, job.model)
    disk.commit(path, "images", "features")


def _keeps(keep: bool | int | str, photos: int, model: Model, path: Place) -> bool:
    if isinstance(keep, bool):
        return keep
    budget = KEEP_BYTES if keep == "auto" else keep
    if not isinstance(budget, int | np.integer) or budget < 0:
        raise ValueError(f"keep_features must be True, False, 'auto' or a number of bytes. Got {keep!r} instead.")
    if keep == "auto" and is_local(path):
        parent = next(p for p in path.absolute().parents if p.exists())
        budget = min(budget, shutil.disk_usage(parent).free // 4)
    return 2 * photos * math.prod(model.grid) * model.n_features <= budget
