"""The forward pass: a study with pending photos and its model enter; the study with their features leaves.

Photos are decoded by a few threads ahead of the network; a chunk of features is written while the next is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from finerkit import store as disk
from finerkit.batches import run_photos
from finerkit.features import NOT_FINITE
from finerkit.study_model import class_names, model_attrs

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

    from finerkit.models import Model

#: What computes and writes chunks of a study: `run_here`, or the workers of `finerkit.cluster.workers`.
Run = Callable[["Path", "Model", list["Chunk"], Callable[[int], Any]], None]


@dataclass(frozen=True)
class Chunk:
    """Photos that are stored together, some of them pending.

    Attributes
    ----------
    start : int
        Place of the first one along ``image``.
    status, paths : numpy.ndarray of str
        Of each.
    """

    start: int
    status: np.ndarray
    paths: np.ndarray

    @property
    def pending(self) -> np.ndarray:
        """Places, within the chunk, of the photos to compute."""
        return np.flatnonzero(self.status == disk.PENDING)


def run_here(path: Path, model: Model, chunks: list[Chunk], tell: Callable[[int], Any]) -> None:
    """Compute chunks one after the other in this process; one is written while the next is computed.

    Parameters
    ----------
    path
        The study.
    model
        The network.
    chunks
        What to do.
    tell
        Called now and then with how many more photos are done.
    """
    group = disk.ChunkedGroup.existing(path, "features")
    with ThreadPoolExecutor(1, "finerkit-write") as writer:
        writing: Future | None = None
        for chunk in chunks:
            status, values = compute(chunk, model, group, tell)
            if writing is not None:
                writing.result()  # at most one chunk waits to be written
            writing = writer.submit(write_chunk, path, group, chunk.start, status, values)
        if writing is not None:
            writing.result()


def embed(path: Path, model: Model, progress: bool, run: Run = run_here) -> None:
    """Fill ``/features`` for every chunk that still has pending photos; `run` says where."""
    images = disk.read_group(path, "images").load()
    chunks = _pending_chunks(images)
    if not chunks:
        return
    features_group(path, images, model)
    done = int((images.status == "ok").sum())
    total = done + sum(len(chunk.pending) for chunk in chunks)
    with tqdm(total=total, initial=done, desc="embedding photos", unit="photo", disable=not progress) as bar:
        run(path, model, chunks, bar.update)


def _pending_chunks(images: xr.Dataset) -> list[Chunk]:
    status, paths = images["status"].values.astype(object), images["path"].values
    parts = [slice(s, s + disk.CHUNK) for s in range(0, len(status), disk.CHUNK)]
    return [Chunk(p.start, status[p], paths[p]) for p in parts if (status[p] == disk.PENDING).any()]


def compute(
    chunk: Chunk, model: Model, group: disk.ChunkedGroup, tell: Callable[[int], Any]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Run the network over the pending photos of a chunk; returns its status and whole arrays by name."""
    status, pending = chunk.status.copy(), chunk.pending
    values = group.read(chunk.start, len(status))  # what was computed before stays
    for indices, pixels, failed in run_photos(chunk.paths[pending], model, disk.CHUNK):
        for i, reason in failed.items():
            status[pending[i]] = reason
        if indices:
            at = pending[indices]
            _fill(values, at, model, pixels)
            status[at] = "ok"
        tell(len(indices) + len(failed))
    broken = (status == "ok") & ~np.isfinite(values["embedding"]).all(1)
    status[broken] = NOT_FINITE
    for array in values.values():
        array[broken] = np.nan
    return status, values


def _fill(values: dict[str, np.ndarray], at: np.ndarray, model: Model, pixels: np.ndarray) -> None:
    """Put what the network says of some photos at their places."""
    cells, values["embedding"][at] = model.features(pixels)
    if "feature_map" in values:
        values["feature_map"][at] = cells
    if "own_logit" in values:
        values["own_logit"][at] = model.logits(pixels)


def write_chunk(
    path: Path, group: disk.ChunkedGroup, start: int, status: np.ndarray, values: dict[str, np.ndarray]
) -> None:
    """Write a chunk whole, its status last."""
    group.write(start, **values)
    disk.write_status(path, start, status)


def features_group(path: Path, images: xr.Dataset, model: Model, resume: bool = True) -> disk.ChunkedGroup:
    """The arrays that the forward pass fills: embeddings, feature maps where kept, logits of the network's own head."""
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
