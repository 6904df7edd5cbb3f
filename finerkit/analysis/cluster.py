"""Compute the features of a study on many machines, by a dask client; `finerkit.analysis.worker` is the other side.

A chunk of photos is a task, and a task writes its own whole Zarr chunks: no two write the same file, a task may run
twice, and of its results only the reasons of photos that failed pass through the scheduler. The client notes in the
store which chunks are done. The network is a task's result too, so that workers that come later, or again, get it. It
travels with pickle: as everywhere in dask, client and workers must trust each other.
"""

from __future__ import annotations

import inspect
import io
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from finerkit.analysis.worker import Parcel, embed_chunk, versions
from finerkit.networks import Model
from finerkit.store import groups as disk
from finerkit.store.location import options_of, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Client

    from finerkit.networks.embed import Chunk, Run
    from finerkit.store.location import Place

#: Chunks that go to the scheduler in one message.
_BATCH = 500


def workers(client: Client) -> Run:
    """What computes chunks on the workers of a dask client.

    Parameters
    ----------
    client
        Connected and synchronous.

    Returns
    -------
    callable
        Takes the place of `finerkit.networks.embed.run_here`.

    Raises
    ------
    ModuleNotFoundError
        If dask.distributed is not installed.
    TypeError
        If it is not such a client.
    """
    if not isinstance(client, _client_class()) or client.asynchronous:
        raise TypeError(
            f"client must be a dask.distributed.Client. Got a {type(client).__name__} instead: Client(cluster) makes "
            "one, from a cluster or from the address of a scheduler; asynchronous=True is not for this."
        )

    def run(path: Place, model: Model, chunks: list[Chunk], tell: Callable[[int], Any]) -> None:
        parcel, network = _parcel(path, chunks), _pickled(model)
        disk.commit(path, run=parcel.run)
        try:
            for chunk, failed in _computed(client, chunks, parcel, network):
                disk.write_status(path, chunk.start, chunk.status_with(failed))
                tell(len(chunk.pending))
        finally:
            disk.commit(path, run="")  # a task that still runs will not write any more

    return run


def connect(scheduler: str) -> Client:
    """Connect to a dask cluster.

    Parameters
    ----------
    scheduler
        Its address, such as "tcp://10.0.0.1:8786", or the file that ``dask scheduler --scheduler-file`` wrote.

    Raises
    ------
    ModuleNotFoundError
        If dask.distributed is not installed.
    ConnectionError
        If nobody answers there.
    """
    Client = _client_class()
    is_file = "://" not in scheduler
    if is_file and not Path(scheduler).exists():
        raise ConnectionError(
            f"There is no scheduler file {scheduler!r}. Expected one, from dask scheduler --scheduler-file NAME, or an "
            "address such as 'tcp://10.0.0.1:8786'."
        )
    try:
        return Client(**{"scheduler_file" if is_file else "address": scheduler})
    except (OSError, ValueError) as error:
        raise ConnectionError(f"No dask scheduler answers at {scheduler!r} ({error}): is it running?") from error


def _client_class() -> type[Client]:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "A cluster needs dask.distributed: pip install 'finerkit[distributed]', here and for the workers."
        ) from error
    return Client


def _computed(
    client: Client, chunks: list[Chunk], parcel: Parcel, network: bytes
) -> Iterator[tuple[Chunk, dict[int, str]]]:
    """Send out chunks; yields each that is written, and which of its photos failed."""
    from distributed import KilledWorker, as_completed

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph")  # the network, once
        # A task, which is run again where its result is lost; what is scattered is not.
        sent = client.submit(bytes, network, key=f"network-{parcel.run}")
    columns = zip(*((chunk.start, chunk.status, chunk.paths) for chunk in chunks), strict=True)
    futures = client.map(embed_chunk, *columns, parcel=parcel, network=sent, pure=False, batch_size=_BATCH)
    by_key = {future.key: chunk for future, chunk in zip(futures, chunks, strict=True)}
    try:
        for future in as_completed(futures):
            yield by_key[future.key], future.result()  # raises what the task raised
    except KilledWorker as error:
        raise RuntimeError(
            "Several workers died, one after the other, over the same photos. Their logs say why: give them more "
            "memory, or leave out the photo that they name. What was done is kept: run the same again."
        ) from error
    finally:
        client.cancel([*futures, sent])


def _parcel(path: Place, chunks: list[Chunk]) -> Parcel:
    photos = (p for chunk in chunks for p in chunk.to_compute)
    seen = next((p for p in photos if Path(p).exists()), "")
    return Parcel(text(path), options_of(path), uuid.uuid4().hex, seen, versions())


def _pickled(model: Model) -> bytes:
    """The network and how to feed it; where and how it runs is each worker's own."""
    import cloudpickle  # comes with distributed; takes networks that are defined in a notebook too

    made_of = [name for name in inspect.signature(Model).parameters if name not in {"device", "compiled"}]
    buffer = io.BytesIO()
    try:
        torch.save({name: getattr(model, name) for name in made_of}, buffer, pickle_module=cloudpickle)
    except Exception as error:
        raise TypeError(
            f"The network {model.name!r} cannot be sent to the workers ({type(error).__name__}: {error}). Modules must "
            "be picklable: keep open files, locks and generators out of their attributes."
        ) from error
    return buffer.getvalue()
