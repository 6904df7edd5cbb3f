"""Open a study, and say what it knows of itself: where it lies, what made it, where its photos are, what it holds.

A study is a plain `xarray.DataTree`. Where it was opened from stands in its root's encoding, which xarray keeps through
copies and selections; everything else stands in its attrs.
"""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from finerkit.base.identity import Identity
from finerkit.base.names import resolve, slug
from finerkit.base.provenance import check_same_origin
from finerkit.base.text import plain_text, text_variable
from finerkit.photos.read import PhotoWarning
from finerkit.store import groups as disk
from finerkit.store import location as places
from finerkit.store.compact import former_of
from finerkit.store.lock import writing
from finerkit.store.schema import check_groups, check_version, telling_damage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from finerkit.networks import Model
    from finerkit.store.location import Place

#: Of a study without a head.
UNFINISHED = (
    "This study is not finished: its species head is being fitted, or that was interrupted. Wait, or run "
    "fk.analyze(...) again with the same arguments to finish it."
)

#: Variables of tables that are larger than this (logits of many photos for many species) are read when used.
SMALL_BYTES = 2**27

_TABLES = ("images", "species", "predictions")

#: Settings of the head, as the root's attrs keep them.
SETTINGS = ("head", "folds", "groups", "C", "seed")


def open_study(store: str | os.PathLike[str], *, photos: str | os.PathLike[str] | None = None) -> xr.DataTree:
    """Open a study. Small tables are in memory, features and evidence are read when used (dask).

    Rows that were removed are left out. A study that is growing, or whose growing was interrupted, opens as it was
    before; while its head is being fitted anew, it has no ``/species`` and ``/predictions``.

    Parameters
    ----------
    store
        The folder or address given to `finerkit.analyze`.
    photos
        Folder of the photos, where they were moved. Default: the folder they were read from; if that is gone, the one
        that lies as it did, seen from the store (both were moved together).

    Returns
    -------
    xarray.DataTree
        Groups ``/images``, ``/features``, ``/species``, ``/predictions``, ``/comparisons/...``, ``/traits/...``.
        ``study.finerkit`` says where it lies and what made it. Nothing is written, but for the end of a replacement
        that was killed.

    Raises
    ------
    FileNotFoundError
        If there is no store, or no folder `photos`.
    ValueError
        If it is not a finerkit study, of another version, damaged, or holds links that lead out of it.

    Warns
    -----
    PhotoWarning
        If the folder of the photos is gone.
    """
    path = places.place(store)
    mend(path)
    if not places.exists(path):
        raise FileNotFoundError(
            f"There is no study at {str(path)!r}. Make one with fk.analyze(images, store={str(path)!r})."
        )
    return open_place(path, photos)


def mend(path: Place) -> None:
    """Bring back a study whose compaction was killed in the moment when the new form was to take its place."""
    if places.is_local(path) and not path.exists() and former_of(path).exists():
        with writing(path), suppress(OSError):  # another process may have done it meanwhile
            former_of(path).rename(path)


def open_place(
    path: Place, photos: str | os.PathLike[str] | None = None, table: xr.Dataset | None = None
) -> xr.DataTree:
    """Open the study at a place; see `open_study`. `table` is its ``/images``, where they have been read just now."""
    attrs = disk.read_root(path)
    check_version(path, attrs, disk.SCHEMA_VERSION)
    if attrs.get("replacing"):  # traits, whose saving was killed
        with suppress(OSError), writing(path):  # read-only, or another process is at it
            disk.finish_replacing(path)
    with disk.quiet(), telling_damage(path):
        where = places.zarr_store(path)
        options = disk.LAZY | {"consolidated": True}
        tree = xr.open_datatree(where, engine="zarr", zarr_format=3, **options)
    groups = {node.path.strip("/"): node.to_dataset(inherit=False) for node in tree.subtree}
    groups = {name: data.drop_vars(_gone(path, name, data)) for name, data in groups.items()}
    if "images" not in groups:
        raise ValueError(f"The study {str(path)!r} was only begun: run fk.analyze(...) again with the same arguments.")
    if table is not None:
        groups["images"] = table.drop_attrs(deep=False).assign_attrs(groups["images"].attrs)
    rows = groups["images"].sizes["image"]
    groups = _tables(groups, path)
    if (groups["images"]["row"].values[-1:] >= rows).any():
        raise ValueError(
            f"{str(path)!r} was written by xarray from a study with removed rows, so its rows have other numbers. Copy "
            "the folder of that study instead, or make it anew with fk.analyze(...)."
        )
    groups["images"] = _relocated(path, groups["images"], photos)
    for name, data in groups.items():
        if name.startswith(("comparisons/", "traits/")):
            groups[name] = data.assign_attrs(store=places.text(path))
    return _tree(groups, places.text(path))


