"""Many machines: chunks of pending photos and a dask client enter; features, written by its workers, leave.

A chunk of photos is a task, and a task writes its own whole Zarr chunks: no two write the same file, a task may run
twice, and only numbers pass through the scheduler. The network travels once to each worker, with pickle: as everywhere
in dask, client and workers must trust each other. `finerkit.worker` is the other side.
"""

from __future__ import annotations

import inspect
import io
import json
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from finerkit import store as disk
from finerkit.models import Model
from finerkit.study_model import model_attrs
from finerkit.worker import Parcel, embed_chunk, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Client

    from finerkit.forward import Chunk, Run

#: Chunks that go to the scheduler in one message.
_BATCH = 500

#: How often in a row the network may get lost, with all workers, before anything was computed.
_ATTEMPTS = 3


def workers(client: Client) -> Run:
    """What computes chunks on the workers of a dask client.

    Parameters
    ----------
    client
        Connected and synchronous.

    Returns
    -------
    callable
        Takes the place of `finerkit.forward.run_here`.

    Raises
    ------
    ModuleNotFoundError
        If dask.distributed is not installed.
    TypeError
        If it is not such a client.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "client= needs dask.distributed: pip install 'finerkit[distributed]', here and for the workers."
        ) from error
    if not isinstance(client, Client):
        raise TypeError(
            f"client must be a dask.distributed.Client. Got a {type(client).__name__} instead: "
            "Client(cluster) makes one, from a cluster or from the address of a scheduler."
        )
    if client.asynchronous:
        raise TypeError("client must not be asynchronous: make it with Client(..., asynchronous=False).")

    def run(path: Path, model: Model, chunks: list[Chunk], tell: Callable[[int], Any]) -> None:
        name = uuid.uuid4().hex
        disk.write_root(path, run=name)
        try:
            _all_rounds(client, _pack(path, name, model, chunks), chunks, tell)
        finally:
            disk.write_root(path, run="")  # a task that still runs will not write any more

    return run


def _all_rounds(client: Client, parcel: Parcel, chunks: list[Chunk], tell: Callable[[int], Any]) -> None:
    """Send out chunks until all are done; again those whose network was lost with the last worker that had it."""
    left = {chunk.start: chunk for chunk in chunks}
    futile = 0
    while left:
        before = len(left)
        with closing(_one_round(client, parcel, list(left.values()))) as done:  # cancels what remains, at once
            for start in done:
                tell(len(left.pop(start).pending))
        futile = futile + 1 if len(left) == before else 0
        if futile == _ATTEMPTS:
            raise RuntimeError(
                f"All workers were lost {_ATTEMPTS} times before any photo was computed. Their logs say why (often too "
                "little memory); what was done is kept: run the same again."
            )


def _one_round(client: Client, parcel: Parcel, chunks: list[Chunk]) -> Iterator[int]:
    """Send out chunks; yields the start of each that is done."""
    from distributed import KilledWorker, as_completed

    client.wait_for_workers(1)
    sent = client.scatter(parcel, broadcast=True, hash=False)
    columns = zip(*((chunk.start, chunk.status, chunk.paths) for chunk in chunks), strict=True)
    futures = client.map(embed_chunk, *columns, parcel=sent, pure=False, batch_size=_BATCH)
    places = {future.key: chunk.start for future, chunk in zip(futures, chunks, strict=True)}
    try:
        for future in as_completed(futures):
            if future.status == "error":
                future.result()  # raises it
            if future.status == "finished":  # the store has the result: nothing is fetched from the worker
                future.release()
                yield places[future.key]
    except KilledWorker as error:
        raise RuntimeError(
            "Several workers died, one after the other, over the same photos. Their logs say why: give them more "
            "memory, or leave out the photo that they name. What was done is kept: run the same again."
        ) from error
    finally:
        client.cancel([future for future in futures if not future.done()])


def _pack(path: Path, run: str, model: Model, chunks: list[Chunk]) -> Parcel:
    made_of = [name for name in inspect.signature(Model).parameters if name != "device" and hasattr(model, name)]
    photos = (p for chunk in chunks for p in chunk.paths[chunk.pending])
    return Parcel(
        store=str(path.absolute()),
        run=run,
        photo=next((p for p in photos if Path(p).exists()), ""),
        threads=torch.get_num_threads(),
        versions=versions(),
        identity=json.dumps(model_attrs(model)),
        model=_pickled({name: getattr(model, name) for name in made_of}, model.name),
    )


def _pickled(parts: dict[str, Any], name: str) -> bytes:
    import cloudpickle  # comes with distributed; takes networks that are defined in a notebook too

    buffer = io.BytesIO()
    try:
        torch.save(parts, buffer, pickle_module=cloudpickle)
    except Exception as error:
        raise TypeError(
            f"The network {name!r} cannot be sent to the workers ({type(error).__name__}: {error}). Modules must be "
            "picklable: keep open files, locks and generators out of their attributes."
        ) from error
    return buffer.getvalue()
