"""Tables of photos: a CSV, TSV or Parquet file or a DataFrame enters; a frame with id, path, species and the rest leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from finerkit.names import suggestion

if TYPE_CHECKING:
    from pathlib import Path

#: Recognised column names, best first, compared without case, spaces and underscores.
SPECIES_COLUMNS = ("species", "scientificname", "acceptedscientificname", "taxon", "taxonname", "label", "class", "breed")
PATH_COLUMNS = ("path", "file", "filename", "filepath", "image", "imagepath", "photo", "imagefile", "accessuri")


def read_table(file: Path, path: str | None = None, species: str | None = None) -> pd.DataFrame:
    """Read a CSV, TSV or Parquet table; the path and species columns stay text ("007" is not a number).

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
    if ending in {".parquet", ".pq"}:
        return pd.read_parquet(file)
    separators = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".tab": "\t"}
    if ending not in separators:
        raise ValueError(f"A table must end in .csv, .tsv, .txt or .parquet. Got {file.name!r} instead.")
    try:
        header = pd.read_csv(file, sep=separators[ending], encoding="utf-8-sig", nrows=0, dtype=str)
        text = {c: str for c in (_find(header, path, PATH_COLUMNS), _find(header, species, SPECIES_COLUMNS)) if c}
        return pd.read_csv(file, sep=separators[ending], encoding="utf-8-sig", dtype=text)
    except UnicodeDecodeError:
        raise ValueError(f"{file.name!r} is not UTF-8 text: save it as 'CSV UTF-8' and read it again.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{file.name!r} cannot be read as a table: {error}") from None


def table_entries(frame: pd.DataFrame, species: str | None, path: str | None) -> pd.DataFrame:
    """Bring a user's table into the form that `read_images` works on.

    Raises
    ------
    ValueError
        If no column holds the file, or a named column is missing.
    """
    frame = frame.rename(columns=lambda c: str(c).strip().replace("/", "_") or "unnamed")
    frame = frame.loc[:, ~frame.columns.duplicated()]
    path_column = _find(frame, path, PATH_COLUMNS)
    if path_column is None:
        raise ValueError(
            f"No column of the table holds the photo's file. Its columns are {', '.join(map(repr, frame.columns))}: "
            "name the right one, as in read_images(..., path='file name')."
        )
    species_column = _find(frame, species, SPECIES_COLUMNS)
    if species_column is None:
        raise ValueError(
            f"No column of the table holds the species. Its columns are {', '.join(map(repr, frame.columns))}: "
            "name the right one, as in read_images(..., species='scientificName')."
        )
    files = frame[path_column].astype(object)
    entries = pd.DataFrame({"path": ["" if pd.isna(f) else str(f).strip() for f in files]}, dtype=object)
    entries["id"] = [p or f"(row {i + 1} names no file)" for i, p in enumerate(entries["path"])]
    entries["species"] = ["" if pd.isna(s) else str(s).strip() for s in frame[species_column].astype(object)]
    rest = frame.drop(columns=[path_column, species_column]).reset_index(drop=True)
    clash = {c: f"table_{c}" for c in rest.columns if c in entries.columns}
    return pd.concat([entries, rest.rename(columns=clash)], axis=1)


def _find(frame: pd.DataFrame, named: str | None, recognised: tuple[str, ...]) -> str | None:
    """The column that was named, or the first recognised one, or None."""
    columns = [str(c) for c in frame.columns]
    if named is not None:
        if named not in columns:
            raise ValueError(f"The table has no column {named!r}. {suggestion(named, columns)}")
        return named
    plain = {}
    for c in columns:
        plain.setdefault(c.strip().casefold().replace(" ", "").replace("_", ""), c)
    return next((plain[r] for r in recognised if r in plain), None)
