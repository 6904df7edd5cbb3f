"""Compute and write the features of a study's pending photos.

Photos are decoded by a few threads ahead of the network; a chunk of features is written while the next is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from finerkit.networks.batches import compute
from finerkit.networks.decode_ahead import in_order
from finerkit.networks.features import features_task
from finerkit.networks.of_study import class_names
from finerkit.store import groups as disk

if TYPE_CHECKING:
    from finerkit.networks import Model
    from finerkit.networks.batches import Task
    from finerkit.store.location import Place

#: What computes and writes chunks of a study: `run_here`, or the workers of `finerkit.analysis.cluster.workers`.
Run = Callable[["Place", "Model", list["Chunk"], Callable[[int], Any]], None]


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

    @property
    def to_compute(self) -> np.ndarray:
        """Paths of the photos to compute."""
        return self.paths[self.pending]

    def status_with(self, failed: dict[int, str]) -> np.ndarray:
        """Status of each once the pending ones are computed, some of which `failed` (place among them to reason)."""
        status, pending = self.status.copy(), self.pending
        status[pending] = "ok"
        for i, reason in failed.items():
            status[pending[i]] = reason
        return status


def run_here(path: Place, model: Model, chunks: list[Chunk], tell: Callable[[int], Any]) -> None:
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
    group = disk.ChunkedGroup(path, "features")
    found = compute([chunk.to_compute for chunk in chunks], model, task_of(group, model), tell)

    def write(computed: tuple[Chunk, tuple[dict[str, np.ndarray], dict[int, str]]]) -> None:
        chunk, (values, failed) = computed
        write_features(group, chunk, values)
        disk.write_status(path, chunk.start, chunk.status_with(failed))

    with ThreadPoolExecutor(1, "finerkit-write") as writer:
        for _ in in_order(writer, write, zip(chunks, found, strict=True), ahead=1):
            pass


def embed(path: Place, paths: np.ndarray, model: Model, progress: bool, run: Run = run_here) -> None:
    """Fill ``/features`` for every chunk that still has pending photos, which lie at `paths`; `run` says where."""
    status = disk.read_text(path, "images", "status")
    chunks = _pending_chunks(status, paths)
    if not chunks:
        return
    done = int((status == "ok").sum())
    total = done + sum(len(chunk.pending) for chunk in chunks)
    with tqdm(total=total, initial=done, desc="embedding photos", unit="photo", disable=not progress) as bar:
        run(path, model, chunks, bar.update)


def _pending_chunks(status: np.ndarray, paths: np.ndarray) -> list[Chunk]:
    parts = [slice(s, s + disk.CHUNK) for s in range(0, len(status), disk.CHUNK)]
    return [Chunk(p.start, status[p], paths[p]) for p in parts if (status[p] == disk.PENDING).any()]


def task_of(group: disk.ChunkedGroup, model: Model) -> Task:
    """What to compute for the arrays of ``/features``."""
    classes = len(class_names(model)) if "own_logit" in group.names else 0
    return features_task(model, maps="feature_map" in group.names, own_logit=classes)


def write_features(group: disk.ChunkedGroup, chunk: Chunk, values: dict[str, np.ndarray]) -> None:
    """Write a chunk whole: `values` at its pending photos, what was there before at the others."""
    if len(chunk.pending) < len(chunk.status):
        fresh, values = values, group.read(chunk.start, len(chunk.status))
        for name, array in values.items():
            array[chunk.pending] = fresh[name]
    group.write(chunk.start, **values)


def features_group(path: Place, model: Model) -> None:
    """Make the arrays that the forward pass fills: embeddings, kept feature maps, logits of the network's own head."""
    attrs = disk.read_root(path)
    rows, columns = model.grid
    dims = {"embedding": {"feature": model.n_features}}
    dtypes = {"embedding": "float32", "feature_map": "float16", "own_logit": "float32"}
    if attrs["features_kept"]:
        dims["feature_map"] = {"y": rows, "x": columns, "feature": model.n_features}
    if attrs["head"] == "model" and model.own_head is None:
        dims["own_logit"] = {"class": len(class_names(model))}
    disk.make_arrays(path, "features", 0, dims, dtypes)
