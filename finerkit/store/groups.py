"""Read and write the groups of a study: a Zarr store that any xarray opens.

The root's ``zarr.json`` lists every group and array of the study (Zarr's consolidated metadata) beside the study's own
attrs. It is replaced in one atomic write, `commit`. What a run wrote before it was killed, and did not commit, nobody
sees; the next run writes it again. One image chunk is one file per array, and ``/images/status`` of its photos turns
from "pending" last, so features that were computed are not computed again.
"""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import ZstdCodec

from finerkit._version import __version__
from finerkit.base.text import plain_text
from finerkit.store import location as places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from finerkit.store.location import Place

#: Raised whenever the layout of a store changes in a way that older code cannot read.
SCHEMA_VERSION = 2

#: Photos per chunk of text.
TEXTS = 2**12

#: Photos per chunk of arrays. A feature map of 14 x 14 x 1280 in float16 makes chunks of 16 MB before compression.
CHUNK = 32

PENDING = "pending"

#: Status of a row whose photo was left out, or replaced by another of the same id.
REMOVED = "removed"

_COMPRESSION = ZstdCodec(level=1)

#: Options of opening a group; indexes of text as Zarr keeps it would take several times its memory.
LAZY = {"chunks": {}, "consolidated": False, "create_default_indexes": False}

_ROOT = "zarr.json"


