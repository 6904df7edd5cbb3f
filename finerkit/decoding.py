"""Photos decoded ahead of the network, over the ends of chunks too: paths enter; batches of ready pixels leave.

By Pillow in a few threads; or, for JPEG files, on the network's device, for which threads fetch the files.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finerkit.photo import Jpeg, PhotoError, load_image, quiet_pillow, read_jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from finerkit.preprocess import Preprocess

    #: A photo's network input, its file where the device is to decode it, or the reason why there is neither.
    Read = np.ndarray | Jpeg | str

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


def run_photos(
    chunks: Sequence[Sequence[str]], preprocess: Preprocess, batch_size: int = 1, device: torch.device | None = None
) -> Iterator[Batch]:
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
    device
        Where the network is, and JPEG files are decoded if `preprocess` says so. Default: the CPU.

    Yields
    ------
    Batch
        In order; none for an empty chunk.
    """
    decoder = _decoder(preprocess, device)
    workers = max(2, os.cpu_count() or 2)
    depth = 2 * max(workers, batch_size, _AHEAD)
    pool = ThreadPoolExecutor(workers, "finerkit-decode")
    jobs = (pool.submit(decoder.read, path) for chunk in chunks for path in chunk)
    ahead: deque[Future[Read]] = deque()
    try:
        with quiet_pillow():
            for chunk in chunks:
                photos: dict[int, Read] = {}
                failed: dict[int, str] = {}
                for i in range(len(chunk)):
                    ahead.extend(islice(jobs, depth - len(ahead)))
                    photos[i] = ahead.popleft().result()
                    if isinstance(photos[i], str):
                        failed[i] = photos.pop(i)
                    last = i + 1 == len(chunk)
                    if len(photos) == batch_size or last:
                        ready = decoder.finish([chunk[i] for i in photos], [*photos.values()])
                        yield _batch(dict(zip(photos, ready, strict=True)), failed, last=last)
                        photos, failed = {}, {}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _batch(photos: dict[int, np.ndarray | str], failed: dict[int, str], *, last: bool) -> Batch:
    good = {i: pixels for i, pixels in photos.items() if not isinstance(pixels, str)}
    failed = failed | {i: reason for i, reason in photos.items() if isinstance(reason, str)}
    pixels = np.stack([*good.values()]) if good else np.empty((0, 0, 0, 3), np.uint8)
    return Batch([*good], pixels, failed, last)


def _decoder(preprocess: Preprocess, device: torch.device | None) -> _Decoder:
    if preprocess.decoder == "pillow":
        return _Decoder(preprocess, None)
    import torch

    from finerkit.device_photo import check_torchcodec

    device = device or torch.device("cpu")
    check_torchcodec(device)
    return _Decoder(preprocess, device)


class _Decoder(NamedTuple):
    """How paths become pixels: first photo by photo, in threads, then batch by batch."""

    preprocess: Preprocess
    device: torch.device | None

    def read(self, path: str) -> Read:
        """All that a thread can do for a photo: decode it, or fetch what a GPU is to decode."""
        if self.preprocess.decoder == "pillow":
            return self._by_pillow(path)
        try:
            jpeg = read_jpeg(path)
        except PhotoError as error:
            return str(error)
        if jpeg is None:
            return self._by_pillow(path)
        return jpeg if self.device.type == "cuda" else self.finish([path], [jpeg])[0]

    def finish(self, paths: Sequence[str], photos: Sequence[Read]) -> list[np.ndarray | str]:
        """Decode those that are files still; what the device refuses is left to Pillow, which says why."""
        found = list(photos)
        files = [i for i, photo in enumerate(photos) if isinstance(photo, Jpeg)]
        if files:
            from finerkit.device_photo import decoded

            ready = decoded([photos[i] for i in files], self.preprocess, self.device)
            for i, pixels in zip(files, ready, strict=True):
                found[i] = self._by_pillow(paths[i]) if pixels is None else pixels
        return found

    def _by_pillow(self, path: str) -> np.ndarray | str:
        try:
            return self.preprocess.pixels(load_image(path, need=self.preprocess.image_size))
        except PhotoError as error:
            return str(error)
