"""Where a study lies: a folder or an address enters; what Zarr opens, and folders put in place of others, leave.

A place is a `pathlib.Path`, or for an address such as "s3://bucket/warblers.zarr" its counterpart of universal_pathlib,
over any file system of fsspec (S3 and its like, Google Cloud, memory, ...). Both have names, parents and children; what
they do not share (object stores cannot rename, and have no folders) is here.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upath import UPath
from zarr.storage import FsspecStore

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

Place = Path | UPath

#: Options (of its file system) of the addresses that were given with some in this session: stores hold no credentials.
_options: dict[str, dict[str, Any]] = {}

#: Other machines write to the same bucket: what a listing said before says nothing now.
_FRESH = {"use_listings_cache": False}
_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs"})

#: Endings of the names, after a dot and the name of a place, of what lies beside it while it is replaced.
_FORMER, _NOTE = ".former", ".replaced-by"


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


def zarr_store(there: Place) -> Path | FsspecStore:
    """What Zarr and xarray open."""
    if is_local(there):
        return there
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


def scratch(there: Place) -> Path:
    """A local folder for unnamed files that go with the process; beside the study where it is local, for the room."""
    return there.parent if is_local(there) else Path(tempfile.gettempdir())


def remove(there: Place) -> None:
    """Remove a folder and all in it, where it exists."""
    if is_local(there):
        shutil.rmtree(there, ignore_errors=True)
    elif exists(there):
        there.fs.rm(there.path, recursive=True)


def clear(part: Place, there: Place) -> None:
    """Remove what was made to take a place, unless it is still needed to `recover` it."""
    if is_local(there) or not is_between(there):
        remove(part)


def copy(source: Place, target: Place) -> None:
    """Copy a folder to a place on the same file system where there is none."""
    if is_local(source):
        shutil.copytree(source, target)
        return
    files = source.fs.find(source.path)
    source.fs.copy(files, [target.path + name[len(source.path) :] for name in files])


# --- one folder in the place of another ---


def replace(part: Place, there: Place) -> None:
    """Put a folder in the place of another, or where there is none, whole; `recover` ends what was interrupted.

    It comes from beside that place, or deeper. On a disk both are renamed. Where nothing can be renamed, `part` is
    copied, while a note says so; until the note is gone the place is not to be read.
    """
    if not is_local(there):
        _note(there).write_text(part.path.removeprefix(there.parent.path).strip("/"), encoding="utf-8")
        _copy_over(there)
        return
    former = _former(there)
    if there.exists():
        remove(former)
        there.rename(former)
    try:
        part.rename(there)
    except OSError:
        if former.exists():
            former.rename(there)
        raise
    shutil.rmtree(former, ignore_errors=True)


def is_between(there: Place) -> bool:
    """Whether a `replace` was interrupted, or is going on, so that a place must not be read."""
    return _former(there).exists() and not there.exists() if is_local(there) else exists(_note(there))


def interrupted(folder: Place) -> list[Place]:
    """Places in a folder where a `replace` was interrupted, or is going on."""
    ending = _FORMER if is_local(folder) else _NOTE
    names = {left.name.removeprefix(".").removesuffix(ending) for left in folder.glob(f".?*{ending}")}
    return [folder / name for name in sorted(names - {"", ".", ".."})]


def recover(there: Place) -> None:
    """Finish or undo a `replace` that was interrupted. Only one process may do so at a time."""
    if is_local(there):
        former = _former(there)
        if former.exists() and not there.exists():
            former.rename(there)
        remove(former)
    elif exists(_note(there)):
        _copy_over(there)


def _copy_over(there: Place) -> None:
    """Do what the note beside a place says; doing it again does no harm."""
    part = _named_in(_note(there))
    if not exists(part):
        raise FileNotFoundError(
            f"{str(part)!r} is gone, which was to take the place of {str(there)!r}. If what is there is right, remove "
            f"{str(_note(there))!r}."
        )
    remove(there)
    copy(part, there)
    _note(there).unlink()
    remove(part)


def _named_in(note: Place) -> Place:
    """The place that a note names, which is somewhere under the note's own folder."""
    names = note.read_text(encoding="utf-8").split("/")
    if not all(names) or {".", ".."} & set(names):
        raise ValueError(f"{str(note)!r} was not written by finerkit: remove it.")
    return note.parent.joinpath(*names)


def _former(there: Place) -> Place:
    return there.with_name(f".{there.name}{_FORMER}")


def _note(there: Place) -> Place:
    return there.with_name(f".{there.name}{_NOTE}")
