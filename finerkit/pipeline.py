"""The main run: photos and a model enter; a study on disk leaves. Photos pass through, chunk by chunk."""

from __future__ import annotations

import atexit
import glob
import hashlib
import json
import shutil
import tempfile
import uuid
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from finerkit import store as disk
from finerkit.blocks import rows_of
from finerkit.features import NOT_FINITE
from finerkit.forward import embed, features_group, run_here
from finerkit.growth import adopt, are_changed, keep_work, lost_photos, try_again
from finerkit.image_tables import RESERVED
from finerkit.images import read_images, usable, warn_unusable
from finerkit.labels import need_two_species, texts, usable_labels
from finerkit.lock import writing
from finerkit.models import Model, load_model
from finerkit.names import choice
from finerkit.pairs import text_variable
from finerkit.places import clear, exists, is_local, place, recover, remove, replace, scratch
from finerkit.predictions import own, trained, warn_indistinct, write_tables
from finerkit.species import HEADS
from finerkit.study_model import UNSAID, class_names, model_attrs, remember
from finerkit.trust import check_version, refuse_links

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from distributed import Client

    from finerkit.forward import Run
    from finerkit.places import Place

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
    groups: str | None = None,
    C: float = 1.0,
    seed: int = 0,
    overwrite: bool = False,
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
        Column of `images` whose equal values (an individual, a specimen) stay in one fold.
    C
        Inverse strength of the head's L2 penalty.
    seed
        Of the cross-validation's shuffling.
    overwrite
        Replace a store that holds a different study, or leave out photos that are no longer among `images`.
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
        ``weight``, ``bias``, ``count``, ``recall``: the share of the species' photos that heads that had not seen them
        recognise, NaN where none could be judged) and ``/predictions`` (``logit``, ``predicted``; cross-validated). The
        attrs of ``/species`` have the ``accuracy`` over all photos and the number of ``constant_features``.

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
    used by the next. Photos are known by the content of their files. Where the species head is fitted anew, for other
    photos or settings, comparisons are asked again; traits, which may have been named by hand, are kept as they are.
    """
    choice(head, HEADS, "head")
    run = run_here if client is None else _workers(client)
    if not isinstance(images, xr.Dataset):
        images = read_images(images, progress=progress)
    _check_images(images, head, groups)
    _check_numbers(folds, C)
    if not isinstance(model, Model):
        model = load_model() if model is None else load_model(model)
    remember(model)
    settings = {"head": head, "folds": folds, "groups": groups or "", "C": float(C), "seed": seed}
    identity = _identity(images, model, settings, groups)
    path = _place(store)
    disk.mend(path)
    known = _existing(path, images, identity, overwrite)
    if known == "finished" and not _is_behind(path, images):
        return disk.open_place(path, images)
    with writing(path):
        return _made(path, images, model, settings, identity, keep_features, overwrite, progress, run)


def _workers(client: Client) -> Run:
    from finerkit.cluster import workers

    return workers(client)


def _made(
    path: Place,
    images: xr.Dataset,
    model: Model,
    settings: dict[str, Any],
    identity: dict[str, Any],
    keep_features: bool | int | str,
    overwrite: bool,
    progress: bool,
    run: Run,
) -> xr.DataTree:
    """Bring the store to where it should be; nobody else writes to it meanwhile."""
    recover(path)  # whoever had the lock before may have been killed
    known = _existing(path, images, identity, overwrite)  # again: another process may just have finished it
    if known == "other photos":
        _grow(path, images, model, settings, identity, keep_features)
    elif known == "other head":
        disk.set_head(path, settings, identity)
    elif known == "none":
        remove(path)
        _begin(path, images, model, settings, identity, _keeps(keep_features, len(images.image), model, path))
    else:
        disk.update_images(path, images)
    before = _status(path)
    if known == "finished" and not try_again(path, images) and _fitted_on(path, before) == _which(before):
        return disk.open_place(path, images)
    embed(path, images["path"].values, model, progress, run)
    found = images.assign(status=text_variable(_status(path)))
    news = found["status"].values.copy()
    news[~usable(images)] = "ok"  # read_images has warned of these
    warn_unusable(images.assign(status=text_variable(news)), "could not be analysed")
    if not usable(found).any():
        raise ValueError("None of the photos could be analysed: /images/status in the store says why.")
    fresh = known != "finished" or _fitted_on(path, before) != _which(found["status"].values)
    if fresh:
        _fit(path, found, model, settings, progress)
    study = disk.open_place(path, images)
    if fresh:
        warn_indistinct(study)
    return study


def _fit(path: Place, images: xr.Dataset, model: Model, settings: dict[str, Any], progress: bool) -> None:
    """Fit the species head on the embeddings, and keep it with its predictions."""
    disk.set_head(path, settings, disk.read_root(path)["identity"])  # what an older head said goes
    features = disk.ChunkedGroup.existing(path, "features")
    embedding = rows_of(features["embedding"], scratch(path))
    head = settings["head"]
    if head == "model":
        own_logit = features["own_logit"] if "own_logit" in features.names else None
        judged = own(embedding, images, class_names(model), model.own_head, own_logit)
    else:
        options = {k: settings[k] for k in ("folds", "seed", "C")} | {"groups": settings["groups"] or None}
        judged = trained(embedding, images, head, progress=progress, **options)
    write_tables(path, images, judged, model_attrs(model))
    disk.write_root(path, complete=True, fitted_on=_which(images["status"].values))
    disk.finish(path)


# --- beginning and resuming ---


def _check_images(images: xr.Dataset, head: str, groups: str | None) -> None:
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
    if groups is not None and groups not in images:
        columns = [str(v) for v in images.data_vars if v == "species" or v not in RESERVED]
        raise ValueError(f"groups must name a column of the table. Got {groups!r}; there are {', '.join(columns)}.")
    if head != "model":
        need_two_species(usable_labels(images))


def _check_numbers(folds: int, C: float) -> None:
    if not isinstance(folds, int | np.integer) or isinstance(folds, bool) or folds < 2:
        raise ValueError(f"folds must be an int in the range [2, inf). Got {folds!r} instead.")
    if not np.isfinite(C) or C <= 0:
        raise ValueError(f"C must be a number in the range (0, inf). Got {C!r} instead.")


def _identity(images: xr.Dataset, model: Model, settings: dict[str, Any], groups: str | None) -> dict[str, Any]:
    """What must agree for a store to be continued."""
    columns = ["species", *([groups] if groups else [])]
    rows = [images["image"].values.tolist(), images["fingerprint"].values.tolist() if "fingerprint" in images else []]
    rows += [texts(images[c].values) for c in columns]
    digest = _digest(rows)
    made_by = {k: v for k, v in model_attrs(model).items() if k not in ("model", "pretrained")}
    names = {"class_names": _short_hash(class_names(model))} if settings["head"] == "model" else {}
    return {"photos": digest, **made_by, **settings, **names}


def _digest(rows: list[list[str]]) -> str:
    """Hash of lists as JSON, one list at a time in memory."""
    digest = hashlib.sha256(b"[")
    for i, row in enumerate(rows):
        digest.update((", " if i else "").encode() + json.dumps(row).encode())
    digest.update(b"]")
    return digest.hexdigest()


def _short_hash(names: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


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


def _existing(path: Place, images: xr.Dataset, identity: dict[str, Any], overwrite: bool) -> str:
    """What the store holds: "finished", "begun", "none", "other photos" or "other head"; raises if something else."""
    if not exists(path) or (path.is_dir() and not any(path.iterdir())):
        return "none"
    attrs = disk.read_root(path)
    if not isinstance(attrs.get("identity"), dict):
        raise FileExistsError(f"{str(path)!r} exists and is not a finerkit study: choose another store=.")
    check_version(path, attrs, disk.SCHEMA_VERSION)
    refuse_links(path)
    theirs = UNSAID | attrs["identity"]
    differs = [k for k in identity if theirs.get(k) != identity[k]]
    if not differs and are_changed(path, images):
        differs = ["photos"]
    if not differs:
        return "finished" if attrs.get("complete") else "begun"
    if differs == ["photos"]:
        lost = lost_photos(path, images)
        if lost and not overwrite:
            raise ValueError(
                f"{len(lost)} photos of the study {str(path)!r} are not among these {images.sizes['image']}, such as "
                f"{lost[0]!r}. Choose another store=, or leave them out with analyze(..., overwrite=True)."
            )
        return "other photos"
    if not overwrite:
        raise ValueError(
            f"{str(path)!r} holds a study that differs in {', '.join(differs)}. Choose another store=, open it with "
            f"fk.open_study({str(path)!r}), or replace it with analyze(..., overwrite=True)."
        )
    models = "model" in (identity["head"], theirs["head"])
    if set(differs) <= {"head", "C", "folds", "seed"} and not models:
        return "other head"  # the features serve again
    return "none"


def _is_behind(path: Place, images: xr.Dataset) -> bool:
    """Whether a finished store lacks something that is known of the same photos now."""
    status = _status(path)
    waiting = usable(images) & (status != "ok") & (status != NOT_FINITE)
    return disk.changed_columns(path, images) != [] or bool(waiting.any()) or _fitted_on(path, status) != _which(status)


def _fitted_on(path: Place, status: np.ndarray) -> str:
    """Which photos the head knows, see `_which`; older studies do not say, and mean those that are "ok" in `status`."""
    return str(disk.read_root(path).get("fitted_on") or _which(status))


def _which(status: np.ndarray) -> str:
    """Short hash of which photos are "ok"."""
    return hashlib.sha256(np.packbits(status == "ok").tobytes()).hexdigest()[:16]


def _status(path: Place) -> np.ndarray:
    return disk.read_text(path, "images", "status")


def _begin(
    path: Place, images: xr.Dataset, model: Model, settings: dict[str, Any], identity: dict[str, Any], keep: bool
) -> None:
    """Make the store, with nothing computed yet; it appears under its name whole or not at all."""
    with _part(path) as part:
        _lay_out(part, images, model, settings, identity, keep)
        replace(part, path)


def _grow(
    path: Place,
    images: xr.Dataset,
    model: Model,
    settings: dict[str, Any],
    identity: dict[str, Any],
    keep_features: bool | int | str,
) -> None:
    """Lay the store out for other photos, with all features that are known already."""
    kept = bool(disk.read_root(path)["features_kept"])
    keep = _keeps(keep_features, images.sizes["image"], model, path)
    with _part(path) as part:
        _lay_out(part, images, model, settings, identity, keep and (kept or keep_features != "auto"))
        adopt(path, part)
        keep_work(path, part)
        replace(part, path)


def _lay_out(
    part: Place, images: xr.Dataset, model: Model, settings: dict[str, Any], identity: dict[str, Any], keep: bool
) -> None:
    status = images["status"].values.astype(object)
    status[usable(images)] = disk.PENDING
    disk.write_group(part, "images", images.assign(status=text_variable(status)))
    disk.write_root(part, **model_attrs(model), **settings, features_kept=keep, identity=identity, complete=False)
    features_group(part, images, model)


@contextmanager
def _part(path: Place) -> Iterator[Place]:
    """A place beside the store to build another; gone at the end, unless it was moved."""
    for left in path.parent.glob(f".{glob.escape(path.name)}-????????.part"):  # of a run that was killed here
        remove(left)
    part = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
    finally:
        clear(part, path)


def _keeps(keep: bool | int | str, photos: int, model: Model, path: Place) -> bool:
    if isinstance(keep, bool):
        return keep
    rows, columns = model.grid
    need = 2 * photos * rows * columns * model.n_features
    if keep == "auto" and not is_local(path):
        return need <= KEEP_BYTES
    if keep == "auto":
        parent = next(p for p in [path.absolute(), *path.absolute().parents] if p.exists())
        return need <= min(KEEP_BYTES, shutil.disk_usage(parent).free // 4)
    if isinstance(keep, int | np.integer) and keep >= 0:
        return need <= keep
    raise ValueError(f"keep_features must be True, False, 'auto' or a number of bytes. Got {keep!r} instead.")
