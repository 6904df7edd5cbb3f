"""Compute work for the network, such as batches of photos, in several threads, in order.

On a CPU several pieces are computed at once, each by one thread with a copy of the network: threads that share a
batch wait for each other after every layer, and long where other work, such as decoding photos, has one of their cores.
What is computed does not depend on the number of cores either, to the bit.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import local
from typing import TYPE_CHECKING

import torch

from finerkit.networks.decode_ahead import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from finerkit.networks import Model
    from finerkit.networks.decode_ahead import Result, Work

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
        yield from ((piece, run(model, piece)) for piece in work)
        return
    own, threads = local(), torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(1)
        own.network = networks.pop()

    pool, ahead = ThreadPoolExecutor(len(networks), "finerkit-network", initializer=begin), 2 * len(networks)
    try:
        yield from in_order(pool, lambda piece: run(own.network, piece), work, ahead)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        torch.set_num_threads(threads)  # threads to come would have one core, too


def _networks(model: Model) -> list[Model]:
    """The network, and copies for other threads where they help and it can be copied."""
    count = min(torch.get_num_threads(), _MOST) if model.device.type == "cpu" and not model.compiled else 1
    with suppress(Exception):  # whatever somebody's own module has against being copied
        return [model, *(model.twin() for _ in range(count - 1))]
    return [model]
