"""Photos through the network: paths, chunk by chunk, enter; what was computed of them, or why not, leaves.

Photos are decoded by a few threads ahead of the network, over the ends of chunks too.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from finerkit.photo import PhotoError, load_image, quiet_pillow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from finerkit.models import Model
    from finerkit.preprocess import Preprocess


#: Photos decoded ahead are twice this, or more where batches or the machine are large.
_AHEAD = 8


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


class Batch(NamedTuple):
    """Some photos of one chunk, ready for the network.

    Attributes
    ----------
    indices : list of int
        Of the photos, within their chunk.
    pixels : numpy.ndarray
        uint8 (batch, S, S, 3); empty if none of them can be used.
    failed : dict
        Index to reason, of photos before the end of this batch that cannot be used.
    last : bool
        Whether the chunk ends with it.
    """

    indices: list[int]
    pixels: np.ndarray
    failed: dict[int, str]
    last: bool


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
    from finerkit.crew import through  # imports torch, which readers of studies need not wait for

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


def run_photos(chunks: Sequence[Sequence[str]], preprocess: Preprocess, batch_size: int = 1) -> Iterator[Batch]:
    """Decode photos ahead of their use and hand them out in batches of ready pixels.

    Parameters
    ----------
    chunks
        Paths of photos. Batches never reach over the end of a chunk, so that results do not depend on where a run
        began; decoding does.
    preprocess
        How photos become pixels.
    batch_size
        Photos per batch.

    Yields
    ------
    Batch
        In order; none for an empty chunk.
    """
    workers = max(2, os.cpu_count() or 2)
    depth = 2 * max(workers, batch_size, _AHEAD)
    pool = ThreadPoolExecutor(workers, "finerkit-decode")
    jobs = (pool.submit(_pixels, path, preprocess) for chunk in chunks for path in chunk)
    ahead: deque[Future] = deque()
    try:
        with quiet_pillow():
            for chunk in chunks:
                indices, ready, failed = [], [], {}
                for i in range(len(chunk)):
                    ahead.extend(islice(jobs, depth - len(ahead)))
                    photo = ahead.popleft().result()
                    if isinstance(photo, str):
                        failed[i] = photo
                    else:
                        indices.append(i)
                        ready.append(photo)
                    last = i + 1 == len(chunk)
                    if len(ready) == batch_size or last:
                        pixels = np.stack(ready) if ready else np.empty((0, 0, 0, 3), np.uint8)
                        yield Batch(indices, pixels, failed, last)
                        indices, ready, failed = [], [], {}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _pixels(path: str, preprocess: Preprocess) -> np.ndarray | str:
    """A photo's network input, or the reason why there is none."""
    try:
        return preprocess.pixels(load_image(path, need=preprocess.image_size))
    except PhotoError as error:
        return str(error)
