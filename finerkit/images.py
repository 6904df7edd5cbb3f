"""Photos: a folder or a table enters; a Dataset with one entry per photo, readable or not, leaves. No pixels are kept."""

from __future__ import annotations

import os
import unicodedata
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from finerkit._version import __version__
from finerkit.image_tables import read_table, table_entries
from finerkit.names import choice
from finerkit.photo import MAX_PIXELS, Look, look_at, quiet_pillow

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        metadata along ``image``.
    root
        Folder that a table's paths are relative to, where it is not the table's own.
    check
        "decode" reads every file to its end, so that truncated photos are found now; "header" reads only the size,
        which is quicker on large collections (broken photos are then found, and recorded, by `finerkit.analyze`).
    max_pixels
        Larger photos are left out.
    progress
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        Dim ``image``, a text id that is the same on every machine (path relative to the root, with forward slashes).
        Variables ``species`` ("" where unknown), ``path`` (absolute), ``width`` and ``height`` (pixels, upright, that
        is after EXIF rotation), ``status`` ("ok" or why the photo cannot be used) and the table's other columns.
        Unreadable photos stay in the Dataset. Nothing is written.

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

    Examples
    --------
    >>> images = fk.read_images("photos/")  # doctest: +SKIP
    >>> images = fk.read_images("photos/", "specimens.csv", species="scientificName")  # doctest: +SKIP
    """
    choice(check, ("decode", "header"), "check")
    base, entries = _entries(source, table, species, path, root)
    if not len(entries):
        raise ValueError(f"No photo found in {str(base)!r}: expected one folder per species with photos in it.")
    ids = _unique_ids(entries.pop("id"))
    paths = [os.path.normpath(base / p) for p in entries.pop("path")]
    looks = _look_at_all(paths, check, max_pixels, progress)
    variables = {
        "species": ("image", np.array([unicodedata.normalize("NFC", s) for s in entries.pop("species")], object)),
        "path": ("image", np.array([_storable(p) for p in paths], object)),
        "width": ("image", np.array([look.width for look in looks], np.int64)),
        "height": ("image", np.array([look.height for look in looks], np.int64)),
        "status": ("image", np.array([look.status for look in looks], object)),
    }
    for name in entries:
        free = name if name not in {*variables, "image"} else f"table_{name}"
        variables[free] = ("image", _column(entries[name]))
    images = xr.Dataset(variables, {"image": np.array(ids, object)})
    images.attrs = {"root": _storable(str(base)), "finerkit_version": __version__}
    images["width"].attrs = images["height"].attrs = {"units": "pixel", "comment": "upright, after EXIF rotation"}
    images["status"].attrs = {"comment": "ok, or why the photo cannot be used"}
    warn_unusable(images)
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
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    warnings.warn(
        f"{len(bad)} of {images.sizes['image']} photos {what}: {'; '.join(named)}{more}. "
        "The reasons are in the variable 'status'.",
        PhotoWarning,
        stacklevel=3,
    )


# --- which files there are ---------------------------------------------------------------------------------------------


def _entries(
    source: str | os.PathLike[str] | pd.DataFrame,
    table: str | os.PathLike[str] | pd.DataFrame | None,
    species: str | None,
    path: str | None,
    root: str | os.PathLike[str] | None,
) -> tuple[Path, pd.DataFrame]:
    """Return the root folder and a frame with the columns id, path, species and the user's own."""
    if isinstance(source, pd.DataFrame):
        return Path(root or ".").absolute(), table_entries(source, species, path)
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"{str(source)!r} does not exist. Expected a folder of photos or a table of them.")
    if source.is_dir():
        base = source.absolute()
        if table is not None:
            frame = table if isinstance(table, pd.DataFrame) else read_table(Path(table), path, species)
            return base, table_entries(frame, species, path)
        return base, _walk(base)
    return Path(root or source.parent).absolute(), table_entries(read_table(source, path, species), species, path)


def _walk(base: Path) -> pd.DataFrame:
    """List every file below `base` but hidden ones; the first folder on the way is the species."""
    rows = []
    for relative in sorted(_files(base)):
        parts = relative.split("/")
        rows.append((relative, relative, parts[0] if len(parts) > 1 else ""))
    return pd.DataFrame(rows, columns=["id", "path", "species"], dtype=object)


def _files(base: Path) -> Iterator[str]:
    """Relative paths of the files below `base`, following links to folders but never twice into the same one."""
    seen: set[str] = set()
    for folder, folders, files in os.walk(base, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in files:
            if not file.startswith(".") and file.casefold() not in _SYSTEM_FILES:
                yield Path(folder, file).relative_to(base).as_posix()


def _unique_ids(ids: pd.Series) -> list[str]:
    """NFC text ids; a repeated one gets '#2', '#3', ... so that selecting by id stays unambiguous."""
    count: dict[str, int] = {}
    unique = []
    for raw in ids:
        text = _storable(unicodedata.normalize("NFC", str(raw)).replace("\\", "/"))
        count[text] = count.get(text, 0) + 1
        unique.append(text if count[text] == 1 else f"{text}#{count[text]}")
    return unique


def _storable(text: str) -> str:
    """Text that can be written as UTF-8; undecodable bytes of a file name are shown escaped."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _column(values: pd.Series) -> np.ndarray:
    """A metadata column as an array that xarray can store: numbers, booleans and dates as such, the rest as text."""
    if pd.api.types.is_bool_dtype(values) and not values.isna().any():
        return values.to_numpy(bool)
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(np.float64, na_value=np.nan) if values.isna().any() else values.to_numpy()
    if pd.api.types.is_datetime64_any_dtype(values):
        naive = values.dt.tz_convert("UTC").dt.tz_localize(None) if values.dt.tz is not None else values
        return naive.to_numpy("datetime64[ns]")
    return np.array(["" if pd.isna(v) else str(v) for v in values.astype(object)], object)


def _look_at_all(paths: list[str], check: str, max_pixels: int, progress: bool) -> list[Look]:
    with quiet_pillow(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        looking = pool.map(lambda p: _look(p, check, max_pixels), paths)
        return list(tqdm(looking, "looking at photos", len(paths), unit="photo", disable=not progress, delay=1))


def _look(path: str, check: str, max_pixels: int) -> Look:
    if _storable(path) != path:
        return Look("the file's name is not valid UTF-8: rename it", 0, 0)
    return look_at(path, check, max_pixels)
