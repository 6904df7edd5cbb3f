"""List the photos of a folder or a table in a Dataset with one entry per photo, readable or not."""

from __future__ import annotations

import contextlib
import os
import posixpath
import unicodedata
import warnings
from itertools import count
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from finerkit._version import __version__
from finerkit.base.labels import as_text
from finerkit.base.names import choice, listed
from finerkit.base.text import text_variable
from finerkit.photos.decode import MAX_PIXELS, Look, checksum, fingerprint, look_at, quiet_pillow
from finerkit.photos.duplicates import duplicate_of, warn_duplicates
from finerkit.photos.tables import read_table, table_entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Files that a thread takes at once.
_AT_ONCE = 16

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "icon\r"})


class PhotoWarning(UserWarning):
    """Some photos could not be used; the message counts and names them, `status` says why."""


def read_images(
    source: str | os.PathLike[str] | pd.DataFrame,
    table: str | os.PathLike[str] | pd.DataFrame | None = None,
    *,
    species: str | None = None,
    path: str | None = None,
    root: str | os.PathLike[str] | None = None,
    check: str = "decode",
    max_pixels: int = MAX_PIXELS,
    progress: bool = True,
) -> xr.Dataset:
    """List the photos of a study and look at every file once.

    Parameters
    ----------
    source
        One of: a folder that holds one folder per species (photos may lie deeper inside it); a flat folder, with
        `table` or unlabelled; a table alone (CSV, TSV or Parquet file, or a pandas DataFrame).
    table
        Table with one row per photo of the folder `source`.
    species, path
        Names of the table's columns with the species and with the file (relative to the folder, or to the table's own
        folder). By default they are recognised: Darwin Core's ``scientificName``, or ``species``, ``taxon``, ``label``,
        ``class``; and ``path``, ``file``, ``filename``, ``image``, ... in any case. Every other column is kept as
        metadata along ``image``, as ``table_...`` where its name is taken (in any case).
    root
        Folder that a table's paths are relative to, where it is not the table's own.
    check
        How much of every file is read. "decode": all of it, so that truncated photos are found now, and a change of any
        byte is noticed when a study is made again. "header": the size and a few samples, which is quicker on large
        collections (broken photos are then found, and recorded, by `finerkit.analyze`; a change of a file that keeps
        its size and falls between the samples is not noticed).
    max_pixels
        Larger photos are left out.
    progress
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        Dim ``image``, a text id that is the same on every machine (path relative to the root, with forward slashes).
        Variables ``species`` ("" where unknown), ``path`` (absolute), ``width`` and ``height`` (pixels, upright, that
        is after EXIF rotation), ``status`` ("ok" or why the photo cannot be used),
        ``fingerprint`` (of the file's size and samples), ``sha256`` (of all its bytes, for "decode"), ``duplicate_of``
        (the first photo of the list with the same bytes, "" for photos that are no copy), ``file`` (the path that the
        id was made of, which several rows may share) and the table's other columns.
        Unreadable photos and copies stay in the Dataset. Nothing is written.

    Raises
    ------
    FileNotFoundError
        If `source` or `table` does not exist.
    ValueError
        If there is no photo, or a table's columns are not recognised.

    Warns
    -----
    PhotoWarning
        Once, if some photos cannot be used.
    DuplicateWarning
        Once, naming the pairs, if the same file is there under two species: at least one label is wrong.

    Examples
    --------
    >>> images = fk.read_images("photos/")  # doctest: +SKIP
    >>> images = fk.read_images("photos/", "specimens.csv", species="scientificName")  # doctest: +SKIP
    """
    choice(check, ("decode", "header"), "check")
    base, entries = _entries(source, table, species, path, root)
    if not len(entries):
        raise ValueError(
            f"No photo found in {str(base)!r}: expected one folder per species with photos in it, or a table with one "
            "row per photo."
        )
    files = [_storable(unicodedata.normalize("NFC", _portable(base, i))) for i in entries.pop("image")]
    ids = _unique_ids(files)
    paths = [_located(base, p) for p in entries.pop("path")]
    seen = _look_at_all(paths, check, max_pixels, progress)
    variables = {
        "species": [_storable(unicodedata.normalize("NFC", s)) for s in entries.pop("species")],
        "path": [_storable(p) for p in paths],
        **seen,
        "file": files,
        **{name: column(entries[name]) for name in entries},
    }
    variables = {name: _variable(values) for name, values in variables.items()}
    images = xr.Dataset(variables, {"image": _variable(ids)})
    images.attrs = {"root": _storable(str(base)), "finerkit_version": __version__}
    images["width"].attrs = images["height"].attrs = {"units": "pixel", "comment": "upright, after EXIF rotation"}
    images["status"].attrs = {"comment": "ok, or why the photo cannot be used"}
    images["duplicate_of"] = text_variable(duplicate_of(images), attrs={"comment": "first photo with the same bytes"})
    warn_unusable(images)
    warn_duplicates(images)
    return images


