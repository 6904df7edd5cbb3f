"""Batches through the network: a task and batches of pixels enter; what was computed leaves, in the same order.

On a CPU several batches are computed at once, each by one thread with a copy of the network: threads that share a
batch wait for each other after every layer, and long where other work, such as decoding photos, has one of their cores.
What is computed does not depend on the number of cores either, to the bit.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np

    from finerkit.batches import Batch
    from finerkit.models import Model

    Arrays = dict[str, np.ndarray]
    Run = Callable[[Model, np.ndarray], Arrays]

#: Copies of the network at most. They share its weights, but each has a batch in memory.
_MOST = 32


def through(batches: Iterable[Batch], model: Model, run: Run) -> Iterator[tuple[Batch, Arrays]]:
    """Compute batches, some ahead of their use.

    Parameters
    ----------
    batches
        In order.
    model
        The network.
    run
        Takes the network, or a copy of it, and pixels; returns arrays by name.

    Yields
    ------
    Batch
        Each, in order.
    arrays : dict
        What `run` returned for it; empty where none of its photos can be used.
    """
    networks = _networks(model)
    if len(networks) == 1:
        for batch in batches:
            yield batch, run(model, batch.pixels) if batch.indices else {}
        return
    ahead: deque[tuple[Batch, Future[Arrays] | None]] = deque()
    with _crew(networks) as submit:
        for batch in batches:
            ahead.append((batch, submit(run, batch.pixels) if batch.indices else None))
            if len(ahead) > 2 * len(networks):
                yield _finished(*ahead.popleft())
        while ahead:
            yield _finished(*ahead.popleft())


def _finished(batch: Batch, arrays: Future[Arrays] | None) -> tuple[Batch, Arrays]:
    return batch, {} if arrays is None else arrays.result()


def _networks(model: Model) -> list[Model]:
    """The network, and copies for other threads where they help and it can be copied."""
    count = min(torch.get_num_threads(), _MOST) if model.device.type == "cpu" and not model.compiled else 1
    with suppress(Exception):  # whatever somebody's own module has against being copied
        return [model, *(model.twin() for _ in range(count - 1))]
    return [model]


@contextmanager
def _crew(networks: list[Model]) -> Iterator[Callable[[Run, np.ndarray], Future[Arrays]]]:
    """As many threads as networks, each with one core."""
    threads, free = torch.get_num_threads(), SimpleQueue()
    for network in networks:
        free.put(network)

    def work(run: Run, pixels: np.ndarray) -> Arrays:
        network = free.get()
        try:
            return run(network, pixels)
        finally:
            free.put(network)

    pool = ThreadPoolExecutor(len(networks), "finerkit-network", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield lambda run, pixels: pool.submit(work, run, pixels)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        torch.set_num_threads(threads)  # threads to come would have one core, too
