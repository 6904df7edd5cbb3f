"""What a dask worker does for `finerkit.analysis.cluster`: compute and write one chunk of photos."""

from __future__ import annotations

import importlib.metadata
import io
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finerkit._version import __version__
from finerkit.store import groups as disk
from finerkit.store.location import place

if TYPE_CHECKING:
    import numpy as np
    import torch

    from finerkit.networks import Model

#: Seconds until a worker must see the store as the client does; network file systems take their time.
PATIENCE = 30.0

#: Packages that results depend on, beside finerkit.
_MUST_AGREE = ("torch", "timm", "pillow")

#: One chunk is computed at a time in a process: its threads are the worker's, and the network is loaded once.
_network = threading.Lock()

#: The network of a run, by the run's name; one at a time in memory.
_loaded: dict[str, Model] = {}


@dataclass(frozen=True)
class Parcel:
    """What every task of a run needs beside its chunk and the network.

    Attributes
    ----------
    store : str
        Absolute path of the study, or its address.
    options : dict
        Of the address's file system.
    run : str
        Name of this run, which the store bears while it lasts.
    photo : str
        One of the photos, which every worker must see.
    versions : dict
        Of the packages that results depend on.
    """

    store: str
    options: dict[str, Any]
    run: str
    photo: str
    versions: dict[str, str]


def versions() -> dict[str, str]:
    """Of the packages that results depend on, less what they were built for (CUDA or not)."""
    found = {name: importlib.metadata.version(name).split("+")[0] for name in _MUST_AGREE}
    return {"finerkit": __version__, **found}


def embed_chunk(start: int, status: np.ndarray, paths: np.ndarray, parcel: Parcel, network: bytes) -> dict[int, str]:
    """Compute and write one chunk of photos; running it twice does no harm.

    Returns
    -------
    dict
        Index, among the chunk's pending photos, of those that failed to the reason.
    """
    import torch
    from distributed import get_worker

    from finerkit.networks.batches import compute
    from finerkit.networks.embed import Chunk, task_of, write_features

    chunk = Chunk(start, status, paths)
    check_store(parcel, PATIENCE)
    with _network:
        torch.set_num_threads(get_worker().state.nthreads)  # dask tells libraries to use one
        if parcel.run not in _loaded:
            check_worker(parcel)
            _loaded.clear()
            _loaded[parcel.run] = _unpacked(network)
        model = _loaded[parcel.run]
        group = disk.ChunkedGroup(place(parcel.store, parcel.options), "features")
        ((values, failed),) = compute([chunk.to_compute], model, task_of(group, model))
    check_store(parcel, 0)
    write_features(group, chunk, values)  # while another thread computes the next
    return failed


def check_store(parcel: Parcel, patience: float) -> None:
    """Refuse to go on with a store that is not there, another one, or no longer this run's."""
    until = time.monotonic() + patience
    while disk.read_root(place(parcel.store, parcel.options)).get("run") != parcel.run:
        if time.monotonic() >= until:
            raise FileNotFoundError(
                f"A worker ({_me()}) does not see the study that this run writes at {parcel.store!r}: all workers must "
                "have the client's file system under the same path, or reach its address. Choose another store=."
            )
        time.sleep(0.5)


def check_worker(parcel: Parcel) -> None:
    """Refuse to compute with other versions than the client's, or without the photos."""
    mine = versions()
    differs = [f"{k} {mine[k]} instead of {v}" for k, v in parcel.versions.items() if mine[k] != v]
    if differs:
        raise RuntimeError(
            f"A worker ({_me()}) has {', '.join(differs)}: install the same versions there as in the client's process."
        )
    if parcel.photo and not Path(parcel.photo).exists():
        raise FileNotFoundError(
            f"A worker ({_me()}) does not see the photo {parcel.photo!r}: all workers must have the photos under the "
            "client's paths. Put them on a shared file system and read them again: fk.read_images(...)."
        )


def _unpacked(network: bytes) -> Model:
    import torch

    from finerkit.networks import Model

    # Pickle, since networks are code; it comes from the client, which could run any code here anyway.
    parts = torch.load(io.BytesIO(network), map_location="cpu", weights_only=False)
    return Model(**parts, device=own_device(_me()))


def own_device(worker: str) -> torch.device:
    """Device of a worker: of several GPUs that it sees (CUDA_VISIBLE_DEVICES), the one of the number in its name."""
    import torch

    from finerkit.networks.load import pick_device

    device, count = pick_device("auto"), torch.cuda.device_count()
    if device.type != "cuda" or count < 2:
        return device
    number = re.search(r"\d+$", worker)
    return torch.device("cuda", int(number.group()) % count if number else 0)


def _me() -> str:
    """Name of this worker."""
    from distributed import get_worker

    return str(get_worker().name)
