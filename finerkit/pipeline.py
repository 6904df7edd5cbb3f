"""The main run: photos and a model enter; a study on disk leaves. Photos pass through, chunk by chunk.

Photos are decoded by a few threads ahead of the network; a chunk of features is written while the next is computed.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import tempfile
import uuid
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from finerkit import store as disk
from finerkit.batches import run_photos
from finerkit.features import NOT_FINITE, contents
from finerkit.image_tables import RESERVED
from finerkit.images import read_images, usable, warn_unusable
from finerkit.models import Model, load_model
from finerkit.names import choice
from finerkit.species import HEADS, need_two_species, own_tables, trained_tables, usable_labels
from finerkit.study_model import class_names, model_attrs, remember

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

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
) -> xr.DataTree:
    """Embed photos, fit and cross-validate the species head, and keep everything in a study.

    Run again with the same arguments to resume after an interruption; a finished study is opened at once.

    Parameters
    ----------
    images
        From `finerkit.read_images`, or what it takes.
    model
        From `finerkit.load_model`, or a name for it. Default: the embedded network at 448 pixels.
    store
        Folder of the Zarr store to write, such as "warblers.zarr". None: a temporary one, gone with the session.
    head
        "linear": multinomial logistic regression on standardised embeddings, folded back to raw ``weight`` and
        ``bias``; "nearest_mean": training-free; "model": the network's own classes.
    keep_features
        Keep the feature maps (float16), so that later questions need no forward pass. "auto" keeps them up to 8 GiB
        and a quarter of the free disk; a number is a budget in bytes.
    folds
        Folds of the cross-validation.
    groups
        Column of `images` whose equal values (an individual, a specimen) stay in one fold.
    C
        Inverse strength of the head's L2 penalty.
    seed
        Of the cross-validation's shuffling.
    overwrite
        Replace a store that holds a different study.
    progress
        Show a progress bar.

    Returns
    -------
    xarray.DataTree
        Lazy. Groups ``/images``, ``/features`` (``embedding``, ``feature_map``), ``/species`` (``prototype``,
        ``weight``, ``bias``, ``count``) and ``/predictions`` (``logit``, ``predicted``; cross-validated).

    Raises
    ------
    ValueError
        If no photo can be used, there are fewer than two species, or the store holds a different study.

    Warns
    -----
    PhotoWarning
        If photos fail now that could be read before; they are kept in ``/images/status`` with the reason.

    Notes
    -----
    Writes the store, nothing else. The parts of a killed run that were finished are used by the next.
    """
    choice(head, HEADS, "head")
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
    known = _existing(path, identity, overwrite)
    if known == "other head":
        disk.set_head(path, settings, identity)
    elif known == "none":
        _begin(path, images, model, settings, identity, _keeps(keep_features, len(images.image), model, path))
    else:
        disk.update_images(path, images)
    if known == "finished":
        return disk.open_study(path)
    _embed(path, model, progress)
    found = disk.read_group(path, "images").load()
    warn_unusable(found, "could not be analysed")
    if not usable(found).any():
        raise ValueError("None of the photos could be analysed: /images/status in the store says why.")
    features = disk.read_group(path, "features")
    embedding = features["embedding"].values
    if head == "model":
        own = features["own_logit"].values if "own_logit" in features else None
        species, predictions = own_tables(embedding, found, class_names(model), model.own_head, own)
    else:
        species, predictions = trained_tables(embedding, found, head, folds=folds, groups=groups, seed=seed, C=C)
    disk.write_group(path, "species", species, **model_attrs(model))
    disk.write_group(path, "predictions", predictions, **model_attrs(model))
    disk.write_root(path, complete=True)
    disk.finish(path)
    return disk.open_study(path)


# --- the forward pass ---


def _embed(path: Path, model: Model, progress: bool) -> None:
    """Fill ``/features`` for every chunk that still has pending photos."""
    images = disk.read_group(path, "images").load()
    count = images.sizes["image"]
    starts = [s for s in range(0, count, disk.CHUNK) if (images.status[s : s + disk.CHUNK] == disk.PENDING).any()]
    if not starts:
        return
    group = _features_group(path, images, model)
    pending = int(sum((images.status[s : s + disk.CHUNK] == disk.PENDING).sum() for s in starts))
    bar = tqdm(
        total=int((images.status == "ok").sum()) + pending,
        initial=int((images.status == "ok").sum()),
        desc="embedding photos",
        unit="photo",
        disable=not progress,
    )
    with bar, ThreadPoolExecutor(1, "finerkit-write") as writer:
        writing: Future | None = None
        for start, status, values in _embed_chunks(images, starts, model, "own_logit" in group.names, bar):
            if writing is not None:
                writing.result()  # at most one chunk waits to be written
            kept = {k: v for k, v in values.items() if k in group.names}
            writing = writer.submit(_write_chunk, path, group, start, status, kept)
        if writing is not None:
            writing.result()


def _embed_chunks(
    images: xr.Dataset, starts: list[int], model: Model, own_logits: bool, bar: tqdm
) -> Iterator[tuple[int, np.ndarray, dict[str, np.ndarray]]]:
    """Run the network over chunks of photos; yields (start, status, arrays by name)."""
    rows, columns = model.grid
    for start in starts:
        chunk = images.isel(image=slice(start, start + disk.CHUNK))
        status = chunk.status.values.astype(object)
        pending = np.flatnonzero(status == disk.PENDING)
        n = len(status)
        values = {
            "embedding": np.full((n, model.n_features), np.nan, np.float32),
            "feature_map": np.full((n, rows, columns, model.n_features), np.nan, np.float16),
        }
        if own_logits:
            values["own_logit"] = np.full((n, len(class_names(model))), np.nan, np.float32)
        for indices, pixels, failed in run_photos(chunk.path.values[pending], model, disk.CHUNK):
            for i, reason in failed.items():
                status[pending[i]] = reason
            if indices:
                at = pending[indices]
                values["feature_map"][at], values["embedding"][at] = model.features(pixels)
                status[at] = "ok"
                if own_logits:
                    values["own_logit"][at] = model.logits(pixels)
            bar.update(len(indices) + len(failed))
        broken = (status == "ok") & ~np.isfinite(values["embedding"]).all(1)
        status[broken] = NOT_FINITE
        values["embedding"][broken] = np.nan
        yield start, status, values


def _write_chunk(
    path: Path, group: disk.ChunkedGroup, start: int, status: np.ndarray, values: dict[str, np.ndarray]
) -> None:
    group.write(start, **values)
    disk.write_status(path, start, status)


def _features_group(path: Path, images: xr.Dataset, model: Model, resume: bool = True) -> disk.ChunkedGroup:
    attrs = disk.read_root(path)
    rows, columns = model.grid
    dims = {"embedding": {"feature": model.n_features}}
    dtypes = {"embedding": "float32", "feature_map": "float16", "own_logit": "float32"}
    if attrs["features_kept"]:
        dims["feature_map"] = {"y": rows, "x": columns, "feature": model.n_features}
    if attrs["head"] == "model" and model.own_head is None:
        dims["own_logit"] = {"class": len(class_names(model))}
    return disk.ChunkedGroup(
        path, "features", dims, dtypes, images.image.values, attrs=model_attrs(model), resume=resume
    )


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
    rows = [images["image"].values.tolist(), contents(images) if "fingerprint" in images else []]
    rows += [images[c].values.astype(str).tolist() for c in columns]
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    made_by = {k: v for k, v in model_attrs(model).items() if k not in ("model", "pretrained")}
    names = {"class_names": _short_hash(class_names(model))} if settings["head"] == "model" else {}
    return {"photos": digest, **made_by, **settings, **names}


def _short_hash(names: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def _place(store: str | os.PathLike[str] | None) -> Path:
    if store is not None:
        return Path(store)
    folder = tempfile.mkdtemp(prefix="finerkit-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    warnings.warn(
        "This study is in a temporary folder and goes with this session: give store='name.zarr' to keep it.",
        stacklevel=3,
    )
    return Path(folder, "study.zarr")


def _existing(path: Path, identity: dict[str, Any], overwrite: bool) -> str:
    """Whether the store is "finished", "begun" or "none"; raises if it holds something else."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return "none"
    attrs = disk.read_root(path)
    if "identity" not in attrs:
        raise FileExistsError(f"{str(path)!r} exists and is not a finerkit study: choose another store=.")
    theirs = attrs["identity"]
    differs = [k for k in identity if theirs.get(k) != identity[k]]
    if not differs:
        return "finished" if attrs.get("complete") else "begun"
    if not overwrite:
        raise ValueError(
            f"{str(path)!r} holds a study that differs in {', '.join(differs)}. Choose another store=, open it with "
            f"fk.open_study({str(path)!r}), or replace it with analyze(..., overwrite=True)."
        )
    same_features = set(differs) <= {"head", "C", "folds", "seed"}
    if same_features and "model" not in (identity["head"], theirs["head"]):
        return "other head"  # the features serve again
    shutil.rmtree(path)
    return "none"


def _begin(
    path: Path, images: xr.Dataset, model: Model, settings: dict[str, Any], identity: dict[str, Any], keep: bool
) -> None:
    """Make the store, with nothing computed yet; it appears under its name whole or not at all."""
    status = np.where(usable(images), disk.PENDING, images.status.values.astype(object))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        disk.write_images(part, images.assign(status=("image", status)))
        disk.write_root(part, **model_attrs(model), **settings, features_kept=keep, identity=identity, complete=False)
        _features_group(part, images, model, resume=False)
        if path.exists():
            path.rmdir()  # an empty folder
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _keeps(keep: bool | int | str, photos: int, model: Model, path: Path) -> bool:
    if isinstance(keep, bool):
        return keep
    rows, columns = model.grid
    need = 2 * photos * rows * columns * model.n_features
    if keep == "auto":
        parent = next(p for p in [path.absolute(), *path.absolute().parents] if p.exists())
        return need <= min(KEEP_BYTES, shutil.disk_usage(parent).free // 4)
    if isinstance(keep, int | np.integer) and keep >= 0:
        return need <= keep
    raise ValueError(f"keep_features must be True, False, 'auto' or a number of bytes. Got {keep!r} instead.")
