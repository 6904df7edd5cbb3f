"""Photos ready for the network: paths enter; batches of square pixels leave, decoded ahead by a few threads."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from finerkit.photo import PhotoError, load_image, quiet_pillow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from finerkit.models import Model
    from finerkit.preprocess import Preprocess


def run_photos(
    paths: Iterable[str], model: Model, chunk: int
) -> Iterator[tuple[list[int], np.ndarray, dict[int, str]]]:
    """Decode photos ahead of their use and hand them out in batches of ready pixels.

    Parameters
    ----------
    paths
        Of the photos.
    model
        Whose preprocessing and batch size to use.
    chunk
        Batches never reach over a multiple of `chunk`, so that results do not depend on where a run began.

    Yields
    ------
    indices : list of int
        Of the photos in the batch.
    pixels : numpy.ndarray
        uint8 (batch, S, S, 3).
    failed : dict
        Index to reason, of photos before the end of this batch that cannot be used.
    """
    paths = list(paths)
    workers = max(2, os.cpu_count() or 2)
    ahead: deque[Future] = deque()
    todo = iter(enumerate(paths))
    pool = ThreadPoolExecutor(workers, "finerkit-decode")
    try:
        with quiet_pillow():
            indices, batch, failed = [], [], {}
            for i in range(len(paths)):
                while len(ahead) < 2 * max(workers, model.batch_size) and (job := next(todo, None)):
                    ahead.append(pool.submit(_pixels, job[1], model.preprocess))
                ready = ahead.popleft().result()
                if isinstance(ready, str):
                    failed[i] = ready
                else:
                    indices.append(i)
                    batch.append(ready)
                ends = (i + 1) % chunk == 0 or i + 1 == len(paths)
                if len(batch) == model.batch_size or ends:
                    yield indices, np.stack(batch) if batch else np.empty((0, 0, 0, 3), np.uint8), failed
                    indices, batch, failed = [], [], {}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _pixels(path: str, preprocess: Preprocess) -> np.ndarray | str:
    """A photo's network input, or the reason why there is none."""
    try:
        return preprocess.pixels(load_image(path, need=preprocess.image_size))
    except PhotoError as error:
        return str(error)
