"""Run photos through the network, chunk by chunk, and keep why some could not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from finerkit.networks.decode_ahead import run_photos

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from finerkit.networks import Model
    from finerkit.networks.decode_ahead import Batch


@dataclass(frozen=True)
class Task:
    """What to compute of photos.

    Attributes
    ----------
    run : callable
        Takes the network, or a copy of it, and pixels, uint8 (batch, S, S, 3); returns arrays by name, their first dim
        along the batch.
    shapes : mapping
        Of each array the shape (less the batch) and type.
    finite : str
        Name of the array that must be finite.
    reason : str
        Why a photo failed of which it is not.
    """

    run: Callable[[Model, np.ndarray], dict[str, np.ndarray]]
    shapes: Mapping[str, tuple[tuple[int, ...], str]]
    finite: str
    reason: str


def compute(
    chunks: Iterable[Sequence[str]], model: Model, task: Task, tell: Callable[[int], Any] = lambda _: None
) -> Iterator[tuple[dict[str, np.ndarray], dict[int, str]]]:
    """Run a task over chunks of photos.

    Parameters
    ----------
    chunks
        Paths of the photos of each.
    model
        Whose preprocessing and batch size to use.
    task
        What to compute.
    tell
        Called after each batch with how many more photos are done.

    Yields
    ------
    values : dict
        For each chunk the whole arrays, by name; NaN for photos that failed.
    failed : dict
        Index, within the chunk, to reason.
    """
    from finerkit.networks.replicas import through  # imports torch, which readers of studies need not wait for

    def run(network: Model, batch: Batch) -> dict[str, np.ndarray]:
        return task.run(network, batch.pixels) if batch.indices else {}

    chunks = [list(chunk) for chunk in chunks]
    found = through(run_photos(chunks, model.preprocess, model.batch_size), model, run)
    for chunk in chunks:
        values = {name: np.full((len(chunk), *shape), np.nan, dtype) for name, (shape, dtype) in task.shapes.items()}
        failed: dict[int, str] = {}
        last = not chunk
        while not last:
            (indices, _, reasons, last), arrays = next(found)
            failed |= reasons
            for name, array in arrays.items():
                values[name][indices] = array
            tell(len(indices) + len(reasons))
        judged = values[task.finite].reshape(len(chunk), -1)
        for i in np.flatnonzero(~np.isfinite(judged).all(1)):
            failed.setdefault(int(i), task.reason)
        for array in values.values():
            array[list(failed)] = np.nan
        yield values, failed


def compute_in_chunks(
    paths: Sequence[str], size: int, model: Model, task: Task
) -> Iterator[tuple[int, dict[str, np.ndarray], dict[int, str]]]:
    """Like `compute`, for photos in a row, in chunks of `size`; yields where each begins, too."""
    starts = range(0, len(paths), size)
    found = compute([paths[start : start + size] for start in starts], model, task)
    for start, (values, failed) in zip(starts, found, strict=True):
        yield start, values, failed
