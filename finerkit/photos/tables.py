"""Read tables of photos, from a CSV, TSV or Parquet file or a DataFrame: image, path, species and the rest."""

from __future__ import annotations

import re
import unicodedata
import warnings
from typing import TYPE_CHECKING, Any

import pandas as pd

from finerkit.base.labels import as_text
from finerkit.base.names import suggestion
from finerkit.base.user_columns import SIGNS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Recognised column names, best first, compared without case, spaces and underscores.
SPECIES_COLUMNS = (
    "species",
    "scientificname",
    "acceptedscientificname",
    "taxon",
    "taxonname",
    "label",
    "class",
    "breed",
)
PATH_COLUMNS = ("path", "file", "filename", "filepath", "image", "imagepath", "photo", "imagefile", "accessuri")

#: Names that a user's column cannot have, because they are ours or Zarr's.
RESERVED = frozenset({
    "image", "species", "path", "width", "height", "status", "fingerprint", "sha256", "duplicate_of", "file", "row",
    "zarr.json",
})  # fmt: skip


#: In bytes; with room for what is put before it.
_LONGEST_NAME = 150

_UNREADABLE = (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, OSError)

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".tab": "\t"}


def read_table(file: Path, path: str | None = None, species: str | None = None) -> pd.DataFrame:
    """Read a CSV, TSV or Parquet table; path, species and columns with leading zeros stay text ("007").

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the ending is not known, or the text is not UTF-8 or not a table.
    """
    if not file.exists():
        raise FileNotFoundError(f"The table {str(file)!r} does not exist.")
    ending = file.suffix.lower()
    if ending not in {".parquet", ".pq", *_SEPARATORS}:
        raise ValueError(f"A table must end in .csv, .tsv, .txt or .parquet. Got {file.name!r} instead.")
    try:
        if ending in _SEPARATORS:
            return _read_text(file, _SEPARATORS[ending], path, species)
        return _read_parquet(file)
    except UnicodeDecodeError:
        raise ValueError(f"{file.name!r} is not UTF-8 text: save it as 'CSV UTF-8' and read it again.") from None
    except _UNREADABLE as error:
        raise ValueError(f"{file.name!r} cannot be read as a table: {' '.join(str(error).split())}") from None


def _read_parquet(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except Exception as error:  # of damaged files pandas 3.1 raises KeyError and JSONDecodeError, too
        raise OSError(f"{type(error).__name__}: {error}") from error


def _read_text(file: Path, separator: str, path: str | None, species: str | None) -> pd.DataFrame:
    def read(**options: Any) -> pd.DataFrame:
        # Without index_col=False, rows longer than the header would shift every column by one.
        return pd.read_csv(file, sep=separator, encoding="utf-8-sig", index_col=False, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        cells = read(dtype=str)
        if cells.shape[1] == 1 and ";" in str(cells.columns[0]):  # what Excel calls CSV where the comma is decimal
            separator = ";"
            cells = read(dtype=str)
        text = {c for c in cells if cells[c].str.match(r"\s*0\d", na=False).any()}
        text |= {cells.columns[i] for i in _chosen(cells, path, species)}
        return read(dtype=dict.fromkeys(text, str))


def table_entries(frame: pd.DataFrame, species: str | None, path: str | None) -> pd.DataFrame:
    """Bring a user's table into the form that `read_images` works on.

    Raises
    ------
    ValueError
        If no column holds the file, or a named column is missing.
    """
    chosen = _chosen(frame, path, species)
    paths, names = ([as_text(v).strip() for v in frame.iloc[:, i].astype(object)] for i in chosen)
    ids = [path or f"(row {i + 1} names no file)" for i, path in enumerate(paths)]
    entries = pd.DataFrame({"path": paths, "image": ids, "species": names}, dtype=object)
    rest = frame.iloc[:, [i for i in range(frame.shape[1]) if i not in chosen]]
    return pd.concat([entries, rest.set_axis(_free_names(rest.columns), axis=1).reset_index(drop=True)], axis=1)


def _free_names(columns: Iterable[object]) -> list[str]:
    """Names for a table's columns: distinct from ours and from each other even where case does not count.

    Zarr makes a folder of each, so slashes, names of dots, control characters and very long names would break the
    store, and on macOS and Windows 'Status' would overwrite 'status'.
    """
    taken, names = set(RESERVED), []
    for column in columns:
        text = re.sub(r"[/\\]", "_", re.sub(r"\s+", " ", unicodedata.normalize("NFC", str(column)))).strip()
        name = "".join(c if c.isprintable() else "_" for c in text)
        name = name.encode()[:_LONGEST_NAME].decode(errors="ignore").strip()
        name = name if name.strip(". ") else "unnamed"
        while name.casefold() in taken or name.startswith("__") or name[0] in SIGNS:
            name = f"table_{name}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _chosen(frame: pd.DataFrame, path: str | None, species: str | None) -> tuple[int, int]:
    """Positions of the path and the species column."""
    return (
        _find(frame, path, PATH_COLUMNS, "the photo's file", "path='file name'"),
        _find(frame, species, SPECIES_COLUMNS, "the species", "species='scientificName'"),
    )


def _find(frame: pd.DataFrame, named: str | None, recognised: tuple[str, ...], what: str, call: str) -> int:
    """Position of the column that was named, or of the first recognised one."""
    columns = [str(c).strip() for c in frame.columns]
    if named is not None:
        if named.strip() not in columns:
            raise ValueError(f"The table has no column {named!r}. {suggestion(named, columns)}")
        return columns.index(named.strip())
    plain = [c.casefold().replace(" ", "").replace("_", "") for c in columns]
    found = next((plain.index(name) for name in recognised if name in plain), None)
    if found is None:
        raise ValueError(
            f"No column of the table holds {what}. Its columns are {', '.join(repr(str(c)) for c in frame.columns)}: "
            f"name the right one, as in read_images(..., {call})."
        )
    return found
