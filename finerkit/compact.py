"""Rewrite a study without the rows that were removed, and without its comparisons, which are quick to ask again."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np

from finerkit import places
from finerkit import store as disk

if TYPE_CHECKING:
    from finerkit.places import Place


def compacted(path: Place) -> None:
    """Write the rows that are left to a store beside a study, and put it in the study's place.

    Rows get other numbers, so the study gets another identity: what was opened before is refused. Traits are carried
    over, since people name and edit them.
    """
    status = disk.read_text(path, "images", "status")
    rows = np.flatnonzero(status != disk.REMOVED)
    part, study_id = path.with_name(f".{path.name}-compact"), uuid.uuid4().hex
    places.remove(part)
    try:
        disk.commit(part, **disk.read_root(path) | {"study_id": study_id, "rows": len(rows)})
        for group in ("images", "features", "predictions"):
            _copy_rows(path, part, group, rows)
        places.copy(path / "species", part / "species")
        for group in ("species", "predictions"):
            disk.make_group(part, group, study_id=study_id)
        _copy_traits(path, part, rows, len(status))
        kept = [f"traits/{name}" for name in disk.listed(path, "traits")]
        disk.commit(part, "images", "features", "predictions", "species", *kept)
        places.replace(part, path)
    finally:
        places.clear(part, path)


def _copy_rows(path: Place, part: Place, group: str, rows: np.ndarray) -> None:
    """Copy some rows of all arrays along ``image``; large ones chunk by chunk."""
    data = disk.read_group(path, group)
    large = [str(n) for n, v in data.data_vars.items() if v.dims[:1] == ("image",) and v.ndim > 1]
    disk.write_group(part, group, data.drop_dims("image"))
    for name, values in data.drop_vars(large).variables.items():
        if values.dims == ("image",):
            disk.write_column(part, group, str(name), values.values[rows], values.attrs)
    source = disk.ChunkedGroup(path, group, large)
    for name in large:
        array = source[name]
        dims = dict(zip(data[name].dims[1:], array.shape[1:], strict=True))
        units = {name: str(data[name].attrs["units"])} if "units" in data[name].attrs else {}
        chunk = array.chunks[0]
        target = disk.make_arrays(part, group, len(rows), {name: dims}, {name: array.dtype}, units, chunk)
        for start in range(0, len(rows), chunk):
            target.write(start, **{name: source.rows(name, rows[start : start + chunk])})


def _copy_traits(path: Place, part: Place, rows: np.ndarray, count: int) -> None:
    number = np.full(count + 1, -1)  # the last is that of photos that are none of the study's
    number[rows] = np.arange(len(rows))
    study_id = disk.read_root(part)["study_id"]
    for name in disk.listed(path, "traits"):
        group = f"traits/{name}"
        disk.make_group(part, "traits")
        places.copy(path / group, part / group)
        disk.make_group(part, group, study_id=study_id)
        row = disk.read_group(part, group, "row", committed=False)
        if "row" in row.variables:
            disk.write_column(part, group, "row", number[row["row"].values], {})