def usable(images: xr.Dataset) -> np.ndarray:
    """Boolean (image,): which photos have status "ok"."""
    return np.asarray(images["status"].values == "ok", dtype=bool)


def warn_unusable(images: xr.Dataset, what: str = "cannot be read and are left out") -> None:
    """Count and name, in one `PhotoWarning`, the photos whose status is not "ok"."""
    bad = np.flatnonzero(~usable(images))
    if not len(bad):
        return
    named = [f"{images.image.values[i]} ({images.status.values[i]})" for i in bad[:5]]
    warnings.warn(
        f"{len(bad)} of {images.sizes['image']} photos {what}: {listed(named, len(bad), '; ')}. "
        "The reasons are in the variable 'status'.",
        PhotoWarning,
        stacklevel=3,
    )


# --- which files there are ---


def _entries(
    source: str | os.PathLike[str] | pd.DataFrame,
    table: str | os.PathLike[str] | pd.DataFrame | None,
    species: str | None,
    path: str | None,
    root: str | os.PathLike[str] | None,
) -> tuple[Path, pd.DataFrame]:
    """Return the root folder and a frame with the columns image, path, species and the user's own."""
    if not isinstance(source, pd.DataFrame) and not Path(source).exists():
        raise FileNotFoundError(
            f"{str(source)!r} does not exist (looked in {str(Path.cwd())!r}). Expected a folder of photos or a "
            "table of them."
        )
    if isinstance(source, pd.DataFrame) or not Path(source).is_dir():
        if table is not None:
            raise ValueError(
                "`table` describes the photos of a folder, and `source` is itself a table: "
                "read_images(folder, table) or read_images(table, root=folder)."
            )
        table, base = source, root or ("." if isinstance(source, pd.DataFrame) else Path(source).parent)
    else:
        base = source
        if root is not None:
            raise ValueError(
                "`root` goes with a table alone; beside a folder, the table's paths are relative to the folder."
            )
    base = _absolute(base)
    if table is None:
        if species is not None or path is not None:
            raise ValueError(
                "`species` and `path` name columns of a table, and no table was given: "
                f"read_images({str(source)!r}, 'table.csv', species=..., path=...)."
            )
        return base, _walk(base)
    frame = table if isinstance(table, pd.DataFrame) else read_table(Path(table), path, species)
    return base, table_entries(frame, species, path)


def _absolute(folder: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(folder))  # noqa: PTH100 - Path.absolute keeps '..' in the middle


def _walk(base: Path) -> pd.DataFrame:
    """List every file below `base` but hidden ones; the first folder on the way is the species."""
    rows = []
    for relative in sorted(_files(base)):
        parts = relative.split("/")
        rows.append((relative, relative, parts[0] if len(parts) > 1 else ""))
    return pd.DataFrame(rows, columns=["image", "path", "species"], dtype=object)


