"""Say where a study lies, in a folder or at an address, and give what Zarr opens there.

A place is a `pathlib.Path`, or for an address such as "s3://bucket/warblers.zarr" its counterpart of universal_pathlib,
over any file system of fsspec (S3 and its like, Google Cloud, memory, ...). Both have names, parents and children; what
they do not share (object stores cannot rename, and have no folders) is here.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upath import UPath
from zarr.storage import FsspecStore, LocalStore

if TYPE_CHECKING:
    from collections.abc import Mapping

Place = Path | UPath

#: Options (of its file system) of the addresses that were given with some in this session: stores hold no credentials.
_options: dict[str, dict[str, Any]] = {}

#: Other machines write to the same bucket: what a listing said before says nothing now.
_FRESH = {"use_listings_cache": False}
_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs"})


def place(store: str | os.PathLike[str] | UPath, options: Mapping[str, Any] | None = None) -> Place:
    """Take the folder or address of a study.

    Parameters
    ----------
    store
        A local path, an address, or a ``upath.UPath``, which may have options of its file system (an endpoint,
        credentials); these are remembered for the session.
    options
        Of the file system of an address, where they are known otherwise.

    Returns
    -------
    pathlib.Path or upath.UPath

    Raises
    ------
    ValueError
        If the kind of address is not known, the package for it is not installed, or it names a whole bucket.
    """
    if isinstance(store, Path):
        return store
    address = str(store)
    if not isinstance(store, UPath) and "://" not in address:
        return Path(store)
    protocol, _, name = address.partition("://")
    if protocol in ("", "file", "local"):
        return Path(UPath(address).path)
    address = f"{protocol}://" + re.sub("/{2,}", "/", name).rstrip("/")  # one spelling, which parents and options share
    given = dict(options or {}) | (dict(store.storage_options) if isinstance(store, UPath) else {})
    if given:
        _options[address] = given
    try:
        there = UPath(address, **(_FRESH if protocol in _BUCKETS else {}) | _options.get(address, {}))
    except (ImportError, ValueError) as error:
        raise ValueError(
            f"The address {address!r} cannot be used ({error}). Expected a folder, or an address such as "
            "'s3://bucket/name.zarr' (pip install 'finerkit[s3]') or 'gs://bucket/name.zarr' ('finerkit[gcs]')."
        ) from error
    if not there.name:
        raise ValueError(f"{address!r} is a whole bucket. Expected a name in it: {address + '/name.zarr'!r}.")
    return there


def is_local(there: Place) -> bool:
    """Whether a place is a folder on a disk, or on what the operating system shows as one."""
    return isinstance(there, Path)


def text(there: Place) -> str:
    """A place as text, good in every working directory."""
    return str(there.absolute())


def options_of(there: Place) -> dict[str, Any]:
    """Options of a place's file system, for another process to give to `place`."""
    return {} if is_local(there) else {k: v for k, v in there.storage_options.items() if k not in _FRESH}


def exists(there: Place) -> bool:
    """Whether there is something at a place.

    Raises
    ------
    ConnectionError
        If an address cannot be reached.
    """
    if is_local(there):
        return there.exists()
    try:
        there.fs.info(there.path)  # `exists` of some file systems takes every failure for a no
    except FileNotFoundError:
        return False
    except Exception as error:  # whatever the file system's client raises, without credentials for example
        raise ConnectionError(
            f"The address {str(there)!r} cannot be reached ({type(error).__name__}: {error}). Expected a bucket "
            "that is there and credentials for it: in the configuration of its own tools, or as options of a "
            f"upath.UPath({str(there)!r}, ...)."
        ) from error
    return True


def zarr_store(there: Place) -> LocalStore | FsspecStore:
    """What Zarr and xarray open."""
    if is_local(there):
        return _Folder(_Root(there))
    return FsspecStore.from_url(str(there), storage_options=dict(there.storage_options))


def write_atomically(there: Place, content: bytes) -> None:
    """Write a file whole: readers see the former one or this one."""
    if not is_local(there):
        there.write_bytes(content)
        return
    there.parent.mkdir(parents=True, exist_ok=True)
    part = there.parent.with_name(f".{there.parent.name}.{there.name}")  # beside the folder, which has to stay clean
    part.write_bytes(content)
    part.replace(there)


def remove(there: Place) -> None:
    """Remove a folder and all in it, where it exists."""
    if is_local(there):
        shutil.rmtree(there, ignore_errors=True)
    elif exists(there):
        there.fs.rm(there.path, recursive=True)


def rename_or_copy(source: Place, target: Place) -> None:
    """Give a folder another name on the same file system, where there is nothing yet.

    On a disk in one step; in a bucket, where nothing can be renamed, by a copy.
    """
    if is_local(source):
        source.rename(target)
    else:
        files = source.fs.find(source.path)
        source.fs.copy(files, [target.path + file[len(source.path) :] for file in files])


# --- links ---


def inside(store: Place, key: str) -> Place:
    """A file or folder of a store.

    Raises
    ------
    ValueError
        If a link on the way leads out of the store. Addresses have no links.
    """
    there = store / key
    if is_local(store) and not Path(os.path.realpath(there)).is_relative_to(os.path.realpath(store)):
        raise ValueError(
            f"{str(store)!r} holds a link that leads out of it, on the way to {key!r}: it is not followed. Expected a "
            "folder that holds all of the study. If you made the link, put what it leads to in its place."
        )
    return there


class _Root(type(Path())):
    """A folder whose files are asked for as `inside` does, which is how Zarr's store comes to all of its own."""

    def __truediv__(self, key: str) -> Path:
        return inside(Path(self), key)


class _Folder(LocalStore):
    """A folder as Zarr sees it, in which no link that leads out of it is followed."""

    def __dask_tokenize__(self) -> tuple[str, int]:
        return str(self), (Path(self.root) / "zarr.json").stat().st_mtime_ns  # as xarray does for paths