def _gone(path: Place, group: str, data: xr.Dataset) -> list[str]:
    """Variables that the root lists and the disk lacks, in a copy of a part: Zarr would read them as empty."""
    if not places.is_local(path):
        return []
    return [str(name) for name in data.variables if not (path / group / str(name)).exists()]


def _tables(groups: dict[str, xr.Dataset], path: Place | None) -> dict[str, xr.Dataset]:
    """Groups as they are worked with: small tables in memory, text as `plain_text`, without what is hidden."""
    if not groups[""].attrs.get("head_id"):  # a head that is being fitted
        groups = {name: data for name, data in groups.items() if name not in ("species", "predictions")}
    if path is not None:
        check_groups(path, groups)
    return _without_hidden_rows({name: _read(data, small=name in _TABLES) for name, data in groups.items()})


def _tree(groups: dict[str, xr.Dataset], source: str | None) -> xr.DataTree:
    tree = xr.DataTree.from_dict({f"/{name}": data for name, data in groups.items()})
    if source:
        tree.encoding["source"] = source
    return tree


def _read(data: xr.Dataset, small: bool) -> xr.Dataset:
    """Small tables in memory; text everywhere as `plain_text`."""
    if small:
        numbers = {n: v for n, v in data.data_vars.items() if v.dtype.kind != "T"}  # `plain_text` reads the others
        data = data.assign({n: v.load() for n, v in numbers.items() if v.nbytes <= SMALL_BYTES})
    return disk.indexed(plain_text(data)).drop_encoding()