def _files(base: Path) -> Iterator[str]:
    """Relative paths of the files below `base`, following links to folders but never twice into the same one.

    Links wait until all real folders are listed, so that a photo belongs to the species in whose folder it really lies.
    """
    seen: set[str] = set()
    closed: list[OSError] = []
    waiting = [str(base)]
    while waiting:
        for folder, folders, files in os.walk(waiting.pop(0), onerror=closed.append):
            real = os.path.realpath(folder)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            if "zarr.json" in files:  # a study that was put among the photos
                folders.clear()
                continue
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            waiting += [str(link) for f in folders if (link := Path(folder, f)).is_symlink()]
            for file in files:
                if not file.startswith(".") and file.casefold() not in _SYSTEM_FILES:
                    yield Path(folder, file).relative_to(base).as_posix()
    for error in closed:  # a folder that may not be listed is reported in place of its photos
        yield Path(error.filename).relative_to(base).as_posix()


def _portable(base: Path, path: str) -> str:
    """The path relative to `base`, with forward slashes, however a table wrote it; absolute only if outside `base`."""
    file = Path(path)
    if file.is_absolute():
        file = _absolute(file)
        path = str(file.relative_to(base) if file.is_relative_to(base) else file)
    return posixpath.normpath(path.replace("\\", "/"))


def _located(base: Path, path: str) -> str:
    """The absolute path, in the spelling that exists: tables come from systems with other slashes and accents."""
    for slashes in (path, path.replace("\\", "/")):
        for spelling in (slashes, unicodedata.normalize("NFC", slashes), unicodedata.normalize("NFD", slashes)):
            if os.path.lexists(base / spelling):
                return os.path.normpath(base / spelling)
    return os.path.normpath(base / path)


def _unique_ids(ids: Iterable[str]) -> list[str]:
    """Ids of files; a repeated one gets '#2', '#3', ... so that selecting by id stays unambiguous."""
    ids = list(ids)
    taken, unique = set(ids), []
    numbers: dict[str, Iterator[int]] = {}
    for text in ids:
        free = text
        if text in numbers:
            free = next(name for n in numbers[text] if (name := f"{text}#{n}") not in taken)
            taken.add(free)
        else:
            numbers[text] = count(2)
        unique.append(free)
    return unique


def _storable(text: str) -> str:
    """Text that can be written as UTF-8; undecodable bytes of a file name are shown escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def column(values: pd.Series) -> np.ndarray:
    """Return a column of a table as an array of its own: numbers, booleans and dates as such, the rest as text."""
    gaps = bool(values.isna().any())
    if pd.api.types.is_bool_dtype(values):
        if not gaps:
            return values.to_numpy(bool, copy=True)
    elif pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(np.float64, na_value=np.nan, copy=True) if gaps else values.to_numpy(copy=True)
    elif pd.api.types.is_datetime64_any_dtype(values):
        naive = values.dt.tz_convert("UTC").dt.tz_localize(None) if values.dt.tz is not None else values
        with contextlib.suppress(pd.errors.OutOfBoundsDatetime):  # before 1678, the dates stay text
            return naive.astype("datetime64[ns]").to_numpy(copy=True)
    return np.array([_storable(as_text(v)) for v in values.astype(object)], object)


def _variable(values: np.ndarray | list[str]) -> xr.Variable:
    values = np.asarray(values, object if isinstance(values, list) else None)
    return text_variable(values) if values.dtype == object else xr.Variable("image", values)


def _look_at_all(paths: list[str], check: str, max_pixels: int, progress: bool) -> dict[str, Any]:
    """What was found in each file, as columns; the checksum only where all of it is read."""

    def examine(path: str) -> dict[str, Any]:
        found = _look(path, check, max_pixels)._asdict() | {"fingerprint": fingerprint(path)}
        return found | {"sha256": checksum(path)} if check == "decode" else found

    with quiet_pillow(), ThreadPool(min(8, os.cpu_count() or 1)) as pool:
        found = pool.imap(examine, paths, _AT_ONCE)
        rows = list(tqdm(found, "looking at photos", len(paths), unit="photo", disable=not progress, delay=1))
    sizes = {name: np.array([row.pop(name) for row in rows], np.int64) for name in ("width", "height")}
    return sizes | {name: [row[name] for row in rows] for name in rows[0]}


def _look(path: str, check: str, max_pixels: int) -> Look:
    if _storable(path) != path:
        return Look("the file's name is not valid UTF-8: rename it", 0, 0)
    return look_at(path, check, max_pixels)
