"""Keep comparisons: write the evidence chunk by chunk into the study, or in memory where it cannot be written.

A comparison that was interrupted goes on where it stopped: photos of a chunk that is not written are "pending". Readers
see it once it is complete.
"""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from finerkit.base.text import text_variable
from finerkit.evidence import compute as explain
from finerkit.networks import features
from finerkit.photos.read import warn_unusable
from finerkit.store import groups as disk
from finerkit.store.lock import writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import xarray as xr

    from finerkit.evidence.compute import Chunk
    from finerkit.store.location import Place

    Explain = Callable[[xr.Dataset], Iterator[Chunk]]

_ARRAYS = ("evidence", "logit")

#: What asking again does not change.
NOT_FINITE = (explain.NOT_FINITE, features.NOT_FINITE)


def answered(path: Place | None, group: str, question_id: str, *, named: bool, overwrite: bool) -> xr.Dataset | None:
    """The stored answer to the same question, if there is one that is complete.

    Raises
    ------
    ValueError
        If a person gave the name, and another question was answered under it.
    """
    if path is None or overwrite or group not in disk.committed(path):
        return None
    found = _found(path, group)
    if found is not None and found.attrs.get("question_id") == question_id:
        lost = ~np.isin(found["status"].values, ["ok", *NOT_FINITE])  # a drive may have been away: asked again
        return None if lost.any() else found
    if found is not None and named:
        raise ValueError(
            f"There is another comparison in {group!r}, of other species, photos or settings, or of an earlier head. "
            "Choose another name=, or replace it with overwrite=True."
        )
    return None


def keep(
    path: Place | None, group: str, data: xr.Dataset, photos: xr.Dataset, explain: Explain, progress: bool
) -> xr.Dataset:
    """Compute an answer and keep it.

    Parameters
    ----------
    path
        Store of the study; None keeps the answer in memory, and so does a store that cannot be written, with a warning.
    group
        Where in the store.
    data
        The answer without ``evidence`` and ``logit``, with the dims they will have.
    photos
        Like ``/images``, in the order of `data`.
    explain
        Makes chunks of evidence for photos.
    progress
        Show a progress bar.
    """
    count = photos.sizes["image"]
    with tqdm(total=count, desc="evidence", unit="photo", disable=not progress, delay=1) as bar, ExitStack() as stack:
        starts = _try_to_open(stack, path, group, data) if path is not None else None
        if starts is None:
            return _in_memory(data, explain(photos), bar)
        rows = [i for s in starts for i in range(s, min(s + disk.CHUNK, count))]
        bar.update(count - len(rows))
        arrays = disk.ChunkedGroup(path, group, _ARRAYS)
        chunks = explain(photos.isel(image=rows)) if rows else ()
        for start, (_, evidence, logit, reasons) in zip(starts, chunks, strict=True):
            arrays.write(start, evidence=evidence, logit=logit)
            status = photos["status"].values[start : start + len(logit)].astype(object)
            status[list(reasons)] = list(reasons.values())
            disk.write_status(path, start, status, group)
            bar.update(len(logit))
        disk.commit(path, group)
        found = _found(path, group)
        warn_unusable(found, "could not be explained")
        return found


def _try_to_open(stack: ExitStack, path: Place, group: str, data: xr.Dataset) -> list[int] | None:
    try:
        stack.enter_context(writing(path))
        return _begun(path, group, data)
    except OSError as error:  # read-only, full, or another process or thread is at it
        warnings.warn(
            f"The comparison is kept in memory only, since the store cannot be written: {error}", stacklevel=4
        )
        return None


def _begun(path: Place, group: str, data: xr.Dataset) -> list[int]:
    """Make the arrays, and say where chunks begin that are to be filled: all, unless a run was interrupted."""
    every = range(0, data.sizes["image"], disk.CHUNK)
    begun = _found(path, group)
    same = begun is not None and begun.attrs.get("question_id") == data.attrs["question_id"]
    if same and set(_ARRAYS) <= set(begun) and group not in disk.committed(path):
        pending = begun["status"].values == disk.PENDING
        return [s for s in every if pending[s : s + disk.CHUNK].any()]
    disk.remove_group(path, group)
    waiting = np.full(data.sizes["image"], disk.PENDING, object)
    dims = {"evidence": {d: data.sizes[d] for d in ("species", "y", "x")}, "logit": {"species": data.sizes["species"]}}
    disk.make_group(path, "comparisons")
    disk.write_group(path, group, data.assign_coords(status=text_variable(waiting)), name=group.partition("/")[2])
    units = dict.fromkeys(dims, "logit")
    disk.make_arrays(path, group, data.sizes["image"], dims, dict.fromkeys(dims, "float32"), units)
    return list(every)


def _in_memory(data: xr.Dataset, chunks: Iterable[Chunk], bar: tqdm) -> xr.Dataset:
    parts, status = [], data["status"].values.astype(object)
    for start, evidence, logit, reasons in chunks:
        parts.append((evidence, logit))
        status[[start + i for i in reasons]] = list(reasons.values())
        bar.update(len(logit))
    evidence, logit = (np.concatenate(values) for values in zip(*parts, strict=True))
    full = data.assign(
        evidence=(("image", "species", "y", "x"), evidence, {"units": "logit"}),
        logit=(("image", "species"), logit, {"units": "logit"}),
    ).assign_coords(status=text_variable(status))
    warn_unusable(full, "could not be explained")
    return full.assign_attrs(disk.provenance(**data.attrs))


def _found(path: Place, group: str) -> xr.Dataset | None:
    """A stored comparison, complete or not: all in memory but the evidence, which is read when used."""
    try:
        found = disk.read_group(path, group, committed=False)
        return found.assign({name: found[name].load() for name in found.variables if name != "evidence"})
    except (OSError, ValueError, KeyError):  # not there, or interrupted before it could be read
        return None
