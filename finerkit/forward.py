"""The forward pass: a study with pending photos and its model enter; the study with their features leaves.

Photos are decoded by a few threads ahead of the network; a chunk of features is written while the next is computed.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from finerkit import store as disk
from finerkit.batches import run_photos
from finerkit.features import NOT_FINITE
from finerkit.study_model import class_names, model_attrs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import xarray as xr

    from finerkit.models import Model


def embed(path: Path, model: Model, progress: bool) -> None:
    """Fill ``/features`` for every chunk that still has pending photos."""
    images = disk.read_group(path, "images").load()
    count = images.sizes["image"]
    starts = [s for s in range(0, count, disk.CHUNK) if (images.status[s : s + disk.CHUNK] == disk.PENDING).any()]
    if not starts:
        return
    group = features_group(path, images, model)
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
        for start, status, values in _embed_chunks(images, starts, model, group, bar):
            if writing is not None:
                writing.result()  # at most one chunk waits to be written
            writing = writer.submit(_write_chunk, path, group, start, status, values)
        if writing is not None:
            writing.result()


def _embed_chunks(
    images: xr.Dataset, starts: list[int], model: Model, group: disk.ChunkedGroup, bar: tqdm
) -> Iterator[tuple[int, np.ndarray, dict[str, np.ndarray]]]:
    """Run the network over the pending photos of chunks; yields (start, status, whole arrays by name)."""
    for start in starts:
        chunk = images.isel(image=slice(start, start + disk.CHUNK))
        status = chunk.status.values.astype(object)
        values = group.read(start, len(status))  # what was computed before stays
        pending = np.flatnonzero(status == disk.PENDING)
        for indices, pixels, failed in run_photos(chunk.path.values[pending], model, disk.CHUNK):
            for i, reason in failed.items():
                status[pending[i]] = reason
            if indices:
                at = pending[indices]
                _fill(values, at, model, pixels)
                status[at] = "ok"
            bar.update(len(indices) + len(failed))
        broken = (status == "ok") & ~np.isfinite(values["embedding"]).all(1)
        status[broken] = NOT_FINITE
        for array in values.values():
            array[broken] = np.nan
        yield start, status, values


def _fill(values: dict[str, np.ndarray], at: np.ndarray, model: Model, pixels: np.ndarray) -> None:
    """Put what the network says of some photos at their places."""
    cells, values["embedding"][at] = model.features(pixels)
    if "feature_map" in values:
        values["feature_map"][at] = cells
    if "own_logit" in values:
        values["own_logit"][at] = model.logits(pixels)


def _write_chunk(
    path: Path, group: disk.ChunkedGroup, start: int, status: np.ndarray, values: dict[str, np.ndarray]
) -> None:
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
