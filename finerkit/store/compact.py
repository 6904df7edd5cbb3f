"""Rewrite a study without the rows that were removed, and without its comparisons, which are quick to ask again."""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING

import numpy as np

from finerkit.store import groups as disk
from finerkit.store import location as places

if TYPE_CHECKING:
    from pathlib import Path


def former_of(path: Path) -> Path:
    """Where a study lies for the moment in which its compacted form takes its place."""
    return path.with_name(f".{path.name}.former")


def compacted(path: Path) -> None:
    """Copy a study, take the rows that are left in the copy, and put it in the study's place.

    Rows get other numbers, so the study gets another identity: what was opened before is refused. Traits are carried
    over, since people name and edit them.
    """
    status = disk.read_text(path, "images", "status")
    rows = np.flatnonzero(status != disk.REMOVED)
    traits = [f"traits/{name}" for name in disk.listed(path, "traits")]
    part, former = path.with_name(f".{path.name}-compact"), former_of(path)
    places.remove(part)
    places.remove(former)
    try:
        left_out = {str(path): {"comparisons"}}  # a column, or traits, of that name lie deeper
        shutil.copytree(path, part, symlinks=True, ignore=lambda folder, _: left_out.get(str(folder), set()))
        for group in ("images", "features", "predictions"):
            _take(part, group, rows)
        for group in traits:
            _renumber(part, group, rows, len(status))
        study_id = uuid.uuid4().hex
        for group in ("species", "predictions", *traits):
            disk.make_group(part, group, study_id=study_id)
        groups = ("images", "features", "species", "predictions", *traits)
        disk.commit(part, *groups, withdraw=["comparisons"], study_id=study_id, rows=len(rows))
        path.rename(former)
        part.rename(path)
        places.remove(former)
    finally:
        places.remove(part)


def _take(part: Path, group: str, rows: np.ndarray) -> None:
    """Move some rows, which are in order, to the beginning of all arrays along ``image``; chunk by chunk."""
    for _, array in disk.open_group(part, group).arrays():
        if array.metadata.dimension_names[:1] != ("image",):
            continue
        step = array.chunks[0]
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            array[start : start + len(some)] = array.oindex[some]
    disk.resize_arrays(part, group, len(rows))


def _renumber(part: Path, group: str, rows: np.ndarray, count: int) -> None:
    number = np.full(count + 1, -1)  # the last is that of photos that are none of the study's
    number[rows] = np.arange(len(rows))
    row = disk.open_group(part, group).get("row")
    if row is not None:
        row[:] = number[row[:]]
