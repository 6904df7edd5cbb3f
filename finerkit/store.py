"""Studies on disk: arrays and datasets enter, chunk by chunk; a Zarr store that any xarray opens leaves.

One image chunk is one file per array. A file is written whole or not at all (the store's writes are atomic), and
``/images/status`` of its photos turns from "pending" last, so a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import ZstdCodec

from finerkit import places
from finerkit._version import __version__
from finerkit.lock import check_held, writing
from finerkit.pairs import TEXTS, plain_text, text_variable
from finerkit.trust import check_groups, check_version, refuse_links, telling_damage

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from finerkit.places import Place

#: Raised whenever the layout of a store changes in a way that older code cannot read.
SCHEMA_VERSION = 1

#: Photos per chunk of arrays. A feature map of 14 x 14 x 1280 in float16 makes chunks of 16 MB before compression.
CHUNK = 32

PENDING = "pending"

#: Variables of tables that are larger than this (logits of many photos for many species) are read when used.
SMALL_BYTES = 2**27

_COMPRESSION = ZstdCodec(level=1)

#: Options of opening a store; indexes of text as Zarr keeps it would take several times its memory.
_LAZY = {"chunks": {}, "consolidated": False, "create_default_indexes": False}


def provenance(**more: Any) -> dict[str, Any]:
    """Attrs that say what made a dataset: versions and date (UTC), and `more`."""
    stamp = {
        "finerkit_version": __version__,
        "schema_version": SCHEMA_VERSION,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return stamp | more


def open_study(store: str | os.PathLike[str]) -> xr.DataTree:
    """Open a study. Small tables are in memory, features and evidence are read when used (dask).

    Parameters
    ----------
    store
        The folder or address given to `finerkit.analyze`.

    Returns
    -------
    xarray.DataTree
        Groups as DESIGN describes them: ``/images``, ``/features``, ``/species``, ``/predictions``,
        ``/comparisons/...``. ``xarray.open_datatree(store)`` gives the same.

    Raises
    ------
    FileNotFoundError
        If there is no store.
    ValueError
        If it is not a finerkit study, of a newer version, damaged, or holds links that lead out of it.
    """
    path = places.place(store)
    mend(path)
    if not places.exists(path):
        raise FileNotFoundError(
            f"There is no study at {str(path)!r}. Make one with fk.analyze(images, store={str(path)!r})."
        )
    return open_place(path)


def open_place(path: Place, like: xr.Dataset | None = None) -> xr.DataTree:
    """Open the study at a place; text that is the same in `like`, its photos as they are in memory, is not read twice.

    Raises
    ------
    ValueError
        See `open_study`.
    """
    attrs = read_root(path)
    check_version(path, attrs, SCHEMA_VERSION)
    refuse_links(path)
    between = {traits.name for traits in _recover_traits(path)}
    with _quiet(), telling_damage(path):  # zarr also notes folders that an interruption left without metadata
        where = places.zarr_store(path)
        tree = xr.open_datatree(where, engine="zarr", zarr_format=3, **_LAZY)
    if attrs.get("complete") is False:
        for group in {"species", "predictions"} & set(tree.children):
            del tree[group]  # a head that was being fitted, perhaps half written
    check_groups(path, tree)
    tree.encoding["source"] = places.text(path)
    for kind in ("comparisons", "traits"):
        for name, node in list(tree[kind].children.items()) if kind in tree.children else []:
            undone = name in between if kind == "traits" else not node.attrs.get("complete")
            if undone or name.startswith("."):
                del tree[kind][name]  # interrupted: asked again, it is computed again
            else:
                node.attrs["study"] = places.text(path)
    return _plain_tree(tree, like)


def mend(path: Place) -> None:
    """Finish or undo the replacement of a study that a killed process left half done."""
    if places.is_between(path):
        with writing(path):
            places.recover(path)


def _recover_traits(path: Place) -> list[Place]:
    """Bring back traits that a process was replacing when it was killed; returns those that cannot be read yet."""
    if left := places.interrupted(path / "traits"):
        with suppress(OSError), writing(path):  # read-only, or somebody is at it: the others can be read
            for traits in left:
                places.recover(traits)
    return [traits for traits in left if places.is_between(traits)]


def _plain_tree(tree: xr.DataTree, like: xr.Dataset | None = None) -> xr.DataTree:
    """Small tables in memory, text everywhere as `plain_text`, which takes what is the same from `like`."""
    known = {} if like is None else {str(n): v.values for n, v in like.variables.items() if v.dtype == object}
    for node in tree.subtree:
        small = node.path.strip("/") in {"images", "species", "predictions"}
        data = node.to_dataset(inherit=False)
        if small and any(v.chunks for v in data.variables.values()):
            numbers = {n: v for n, v in data.data_vars.items() if v.dtype.kind != "T"}  # `plain_text` reads the others
            data = data.assign({n: v.load() for n, v in numbers.items() if v.nbytes <= SMALL_BYTES})
        if small or _unindexed(data) or any(v.dtype.kind == "T" for v in data.variables.values()):
            node.dataset = _indexed(plain_text(data, known))
    return tree


def _indexed(data: xr.Dataset) -> xr.Dataset:
    """With the indexes that `_LAZY` leaves out."""
    return data.assign_coords({name: data.variables[name] for name in _unindexed(data)})


def _unindexed(data: xr.Dataset) -> list[str]:
    return [str(name) for name in data.dims if name in data.coords and name not in data.xindexes]


def read_group(store: Place, group: str, *only: str) -> xr.Dataset:
    """Read one group, or `only` some of its variables, lazily but for text, which is read now, as `plain_text`.

    The attr ``study`` says where it came from (it is not stored).
    """
    data = _stored(store, group)
    data = _indexed(plain_text(data[[name for name in only if name in data]] if only else data))
    return data.assign_attrs(study=places.text(store))


def read_text(store: Place, group: str, name: str) -> np.ndarray:
    """One text variable of a group (objects), without its coordinates."""
    return _values(_stored(store, group), name)


def _stored(store: Place, group: str) -> xr.Dataset:
    return xr.open_zarr(places.zarr_store(store), group=group, **_LAZY)


def _values(data: xr.Dataset, name: str) -> np.ndarray:
    return plain_text(data[[name]].reset_coords(drop=True))[name].values


def as_study(study: xr.DataTree | str | os.PathLike[str]) -> xr.DataTree:
    """Take a study or the path of one."""
    if isinstance(study, xr.DataTree):
        if "images" not in study.children:
            raise ValueError("This DataTree has no group 'images': expected a study, from fk.analyze or fk.open_study.")
        return _plain_tree(study)
    if isinstance(study, xr.Dataset | xr.DataArray):
        raise TypeError(
            f"Expected a study (fk.analyze, fk.open_study) or its path. Got a {type(study).__name__} instead."
        )
    return open_study(study)


def study_of(data: xr.Dataset, study: xr.DataTree | str | os.PathLike[str] | None) -> xr.DataTree:
    """The study that a comparison or traits belong to: the one given, or the one that the attr ``study`` names."""
    if study is not None:
        return as_study(study)
    path = data.attrs.get("study")
    if not path:
        raise ValueError("This dataset does not say which study it belongs to: pass study=...")
    return open_study(path)


def store_of(study: xr.DataTree) -> Place | None:
    """Where a study was opened from, or None."""
    source = study.root.encoding.get("source")
    if not source:
        return None
    path = places.place(source)
    if not places.exists(path):
        raise FileNotFoundError(
            f"The store {source!r} of this study is gone. Where it was moved: fk.open_study('new place')."
        )
    return path.absolute()


def write_group(store: Place, group: str, data: xr.Dataset, **attrs: Any) -> None:
    """Write a small dataset as a whole group, replacing it."""
    data = data.copy()
    data.attrs = provenance(**data.attrs) | attrs
    data.attrs.pop("study", None)
    _write(store, group, data)


def add_to_group(store: Place, group: str, data: xr.Dataset, **attrs: Any) -> None:
    """Add variables and attrs to a group whose larger arrays are there already."""
    stamp = provenance(**data.attrs) if data.attrs else {}
    data = data.drop_vars(data.coords).assign_attrs(stamp | attrs)
    _write(store, group, data, mode="a")


class ChunkedGroup:
    """Arrays over ``image`` that are filled chunk by chunk.

    Parameters
    ----------
    store, group
        Where.
    dims
        For each array its other dims with their sizes, in order.
    dtypes
        For each array its type.
    images
        Ids along ``image``.
    coords
        Other coordinates.
    units
        For some arrays their units.
    attrs
        Of the group.
    resume
        Keep arrays that are there.
    chunk
        Photos per chunk.
    """

    def __init__(
        self,
        store: Place,
        group: str,
        dims: Mapping[str, Mapping[str, int]],
        dtypes: Mapping[str, str],
        images: np.ndarray,
        coords: Mapping[str, Any] | None = None,
        units: Mapping[str, str] | None = None,
        attrs: Mapping[str, Any] | None = None,
        resume: bool = False,
        chunk: int = CHUNK,
    ) -> None:
        if not resume:
            write_group(
                store, group, xr.Dataset(coords={"image": text_variable(images), **(coords or {})}), **(attrs or {})
            )
        handle = _group(store, group)
        self._arrays = {}
        for name, others in dims.items():
            if resume and name in handle:
                self._arrays[name] = handle[name]
                continue
            self._arrays[name] = handle.create_array(
                name,
                shape=(len(images), *others.values()),
                chunks=(min(chunk, len(images)), *others.values()),
                dtype=dtypes[name],
                dimension_names=("image", *others),
                fill_value=np.nan,
                compressors=[_COMPRESSION],
                attributes={"units": units[name]} if units and name in units else {},
                overwrite=True,
            )
        # Zarr would look through each chunk for any value but NaN, in float16 for longer than it takes to compress it.
        self._arrays = {name: array.with_config({"write_empty_chunks": True}) for name, array in self._arrays.items()}

    @classmethod
    def existing(cls, store: Place, group: str) -> ChunkedGroup:
        """The arrays that a group already has."""
        handle = _group(store, group)
        names = [name for name, array in handle.arrays() if array.ndim > 1]
        return cls(store, group, {name: {} for name in names}, {}, np.empty(0), resume=True)

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
        """Write one chunk, beginning at image `start`, of every array named."""
        for name, value in values.items():
            self._arrays[name][start : start + len(value)] = value


def write_status(store: Place, start: int, status: np.ndarray, group: str = "images") -> None:
    """Write the status of one chunk of photos; this is what makes the chunk count as done.

    Only one thread of one process may do so: its file holds the status of other chunks too.
    """
    check_held(store)
    handle = _group(store, group)
    handle["status"][start : start + len(status)] = status.astype(np.dtypes.StringDType())


def make_group(store: Place, group: str) -> None:
    """Make a group where there is none yet."""
    _group(store, group, mode="a")


def mark_complete(store: Place, group: str) -> None:
    """Say in the attrs of a group that all of it is there."""
    _group(store, group).attrs.update(complete=True)


def update_images(store: Place, images: xr.Dataset) -> None:
    """Bring ``/images`` up to date with what is known now of the same photos: where they are, columns of the table."""
    fresh = changed_columns(store, images)
    if fresh:
        add_to_group(store, "images", images[fresh].drop_attrs(deep=False))
        finish(store)


def changed_columns(store: Place, images: xr.Dataset) -> list[str]:
    """Names of what is known of photos now and was not, or otherwise, when they were written; not of the status."""
    kept = _stored(store, "images")

    def differs(name: str) -> bool:  # one at a time in memory
        return name not in kept.data_vars or not np.array_equal(_values(kept, name), images[name].values)

    return [str(name) for name in images.data_vars if name != "status" and differs(str(name))]


def write_root(store: Place, **attrs: Any) -> None:
    """Write the attrs of the whole study."""
    handle = zarr.open_group(places.zarr_store(store), mode="a", zarr_format=3)
    handle.attrs.update(provenance(**attrs))


def set_head(store: Place, settings: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Prepare a study for another head on the same features: what was computed with the former head goes.

    Traits stay, since people name and edit them; their attrs say when and from what they were made.
    """
    write_root(store, **settings, identity=dict(identity), complete=False)
    handle = _group(store)
    for group in ("comparisons", "predictions", "species"):
        if group in handle:
            del handle[group]