def _without_hidden_rows(groups: dict[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Leave out rows that were removed, and those that were added since the head was fitted.

    The coordinate ``row`` says which row of the store each photo is.
    """
    if "row" in groups["images"].variables:  # written by xarray, from a study as it is worked with
        return groups
    status = groups["images"]["status"].values
    known = len(status)
    if "predictions" in groups:
        known = min(known, groups["predictions"].sizes["image"])
    rows = np.flatnonzero(status[:known] != disk.REMOVED)
    for name in {"images", "features", "predictions"} & set(groups):
        data = groups[name]
        if len(rows) < data.sizes["image"]:
            data = data.isel(image=rows)
        groups[name] = data.assign_coords(row=("image", rows[: data.sizes["image"]]))
    return groups


# --- where the photos are ---


def _relocated(path: Place, images: xr.Dataset, photos: str | os.PathLike[str] | None) -> xr.Dataset:
    """With paths below the folder where the photos are now."""
    root = str(images.attrs.get("root", ""))
    if photos is not None:
        folder = Path(os.path.abspath(photos))  # noqa: PTH100 - Path.absolute keeps '..' in the middle
        if not folder.is_dir():
            raise FileNotFoundError(f"There is no folder {str(folder)!r}. Expected the folder of the photos.")
        found = str(folder)
    else:
        found = photo_root(path, images.attrs)
        if found and not Path(found).exists():
            warnings.warn(
                f"The folder of this study's photos, {found!r}, is not there: numbers are complete, but photos cannot "
                f"be shown. Where they were moved: fk.open_study({str(path)!r}, photos='new/folder').",
                PhotoWarning,
                stacklevel=4,
            )
    if found == root:
        return images
    paths = [moved(str(p), root, found) for p in images["path"].values]
    return images.assign(path=text_variable(np.array(paths, object))).assign_attrs(root=found)


def photo_root(path: Place, attrs: Mapping[str, Any]) -> str:
    """Return the folder of the photos: where they were read, or where they lie as they did, seen from the store.

    Parameters
    ----------
    path
        The store.
    attrs
        Of its ``/images``.
    """
    root, beside = str(attrs.get("root", "")), str(attrs.get("root_from_store", ""))
    if not beside or not places.is_local(path) or Path(root).exists():
        return root
    folder = os.path.normpath(path.absolute().parent / beside)
    return folder if Path(folder).is_dir() else root


def moved(path: str, root: str, found: str) -> str:
    """Return a path below `root` as it is below `found`; as it is where it does not lie below `root`."""
    if root == found or not root or not path.startswith(os.path.join(root, "")):  # noqa: PTH118 - ends in a slash
        return path
    return os.path.normpath(Path(found, os.path.relpath(path, root)))


# --- what a study is, for those who use one ---


def as_study(study: xr.DataTree) -> xr.DataTree:
    """Check that this is a study, and still what lies on disk.

    Raises
    ------
    TypeError
        If it is something else, such as a path.
    ValueError
        If its store holds another head, or other photos, since it was opened.
    """
    if isinstance(study, str | os.PathLike):
        raise TypeError(f"Expected a study. Got the path {str(study)!r} instead: open it with fk.open_study(...).")
    if not isinstance(study, xr.DataTree):
        raise TypeError(f"Expected a study, from fk.analyze or fk.open_study. Got a {type(study).__name__} instead.")
    if "images" not in study.children:
        raise ValueError("This DataTree has no group 'images': expected a study, from fk.analyze or fk.open_study.")
    location = study.finerkit.location
    if location is not None and places.exists(location):
        _refuse_stale(study.finerkit.identity, location)
    if study["images"]["status"].dtype.kind != "O" or "row" not in study["images"].coords:
        return _of_plain_xarray(study)
    return study


def _of_plain_xarray(study: xr.DataTree) -> xr.DataTree:
    """A study that was opened without finerkit, as `open_study` gives it."""
    groups = {node.path.strip("/"): node.to_dataset(inherit=False) for node in study.subtree}
    return _tree(_tables(groups, None), study.encoding.get("source"))


def _refuse_stale(identity: Identity, store: Place) -> None:
    """Raise ValueError if a store holds another study, network or head than a study that was opened from it."""
    now = Identity.from_attrs(disk.read_root(store))
    part = identity.differs(now)
    if not part:
        return
    why = f"is of another {part} than the one that lies there now"
    if part == "head":
        why = "is of an earlier head: photos, labels or settings have changed since"
        if not now.head:
            why = "is of a head that is being fitted anew (or was interrupted: run fk.analyze again)"
    raise ValueError(f"This study {why}. Open the study again: study = fk.open_study({str(store)!r}).")


def study_of(data: xr.Dataset, study: xr.DataTree | None = None) -> xr.DataTree:
    """Return the study that a comparison or traits belong to: the one given, or the one that the attr ``store`` names.

    Raises
    ------
    ValueError
        If the data do not say, or were made with another head than the study has.
    """
    if study is None:
        if not data.attrs.get("store"):
            raise ValueError("This dataset does not say which study it belongs to: pass study=...")
        if not places.exists(places.place(data.attrs["store"])):
            raise FileNotFoundError(
                f"The study of this dataset is no longer at {data.attrs['store']!r}. Where it was moved: pass "
                "study=fk.open_study('new place')."
            )
        study = open_study(data.attrs["store"])
    study = as_study(study)
    if "species" not in study.children:
        raise ValueError(UNFINISHED)
    traits = "trait_evidence" in data
    call = "fk.find_traits(fk.compare(study, ...))" if traits else "fk.compare(study, ...)"
    what = "traits" if traits else "maps of a comparison"
    check_same_origin(data, study, what, f"{call}, or pass study=, the one that they are of", than="the study has now")
    return study


@xr.register_datatree_accessor("finerkit")
class StudyAccessor:
    """What a study knows of itself. Nothing is kept here: everything is read from the tree, or from its store.

    Examples
    --------
    >>> study.finerkit.identity  # doctest: +SKIP
    >>> study.finerkit.comparison("Vanessa_atalanta-vs-...")  # doctest: +SKIP
    """

    def __init__(self, tree: xr.DataTree) -> None:
        self._tree = tree

    @property
    def location(self) -> Place | None:
        """Where the study was opened from; None for one in memory."""
        source = self._tree.root.encoding.get("source")
        there = places.place(source) if source else None
        return None if there is None or (places.is_local(there) and there.is_file()) else there  # a netCDF file is none

    @property
    def store(self) -> Place | None:
        """`location`, of a store that is still there.

        Raises
        ------
        FileNotFoundError
            If it is gone.
        """
        location = self.location
        if location is not None and not places.exists(location):
            raise FileNotFoundError(
                f"The store {str(location)!r} of this study is gone. Where it was moved: fk.open_study('new place')."
            )
        return location

    @property
    def identity(self) -> Identity:
        """Which study, network and head this is."""
        return Identity.from_attrs(self._tree.root.attrs)

    @property
    def photo_root(self) -> str:
        """Folder of the photos."""
        return str(self._tree.root["images"].attrs.get("root", ""))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return int(self._tree.root.attrs["grid_rows"]), int(self._tree.root.attrs["grid_columns"])

    def comparisons(self) -> list[str]:
        """Names of the comparisons in the store that were made with this head."""
        stored = self._stored("comparisons")
        return [name for name, attrs in stored.items() if Identity.from_attrs(attrs) == self.identity]

    def comparison(self, name: str) -> xr.Dataset:
        """Read a comparison from the store; its evidence is read when used.

        Raises
        ------
        ValueError
            If there is none of this name, or it was made with another head.
        """
        found = self._get("comparisons", name, "comparison", "study.finerkit.comparisons() lists all.")
        return with_paths(study_of(found, self._tree), found)

    def traits(self) -> list[str]:
        """Names of the traits in the store, those of earlier heads too: people may have named them."""
        return list(self._stored("traits"))

    def trait(self, name: str) -> xr.Dataset:
        """Read the traits of a name from the store.

        Raises
        ------
        ValueError
            If there are none of this name.
        """
        found = self._get("traits", name, "traits", "study.finerkit.traits() lists all.").load()
        return with_paths(self._tree, found)

    def model(self, model: Model | None = None) -> Model:
        """Return the network that made the study: the one given, if it is the same, or loaded again by its name."""
        from finerkit.networks.of_study import model_of

        return model_of(self._tree, model)

    def _stored(self, kind: str) -> dict[str, dict[str, Any]]:
        """Attrs of each group of a kind, by name, as the store lists them now."""
        if self.location is not None:
            return disk.listed(self.store, kind)
        return {name: node.attrs for name, node in self._tree.root.get(kind, xr.DataTree()).children.items()}

    def _get(self, kind: str, name: str, what: str, hint: str) -> xr.Dataset:
        known = list(self._stored(kind))
        name = resolve(name if name in known else slug(name), known, what, hint)
        if self.location is None:
            return self._tree.root[kind][name].to_dataset()
        return disk.read_group(self.store, f"{kind}/{name}")


def with_paths(study: xr.DataTree, data: xr.Dataset) -> xr.Dataset:
    """A comparison or traits with their photos' paths as the study knows them now."""
    images = as_study(study)["images"].to_dataset()
    if not {"row", "path"} <= set(data.coords):
        return data
    at = dict(zip(images["row"].values.tolist(), images["path"].values, strict=True))
    paths = [at.get(row, path) for row, path in zip(data["row"].values.tolist(), data["path"].values, strict=True)]
    return data.assign_coords(path=text_variable(np.array(paths, object)))
