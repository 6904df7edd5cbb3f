"""Decode photos ahead of the network, over the ends of chunks too, in a few threads."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from finerkit.photos.decode import PhotoError, load_image, quiet_pillow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from finerkit.photos.preprocess import Preprocess

Work = TypeVar("Work")
Result = TypeVar("Result")

#: Photos decoded ahead are twice this, or more where batches or the machine are large.
_AHEAD = 8


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
    pool = ThreadPoolExecutor(workers, "finerkit-decode")
    every = (path for chunk in chunks for path in chunk)
    photos = in_order(pool, lambda path: _read(path, preprocess), every, 2 * max(workers, batch_size, _AHEAD))
    try:
        with quiet_pillow():
            for chunk in chunks:
                good: dict[int, np.ndarray] = {}
                failed: dict[int, str] = {}
                for i in range(len(chunk)):
                    _, photo = next(photos)
                    (failed if isinstance(photo, str) else good)[i] = photo
                    last = i + 1 == len(chunk)
                    if len(good) == batch_size or last:
                        pixels = np.stack([*good.values()]) if good else np.empty((0, 0, 0, 3), np.uint8)
                        yield Batch([*good], pixels, failed, last)
                        good, failed = {}, {}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def in_order(
    pool: ThreadPoolExecutor, do: Callable[[Work], Result], work: Iterable[Work], ahead: int
) -> Iterator[tuple[Work, Result]]:
    """Do pieces of work in a pool, some ahead of their use; yields each and its result, in order."""
    pending: deque[tuple[Work, Future[Result]]] = deque()
    for piece in work:
        pending.append((piece, pool.submit(do, piece)))
        if len(pending) > ahead:
            first, result = pending.popleft()
            yield first, result.result()
    for first, result in pending:
        yield first, result.result()


def _read(path: str, preprocess: Preprocess) -> np.ndarray | str:
    """Pixels of a photo, or the reason why there are none."""
    try:
        return preprocess.pixels(load_image(path, need=preprocess.image_size))
    except PhotoError as error:
        return str(error)
