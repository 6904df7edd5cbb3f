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

from finerkit import explain, features
from finerkit import store as disk
from finerkit.images import warn_unusable
from finerkit.lock import writing
from finerkit.pairs import text_variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import xarray as xr

    from finerkit.explain import Chunk
    from finerkit.places import Place

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
    if path is None or overwrite:
        return None
    found = _found(path, group)
    if found is None or not found.attrs.get("complete"):
        return None
    if found.attrs.get("question_id") == question_id:
        lost = ~np.isin(found["status"].values, ["ok", *NOT_FINITE])  # a drive may have been away: asked again
        return None if lost.any() else found
    if named:
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
    bar = tqdm(total=photos.sizes["image"], desc="evidence", unit="photo", disable=not progress, delay=1)
    with bar, ExitStack() as stack:
        opened = _try_to_open(stack, path, group, data) if path is not None else None
        if opened is None:
            return _in_memory(data, explain(photos), bar)
        _fill(path, group, *opened, photos, explain, bar)
        disk.make_group(path, group, complete=1)
        disk.commit(path, group)
        found = _found(path, group)
        warn_unusable(found, "could not be explained")
        return found


def _try_to_open(
    stack: ExitStack, path: Place, group: str, data: xr.Dataset
) -> tuple[disk.ChunkedGroup, list[int]] | None:
    try:
        stack.enter_context(writing(path))
        return _opened(path, group, data)
    except OSError as error:  # read-only, full, or another process or thread is at it
        warnings.warn(
            f"The comparison is kept in memory only, since the store cannot be written: {error}", stacklevel=4
        )
        return None


def _fill(
    path: Place,
    group: str,
    arrays: disk.ChunkedGroup,
    starts: list[int],
    photos: xr.Dataset,
    explain: Explain,
    bar: tqdm,
) -> None:
    """Write the chunks that begin at `starts`; a comparison counts as made when its attr ``complete`` is there."""
    count = photos.sizes["image"]
    rows = [i for s in starts for i in range(s, min(s + disk.CHUNK, count))]
    bar.update(count - len(rows))
    if not rows:
        return
    for (_, evidence, logit, reasons), start in zip(explain(photos.isel(image=rows)), starts, strict=True):
        arrays.write(start, evidence=evidence, logit=logit)
        status = photos["status"].values[start : start + len(logit)].astype(object)
        status[list(reasons)] = list(reasons.values())
        disk.write_status(path, start, status, group)
        bar.update(len(logit))


def _opened(path: Place, group: str, data: xr.Dataset) -> tuple[disk.ChunkedGroup, list[int]]:
    """Arrays to fill, and where chunks begin that are not there yet: all of them, unless a run was interrupted."""
    every = range(0, data.sizes["image"], disk.CHUNK)
    begun = _found(path, group)
    if begun is not None and _goes_on(begun, data.attrs["question_id"]):
        pending = begun["status"].values == disk.PENDING
        return disk.ChunkedGroup(path, group, _ARRAYS), [s for s in every if pending[s : s + disk.CHUNK].any()]
    disk.remove_group(path, group)
    waiting = np.full(data.sizes["image"], disk.PENDING, object)
    dims = {"evidence": {d: data.sizes[d] for d in ("species", "y", "x")}, "logit": {"species": data.sizes["species"]}}
    disk.make_group(path, "comparisons")
    disk.write_group(path, group, data.assign_coords(status=text_variable(waiting)), name=group.partition("/")[2])
    units = dict.fromkeys(dims, "logit")
    return disk.make_arrays(path, group, data.sizes["image"], dims, dict.fromkeys(dims, "float32"), units), list(every)


def _goes_on(begun: xr.Dataset, question_id: str) -> bool:
    """Whether this is the same comparison, interrupted after its arrays were made."""
    same = begun.attrs.get("question_id") == question_id
    return same and not begun.attrs.get("complete") and set(_ARRAYS) <= set(begun)


def _in_memory(data: xr.Dataset, chunks: Iterator[Chunk], bar: tqdm) -> xr.Dataset:
    parts = []
    status = data["status"].values.astype(object)
    for start, evidence, logit, reasons in chunks:
        parts.append((evidence, logit))
        for i, reason in reasons.items():
            status[start + i] = reason
        bar.update(len(logit))
    full = data.assign(
        evidence=(("image", "species", "y", "x"), np.concatenate([p[0] for p in parts]), {"units": "logit"}),
        logit=(("image", "species"), np.concatenate([p[1] for p in parts]), {"units": "logit"}),
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
