"""Match a list of photos with the rows of a study, which is append-only: row i is one photo for ever.

A photo is known by the content of its file. New photos get new rows. A file that changed gets a new row too; the row
that it replaces keeps its place, its id gets "~1" and its status becomes "removed".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from finerkit.base.text import text_variable
from finerkit.networks.features import NOT_FINITE
from finerkit.photos.contents import contents
from finerkit.photos.read import column, usable
from finerkit.store import groups as disk

if TYPE_CHECKING:
    from finerkit.store.location import Place

#: Variables of ``/images`` that are known as soon as a row is made; the others follow with the head.
ESSENTIAL = ("species", "path", "width", "height", "status", "fingerprint", "sha256", "duplicate_of", "file")


@dataclass(frozen=True)
class Match:
    """Rows of the photos of a list.

    Attributes
    ----------
    row : numpy.ndarray
        (photo,) its row; new ones follow after those that are there.
    known : int
        How many rows are there already.
    renamed : dict
        Row to new id, of photos whose file was replaced.
    removed : numpy.ndarray
        Rows of photos that are no longer in the list, or whose file was replaced.
    lost : list of str
        Ids of analysed photos whose content is nowhere in the list; those whose file changed are among them only if
        they are more than half.
    pending : numpy.ndarray
        Rows, of those that are there, to compute (again).
    """

    row: np.ndarray
    known: int
    renamed: dict[int, str]
    removed: np.ndarray
    lost: list[str]
    pending: np.ndarray

    @property
    def new(self) -> np.ndarray:
        """Positions, in the list, of the photos that get new rows."""
        return np.flatnonzero(self.row >= self.known)

    @property
    def count(self) -> int:
        """How many rows there will be."""
        return self.known + len(self.new)


def match(table: xr.Dataset, images: xr.Dataset) -> Match:
    """Find the row of each photo of a list.

    Parameters
    ----------
    table
        ``/images`` of a study, as it is on disk.
    images
        From `finerkit.read_images`.
    """
    ids, status = [str(i) for i in table["image"].values], table["status"].values
    then, now = contents(table, images), contents(images, table)
    good, at = usable(images), {name: row for row, name in enumerate(ids)}
    row, renamed = np.full(len(now), -1), {}
    for i, name in enumerate(map(str, images["image"].values)):
        r = at.get(name, -1)
        if r < 0:
            continue
        failed = status[r] not in ("ok", disk.PENDING, disk.REMOVED, NOT_FINITE)  # nothing was computed of it
        if then[r] == now[i] or failed:
            row[i] = r
        else:
            renamed[r] = next(old for i in itertools.count(1) if (old := f"{name}~{i}") not in at)
            at[renamed[r]] = r
    here = row[row >= 0]
    fresh = row < 0
    row[fresh] = len(ids) + np.arange(fresh.sum())
    gone = np.ones(len(ids), bool)
    gone[here] = False
    found = {c for c, usable_now in zip(now, good, strict=True) if usable_now}
    lost = [r for r in np.flatnonzero(gone) if status[r] == "ok" and then[r] not in found]
    if 2 * len(renamed) <= (status == "ok").sum():  # else these are other photos of the same names, by mistake perhaps
        lost = [r for r in lost if r not in renamed]
    again = np.array([status[r] not in ("ok", NOT_FINITE) for r in row[~fresh]], bool) & good[~fresh]
    removed = np.flatnonzero(gone & (status != disk.REMOVED))
    return Match(row, len(ids), renamed, removed, [ids[r] for r in lost], row[~fresh][again])


def append(path: Place, table: xr.Dataset, images: xr.Dataset, found: Match) -> None:
    """Write new rows, pending where the photo can be used, and mark those that they replace.

    Killed before its last line, it leaves a study that opens as it was, and is done again.
    """
    ids = table["image"].values.astype(object)
    status = table["status"].values.astype(object)
    for row, name in found.renamed.items():
        ids[row], status[row] = name, disk.REMOVED
    disk.write_column(path, "images", "status", status, table["status"].attrs)
    disk.write_ids(path, ids)
    new = images.isel(image=found.new)
    fresh = {str(name): new[name].values for name in (*ESSENTIAL, "image") if name in new.variables}
    fresh["status"] = np.where(usable(new), disk.PENDING, fresh["status"])
    for name in ESSENTIAL:
        if name in fresh and name in table:
            before = status if name == "status" else table[name].values
            disk.write_column(path, "images", name, np.append(before, fresh[name]), images[name].attrs)
    unsaid = set(map(str, table.data_vars)) - {*ESSENTIAL, *map(str, images.data_vars)}
    for name in unsaid:  # by the list: new rows are empty there
        values = _merged(None, table[name].values, np.arange(found.known), found.count)
        disk.write_column(path, "images", name, values, table[name].attrs)
    disk.write_ids(path, np.append(ids, fresh["image"]))
    disk.resize_arrays(path, "images", found.count)
    disk.resize_arrays(path, "features", found.count)
    disk.commit(path, "images", "features")


def reuse(path: Place, table: xr.Dataset) -> int:
    """Copy the features of pending photos from rows with the same content; returns how many there were.

    Photos that were moved, renamed, copied or put back take no forward pass.
    """
    status, known = table["status"].values.copy(), contents(table)
    pending = np.flatnonzero(status == disk.PENDING)
    wanted = {known[r] for r in pending}
    may_have = np.flatnonzero(np.isin(status, ["ok", disk.REMOVED, disk.PENDING]))
    rows = np.array([r for r in may_have if known[r] in wanted], int)
    group = disk.ChunkedGroup(path, "features")
    finite = rows[np.isfinite(group.rows("embedding", rows)).all(1)]
    source_of = {known[r]: r for r in finite[::-1]}
    copied = np.array([r for r in pending if known[r] in source_of], int)
    for start in np.unique(copied // disk.CHUNK) * disk.CHUNK:
        rows = copied[copied // disk.CHUNK == start // disk.CHUNK]
        values = group.read(int(start), disk.CHUNK)
        for name in values:
            values[name][rows - start] = group.rows(name, np.array([source_of[known[r]] for r in rows]))
        group.write(int(start), **values)
    status[copied] = "ok"
    if len(copied):
        disk.write_status(path, 0, status)
    return len(copied)


def updated(table: xr.Dataset, images: xr.Dataset, found: Match) -> xr.Dataset:
    """Return ``/images`` as it should be, once every photo of the list has its row.

    Rows that are not in the list keep what they have; a column that is new is empty there.
    """
    status = table["status"].values.copy()
    status[found.removed] = disk.REMOVED
    bad = ~usable(images) & (status[found.row] != "ok")
    status[found.row[bad]] = images["status"].values[bad]
    columns = {"status": text_variable(status, attrs=table["status"].attrs)}
    for name in map(str, images.data_vars):
        if name != "status":
            known = table[name].values if name in table else None
            values = _merged(known, images[name].values, found.row, found.known)
            variable = text_variable if values.dtype == object else partial(xr.Variable, "image")
            columns[name] = variable(values, attrs=images[name].attrs)
    return table.assign(columns)


def changed(before: xr.Dataset, after: xr.Dataset) -> list[str]:
    """Names of the columns that differ."""
    names = [str(n) for n in after.data_vars]
    return [n for n in names if n not in before or not disk.same_values(before[n].values, after[n].values)]


def _merged(known: np.ndarray | None, fresh: np.ndarray, row: np.ndarray, count: int) -> np.ndarray:
    """A column of all rows: `fresh` at its rows, elsewhere what was `known`; nothing where that is of another kind."""
    if np.array_equal(row, np.arange(count)):
        return fresh
    if len(row) == count:
        values = np.empty(count, fresh.dtype)
    elif known is not None and known.dtype.kind == fresh.dtype.kind:
        values = known.astype(np.result_type(known, fresh))
    else:
        sparse = pd.Series(fresh, row).reindex(range(count))
        return column(sparse.fillna("") if fresh.dtype == object else sparse)
    values[row] = fresh
    return values
