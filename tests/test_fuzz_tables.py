"""Tables of any bytes: they are read, or refused in words; nothing else is raised, and what is read can be stored."""

import io
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from finerkit.photos.read import column
from finerkit.photos.tables import read_table, table_entries

REFUSED = re.compile(
    r"'t\.\w+' (is not UTF-8 text: save it as 'CSV UTF-8'|cannot be read as a table: .)"
    r"|No column of the table holds (the photo's file|the species)\. Its columns are .*: name the right one"
)
COMMON = settings(
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
HEADERS = ["file,species", "path;taxon;", '"image"\tclass', "file,species,file,Species ,", "\ufefffile,species,n", ""]
CELLS = st.one_of(
    st.sampled_from(
        [
            *("", "1.png", "007", "1e999", "-inf", "NaN", "NA", "True", "99999999999999999999", "0x1F", "2020-01-01"),
            *('"', '""', "'", "1,5", "=1+1", "@SUM(A1)", "<script>", "\0", "\x1a", "\u2028", "🦋", "e\u0301", "a\\b"),
        ]
    ),
    st.text(max_size=6),
)


def outcome(folder, name, content):
    """Entries of a table with these bytes, or None if it is refused as documented."""
    (folder / name).write_bytes(content)
    try:
        return table_entries(read_table(folder / name), None, None)
    except ValueError as caught:
        refusal = caught
    assert type(refusal) is ValueError, repr(refusal)
    assert REFUSED.match(str(refusal)), refusal
    assert "\n" not in str(refusal)
    return None


def check(entries):
    """Of entries that were read, everything can be kept as the datasets keep it."""
    if entries is None:
        return
    assert list(entries.columns[:3]) == ["path", "image", "species"]
    assert all(isinstance(v, str) for c in ("path", "image", "species") for v in entries[c])
    columns = {name: column(entries[name]) for name in entries.columns[3:]}
    assert len(columns) == entries.shape[1] - 3  # names are distinct
    assert all(v.dtype.kind in "biufMO" and v.shape == (len(entries),) for v in columns.values())
    assert all(isinstance(x, str) for v in columns.values() if v.dtype == object for x in v)


@settings(COMMON, max_examples=60)
@given(st.sampled_from(["csv", "tsv", "txt", "parquet"]), st.binary(max_size=200))
@example("csv", b"file,species\n\xff,A\n")
@example("csv", b'file,species\n"1.png,A\n')
@example("csv", b"\0\0\0\0")
@example("csv", b"file,species\n1\0.png,A\n")
@example("csv", b"\xff\xfe")
@example("parquet", b"PAR1PAR1")
def test_any_bytes(tmp_path, ending, content):
    check(outcome(tmp_path, f"t.{ending}", content))


@settings(COMMON, max_examples=100)
@given(
    st.sampled_from(HEADERS),
    st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=5),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-16", "latin-1", "utf-8-sig"]),
)
def test_text_that_looks_like_a_table(tmp_path, header, rows, separator, end, encoding):
    text = end.join([header, *(separator.join(row) for row in rows)])
    check(outcome(tmp_path, "t.csv", text.encode(encoding, "replace")))


@settings(COMMON, max_examples=50)
@given(st.lists(st.text(max_size=12), max_size=6), st.integers(0, 3))
def test_any_column_names(tmp_path, names, rows):
    frame = pd.DataFrame([[f"{i}"] * (len(names) + 2) for i in range(rows)], columns=["file", "species", *names])
    entries = table_entries(frame, "species", "file")
    data = xr.Dataset({n: ("image", column(entries[n])) for n in entries.columns if n != "image"})
    kept = [str(n) for n in data.data_vars]
    assert len({n.casefold() for n in kept}) == len(names) + 2
    assert all(n.strip(". ") and len(n.encode()) <= 200 and n.isprintable() and not set(n) & set("/\\") for n in kept)


def test_columns_with_names_that_no_folder_can_have_are_stored(tmp_path):
    names = ["a\0b", "x" * 400, "é" * 150, "é" * 151, "two\nlines", "tab\t", "nul\x7f", "\u202eevil", " . "]
    frame = pd.DataFrame([["1.png", "A", *range(len(names))]], columns=["file", "species", *names])
    entries = table_entries(frame, None, None)
    columns = entries.columns[3:]
    data = xr.Dataset({n: ("image", column(entries[n])) for n in columns})
    data.to_zarr(tmp_path / "x.zarr", zarr_format=3, consolidated=False)
    back = xr.open_zarr(tmp_path / "x.zarr", consolidated=False).load()
    assert [back[n].item() for n in columns] == list(range(len(names)))


@settings(COMMON, max_examples=50)
@given(st.data())
def test_parquet_with_flipped_bytes(tmp_path, data):
    frame = pd.DataFrame({"file": ["1.png", "2.png"], "species": ["A", None], "n": [1, 2], "day": pd.NaT})
    whole = bytearray(parquet(frame))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    check(outcome(tmp_path, "t.parquet", bytes(whole)))


def parquet(frame):
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, 2], "Int64"),
        pd.array([2**63, 2**64 - 1], "uint64"),
        [2**70, -(2**70)],
        pd.to_timedelta([1, None], "s"),
        pd.period_range("2020", periods=2, freq="M"),
        [1j, 2j],
        pd.arrays.SparseArray([0, 1]),
        pd.interval_range(0, 2),
        [b"bytes", None],
        [pd.Timestamp("2020-01-01", tz="Europe/Berlin"), "text"],
        np.array([1, 2], np.float16),
        pd.Categorical([1, 2]),
    ],
    ids=str,
)
def test_columns_of_every_type_can_be_stored(values, tmp_path):
    entries = table_entries(pd.DataFrame({"file": ["1", "2"], "species": ["A", "B"], "x": values}), None, None)
    data = xr.Dataset({"x": ("image", column(entries["x"]))})
    data.to_zarr(tmp_path / "x.zarr", zarr_format=3, consolidated=False)
    xr.testing.assert_identical(xr.open_zarr(tmp_path / "x.zarr", consolidated=False).load(), data)
