"""Many machines: chunks of pending photos and a dask client enter; features, written by its workers, leave.

A chunk of photos is a task, and a task writes its own whole Zarr chunks: no two write the same file, a task may run
twice, and of its results only the reasons of photos that failed pass through the scheduler. The client notes in the
store which chunks are done. The network travels once to each worker, with pickle: as everywhere
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
from finerkit.places import options_of, text
from finerkit.study_model import model_attrs
from finerkit.worker import Parcel, embed_chunk, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Client

    from finerkit.forward import Chunk, Run
    from finerkit.places import Place

    #: Told of every chunk whose features are written, and of its photos that failed.
    Written = Callable[[Chunk, dict[int, str]], None]

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
    Client = _client_class()
    if not isinstance(client, Client):
        raise TypeError(
            f"client must be a dask.distributed.Client. Got a {type(client).__name__} instead: "
            "Client(cluster) makes one, from a cluster or from the address of a scheduler."
        )
    if client.asynchronous:
        raise TypeError("client must not be asynchronous: make it with Client(..., asynchronous=False).")

    def run(path: Place, model: Model, chunks: list[Chunk], tell: Callable[[int], Any]) -> None:
        name = uuid.uuid4().hex
        disk.commit(path, run=name)

        def written(chunk: Chunk, failed: dict[int, str]) -> None:
            disk.write_status(path, chunk.start, chunk.status_with(failed))
            tell(len(chunk.pending))

        try:
            _all_rounds(client, _pack(path, name, model, chunks), chunks, written)
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
    where = {"address": scheduler} if "://" in scheduler else {"scheduler_file": scheduler}
    Client = _client_class()
    if "scheduler_file" in where and not Path(scheduler).exists():
        raise ConnectionError(
            f"There is no scheduler file {scheduler!r}. Expected one, from dask scheduler --scheduler-file NAME, or an "
            "address such as 'tcp://10.0.0.1:8786'."
        )
    try:
        return Client(**where)
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


def _all_rounds(client: Client, parcel: Parcel, chunks: list[Chunk], written: Written) -> None:
    """Send out chunks until all are done; again those whose network was lost with the last worker that had it."""
    left = {chunk.start: chunk for chunk in chunks}
    futile = 0
    while left:
        before = len(left)
        with closing(_one_round(client, parcel, list(left.values()))) as done:  # cancels what remains, at once
            for start, failed in done:
                written(left.pop(start), failed)
        futile = futile + 1 if len(left) == before else 0
        if futile == _ATTEMPTS:
            raise RuntimeError(
                f"All workers were lost {_ATTEMPTS} times before any photo was computed. Their logs say why (often too "
                "little memory); what was done is kept: run the same again."
            )


def _one_round(client: Client, parcel: Parcel, chunks: list[Chunk]) -> Iterator[tuple[int, dict[int, str]]]:
    """Send out chunks; yields the start of each that is done, and which of its photos failed."""
    from distributed import CancelledError, KilledWorker, as_completed

    client.wait_for_workers(1)
    sent = client.scatter(parcel, broadcast=True, hash=False)
    columns = zip(*((chunk.start, chunk.status, chunk.paths) for chunk in chunks), strict=True)
    futures = client.map(embed_chunk, *columns, parcel=sent, pure=False, batch_size=_BATCH)
    starts = {future.key: chunk.start for future, chunk in zip(futures, chunks, strict=True)}
    try:
        for future in as_completed(futures):
            try:
                failed = future.result()  # raises what the task raised
            except CancelledError:  # gone with the last worker that had the network: sent again
                continue
            future.release()
            yield starts[future.key], failed
    except KilledWorker as error:
        raise RuntimeError(
            "Several workers died, one after the other, over the same photos. Their logs say why: give them more "
            "memory, or leave out the photo that they name. What was done is kept: run the same again."
        ) from error
    finally:
        client.cancel([future for future in futures if not future.done()])
        for future in (*futures, sent):  # those that a traceback holds would stay with the workers
            future.release()


def _pack(path: Place, run: str, model: Model, chunks: list[Chunk]) -> Parcel:
    made_of = [name for name in inspect.signature(Model).parameters if name != "device" and hasattr(model, name)]
    photos = (p for chunk in chunks for p in chunk.paths[chunk.pending])
    return Parcel(
        store=text(path),
        options=options_of(path),
        run=run,
        photo=next((p for p in photos if Path(p).exists()), ""),
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