def finish(store: Place) -> None:
    """Gather all metadata in one place, so that opening the store is quick."""
    with _quiet():
        zarr.consolidate_metadata(places.zarr_store(store))


def read_root(store: Place) -> dict[str, Any]:
    """Attrs of the whole study; empty if there is no store there."""
    try:
        return dict(_group(store, mode="r").attrs)
    except (FileNotFoundError, ValueError, KeyError):
        return {}


def _group(store: Place, group: str = "", mode: str = "r+") -> zarr.Group:
    """A group as Zarr sees it, by its own metadata: the consolidated ones may be older."""
    return zarr.open_group(places.zarr_store(store), path=group, mode=mode, zarr_format=3, use_consolidated=False)


def _write(store: Place, group: str, data: xr.Dataset, mode: str = "w") -> None:
    """Write a dataset as a group, by default in the place of what is there; text in chunks of `TEXTS`."""
    data = _storable(data)
    there = set(_group(store, group).array_keys()) if mode == "a" else set()  # these have their chunks
    texts = {str(n): v.shape for n, v in data.variables.items() if v.dtype == object and v.ndim and v.size}
    encoding = {n: {"chunks": (min(TEXTS, s[0]), *s[1:])} for n, s in texts.items() if n not in there}
    with _quiet():
        data.to_zarr(
            places.zarr_store(store), group=group, zarr_format=3, consolidated=False, mode=mode, encoding=encoding
        )


def _storable(data: xr.Dataset) -> xr.Dataset:
    """Without what a former file said about storage; text of fixed width, which Zarr does not specify, of any width."""
    fixed = {n: v.astype(object) for n, v in data.variables.items() if v.dtype.kind == "U"}
    data = data.assign_coords({n: v for n, v in fixed.items() if n in data.coords}).assign(
        {n: v for n, v in fixed.items() if n not in data.coords}
    )
    return data.drop_encoding()


def _quiet() -> warnings.catch_warnings:
    """Silence zarr's note that consolidated metadata is an extension; every reader may ignore it."""
    return warnings.catch_warnings(action="ignore", category=zarr.errors.ZarrUserWarning)