def provenance(**more: Any) -> dict[str, Any]:
    """Attrs that say what made a dataset: versions and date (UTC), and `more`."""
    stamp = {
        "finerkit_version": __version__,
        "schema_version": SCHEMA_VERSION,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return stamp | more


# --- the root ---


def read_root(store: Place) -> dict[str, Any]:
    """Attrs of the whole study; empty if there is no store there."""
    return _root(store).get("attributes", {})


def commit(store: Place, *groups: str, withdraw: Iterable[str] = (), **attrs: Any) -> None:
    """Make groups, as they are on disk now, part of what readers see, in one atomic write.

    Parameters
    ----------
    store
        The study; its root is made where there is none.
    groups
        Names, such as "images" or "comparisons/mine".
    withdraw
        Groups, or arrays such as "images/sex", that readers no longer see.
    attrs
        Of the root, added to those that are there.
    """
    root = _root(store) or {"zarr_format": 3, "node_type": "group", "attributes": {}}
    listed = root.get("consolidated_metadata", {}).get("metadata", {})
    for gone in (*groups, *withdraw):
        listed = {name: node for name, node in listed.items() if name != gone and not name.startswith(f"{gone}/")}
    for group in groups:
        parts = group.split("/")
        for parent in ("/".join(parts[:i]) for i in range(1, len(parts))):
            listed[parent] = _node(store, parent)
        listed |= _nodes(store, group)
    root["attributes"] |= provenance(**attrs)
    parents_first = sorted(listed, key=lambda name: (name.count("/"), name))  # as Zarr expects them
    metadata = {name: listed[name] for name in parents_first}
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": metadata}
    places.write_atomically(store / _ROOT, json.dumps(root).encode())


def committed(store: Place) -> list[str]:
    """Names of all groups and arrays that readers see."""
    return list(_root(store).get("consolidated_metadata", {}).get("metadata", {}))


def _root(store: Place) -> dict[str, Any]:
    try:
        root = _node(store, "")
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return root if isinstance(root, dict) and isinstance(root.get("attributes", {}), dict) else {}


def _node(store: Place, name: str) -> dict[str, Any]:
    return json.loads(places.inside(store, f"{name}/{_ROOT}".lstrip("/")).read_bytes())


def _nodes(store: Place, name: str) -> dict[str, Any]:
    """Metadata of a group and all that is in it, by name."""
    node = _node(store, name)
    found = {name: node}
    if node["node_type"] == "group":
        for child in sorted((store / name).iterdir()):
            if (child / _ROOT).exists():
                found |= _nodes(store, f"{name}/{child.name}")
    return found


# --- whole groups ---


def read_group(store: Place, group: str, *only: str, committed: bool = True) -> xr.Dataset:
    """Read one group, or `only` some of its variables, lazily but for text, which is read now, as `plain_text`.

    What was not committed yet is read where `committed` is False. The attr ``store`` says where it came from (it is not
    stored).
    """
    data = _stored(store, group, committed)
    data = indexed(plain_text(data[[name for name in only if name in data]] if only else data))
    return data.drop_encoding().assign_attrs(store=places.text(store))


def read_text(store: Place, group: str, name: str) -> np.ndarray:
    """One text variable of a group (objects), without its coordinates."""
    data = _stored(store, group, committed=True)
    return plain_text(data[[name]].reset_coords(drop=True))[name].values


def _stored(store: Place, group: str, committed: bool) -> xr.Dataset:
    return xr.open_zarr(places.zarr_store(store), group=group, **LAZY | {"consolidated": committed})


def indexed(data: xr.Dataset) -> xr.Dataset:
    """With the indexes that `LAZY` leaves out."""
    missing = [name for name in data.dims if name in data.coords and name not in data.xindexes]
    return data.assign_coords({name: data.variables[name] for name in missing})


def write_group(store: Place, group: str, data: xr.Dataset, **attrs: Any) -> None:
    """Write a small dataset as a whole group, replacing it. Readers see it after `commit`."""
    data = data.assign_attrs(provenance(**data.attrs) | attrs)
    data.attrs.pop("store", None)
    _write(store, group, data)


def add_to_group(store: Place, group: str, data: xr.Dataset, **attrs: Any) -> None:
    """Add variables and attrs to a group whose larger arrays are there already."""
    stamp = provenance(**data.attrs) if data.attrs else {}
    _write(store, group, data.drop_vars(data.coords).assign_attrs(stamp | attrs), mode="a")


def make_group(store: Place, group: str, **attrs: Any) -> None:
    """Make a group where there is none yet, and add to its attrs."""
    open_group(store, group, mode="a").attrs.update(attrs)


def remove_group(store: Place, group: str) -> None:
    """Remove a group, or an array, where it is there: first from what readers see, then from the disk."""
    there = places.inside(store, group)
    if places.exists(there):
        commit(store, withdraw=[group])
        (there / _ROOT).unlink(missing_ok=True)  # first: what a kill leaves of the rest is taken for no group
        places.remove(there)


def replace_group(store: Place, group: str, data: xr.Dataset) -> None:
    """Write a dataset as a group of a group, in the place of what is there, and commit it.

    All of it is written before the former one goes. Readers see one or the other, whole; in the moment between, none,
    and where the process is killed in it, none until the next who opens the study calls `finish_replacing`.
    """
    parent = group.split("/", maxsplit=1)[0]
    make_group(store, parent)
    write_group(store, _beside(group), data)
    commit(store, withdraw=[group], replacing=group)
    finish_replacing(store)


def finish_replacing(store: Place) -> None:
    """Put a group in its place that `replace_group` had written whole when it was killed. One writer at a time."""
    group = read_root(store).get("replacing")
    if not group:
        return
    whole = places.inside(store, _beside(group))
    if places.exists(whole):
        remove_group(store, group)
        places.rename_or_copy(whole, store / group)
    commit(store, group, replacing="")
    places.remove(whole)


def _beside(group: str) -> str:
    parent, name = group.split("/")
    return f"{parent}/.{name}"


def open_group(store: Place, group: str = "", mode: str = "r+") -> zarr.Group:
    """A group as Zarr sees it, by its own metadata: the consolidated ones may be older."""
    return zarr.open_group(places.zarr_store(store), path=group, mode=mode, zarr_format=3, use_consolidated=False)


def _write(store: Place, group: str, data: xr.Dataset, mode: str = "w") -> None:
    """Write a dataset as a group, by default in the place of what is there; text in chunks of `TEXTS`."""
    fixed = {n: v.astype(object) for n, v in data.variables.items() if v.dtype.kind == "U"}  # which Zarr lacks
    data = data.assign(fixed).drop_encoding()
    there = set(open_group(store, group).array_keys()) if mode == "a" else set()  # these have their chunks
    texts = {str(n): v.shape for n, v in data.variables.items() if v.dtype == object and v.ndim and v.size}
    encoding = {n: {"chunks": (min(TEXTS, s[0]), *s[1:])} for n, s in texts.items() if n not in there}
    with quiet():
        data.to_zarr(
            places.zarr_store(store), group=group, zarr_format=3, consolidated=False, mode=mode, encoding=encoding
        )


def quiet() -> warnings.catch_warnings:
    """Silence zarr's note that consolidated metadata is an extension; every reader may ignore it."""
    return warnings.catch_warnings(action="ignore", category=zarr.errors.ZarrUserWarning)


# --- arrays over image ---


class ChunkedGroup:
    """Arrays over ``image`` that are filled chunk by chunk, and may grow.

    Parameters
    ----------
    store, group
        Where; the group exists.
    names
        Some of its arrays; by default all of two and more dims.
    """

    def __init__(self, store: Place, group: str, names: Iterable[str] | None = None) -> None:
        handle = open_group(store, group)
        found = {n: a for n, a in handle.arrays() if (a.ndim > 1 if names is None else n in set(names))}
        # Zarr would look through each chunk for any value but NaN, in float16 for longer than it takes to compress it.
        self._arrays = {name: array.with_config({"write_empty_chunks": True}) for name, array in found.items()}

    @property
    def names(self) -> frozenset[str]:
        """Names of the arrays."""
        return frozenset(self._arrays)

    def __getitem__(self, name: str) -> zarr.Array:
        """One array, of which slices are read."""
        return self._arrays[name]

    def rows(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Read some images of one array, in the order asked for."""
        return self._arrays[name].oindex[rows]

    def read(self, start: int, count: int) -> dict[str, np.ndarray]:
        """Read `count` images from `start` on of every array; NaN where nothing was written."""
        return {name: array[start : start + count] for name, array in self._arrays.items()}

    def write(self, start: int, **values: np.ndarray) -> None:
        """Write one chunk, beginning at image `start`, of every array named.

        The embedding is written last: where it is there, a run that was killed has written the others too.
        """
        for name in sorted(values, key=lambda name: name == "embedding"):
            self._arrays[name][start : start + len(values[name])] = values[name]


def make_arrays(
    store: Place,
    group: str,
    count: int,
    dims: Mapping[str, Mapping[str, int]],
    dtypes: Mapping[str, str],
    units: Mapping[str, str] | None = None,
    chunk: int = CHUNK,
) -> ChunkedGroup:
    """Make arrays over ``image`` in a group that exists, full of NaN.

    Parameters
    ----------
    store, group
        Where.
    count
        Number of images.
    dims
        For each array its other dims with their sizes, in order.
    dtypes
        For each array its type.
    units
        For some arrays their units.
    chunk
        Photos per chunk.
    """
    handle = open_group(store, group)
    for name, others in dims.items():
        handle.create_array(
            name,
            shape=(count, *others.values()),
            chunks=(chunk, *others.values()),
            dtype=dtypes[name],
            dimension_names=("image", *others),
            fill_value=np.nan,
            compressors=[_COMPRESSION],
            attributes={"units": units[name]} if units and name in units else {},
            overwrite=True,
        )
    return ChunkedGroup(store, group, dims)


def write_status(store: Place, start: int, status: np.ndarray, group: str = "images") -> None:
    """Write the status of some photos in a row; this is what makes them count as done.

    Only one thread of one process may do so: its file holds the status of other chunks too.
    """
    open_group(store, group)["status"][start : start + len(status)] = status.astype(np.dtypes.StringDType())


# --- columns over image ---

_DATES = {"units": "nanoseconds since 1970-01-01", "calendar": "proleptic_gregorian"}


def write_column(store: Place, group: str, name: str, values: np.ndarray, attrs: Mapping[str, Any]) -> None:
    """Write a whole column along ``image``.

    Where the array that is there is of another type, readers lose sight of it until the next `commit`.
    """
    values, attrs = _encoded(values, attrs)
    handle = open_group(store, group)
    array = handle.get(name)
    if array is not None and array.dtype != values.dtype:
        commit(store, withdraw=[f"{group}/{name}"])
        array = None
    if array is None:
        array = handle.create_array(
            name,
            shape=values.shape,
            chunks=(TEXTS,),
            dtype="string" if values.dtype.kind == "T" else values.dtype,
            dimension_names=("image",),
            attributes=dict(attrs),
            overwrite=True,
        )
    elif array.shape != values.shape:
        array.resize(values.shape)
    array[:] = values


def same_values(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two columns say the same; gaps are equal to gaps."""
    return a.shape == b.shape and a.dtype.kind == b.dtype.kind and np.array_equal(a, b, equal_nan=a.dtype.kind in "fM")


def _encoded(values: np.ndarray, attrs: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """As Zarr keeps it: text of any width, dates as whole nanoseconds."""
    if values.dtype == object:
        return values.astype(np.dtypes.StringDType()), dict(attrs)
    if values.dtype.kind == "M":
        return values.astype("datetime64[ns]").astype(np.int64), {**attrs, **_DATES}
    return values, dict(attrs)


def resize_arrays(store: Place, group: str, count: int) -> None:
    """Make room for so many images in every array of a group that is along ``image``."""
    for _, array in open_group(store, group).arrays():
        if array.metadata.dimension_names[:1] == ("image",) and array.shape[0] != count:
            array.resize((count, *array.shape[1:]))


def write_ids(store: Place, ids: np.ndarray) -> None:
    """Write the ids of all photos, into every group that has one row per photo of the study."""
    for group in ("images", "features"):
        write_column(store, group, "image", ids, {})


def listed(store: Place, kind: str) -> dict[str, dict[str, Any]]:
    """Attrs of the groups of a kind ("comparisons", "traits") that were committed, by name."""
    metadata = _root(store).get("consolidated_metadata", {}).get("metadata", {})
    names = [n.split("/")[1] for n, node in metadata.items() if n.startswith(f"{kind}/") and n.count("/") == 1]
    return {name: metadata[f"{kind}/{name}"].get("attributes", {}) for name in names}
