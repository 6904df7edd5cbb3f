"""Work for the network, such as batches of photos, enters; what was computed of it leaves, in the same order.

On a CPU several pieces are computed at once, each by one thread with a copy of the network: threads that share a
batch wait for each other after every layer, and long where other work, such as decoding photos, has one of their cores.
What is computed does not depend on the number of cores either, to the bit.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from finerkit.models import Model

Work = TypeVar("Work")
Result = TypeVar("Result")

#: Copies of the network at most. They share its weights, but each has a batch in memory.
_MOST = 32


def through(work: Iterable[Work], model: Model, run: Callable[[Model, Work], Result]) -> Iterator[tuple[Work, Result]]:
    """Compute pieces of work, some ahead of their use.

    Parameters
    ----------
    work
        In order.
    model
        The network.
    run
        Takes the network, or a copy of it, and a piece of work.

    Yields
    ------
    work
        Each piece, in order.
    result
        What `run` returned for it.
    """
    networks = _networks(model)
    if len(networks) == 1:
        for piece in work:
            yield piece, run(model, piece)
        return
    ahead: deque[tuple[Work, Future[Result]]] = deque()
    with _crew(networks, run) as submit:
        for piece in work:
            ahead.append((piece, submit(piece)))
            if len(ahead) > 2 * len(networks):
                first, result = ahead.popleft()
                yield first, result.result()
        while ahead:
            first, result = ahead.popleft()
            yield first, result.result()


def _networks(model: Model) -> list[Model]:
    """The network, and copies for other threads where they help and it can be copied."""
    count = min(torch.get_num_threads(), _MOST) if model.device.type == "cpu" and not model.compiled else 1
    with suppress(Exception):  # whatever somebody's own module has against being copied
        return [model, *(model.twin() for _ in range(count - 1))]
    return [model]


@contextmanager
def _crew(networks: list[Model], run: Callable[[Model, Work], Result]) -> Iterator[Callable[[Work], Future[Result]]]:
    """As many threads as networks, each with one core."""
    threads, free = torch.get_num_threads(), SimpleQueue()
    for network in networks:
        free.put(network)

    def compute(piece: Work) -> Result:
        network = free.get()
        try:
            return run(network, piece)
        finally:
            free.put(network)

    pool = ThreadPoolExecutor(len(networks), "finerkit-network", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield lambda piece: pool.submit(compute, piece)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        torch.set_num_threads(threads)  # threads to come would have one core, too
