"""`read_images`: folders and tables as people have them, against what the test put there."""

import hashlib
import os
import sys
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

import finerkit as fk
from finerkit.photos.read import PhotoWarning, usable, warn_unusable

OURS = {"species", "path", "width", "height", "status", "fingerprint", "sha256", "duplicate_of", "file"}

LINKS = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")


def photo(path, size=(8, 6)):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    colour = tuple(hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).digest()[:3])  # its own
    Image.new("RGB", size, colour).save(path, format="PNG")


def folder(root, *files):
    for file in files:
        photo(root / file)
    return root


def round_trip(images, store):
    """Write to Zarr and read back without finerkit; nothing may differ, and nothing may warn."""
    images.to_zarr(store, zarr_format=3, consolidated=False)
    back = xr.open_zarr(store, consolidated=False).load()
    xr.testing.assert_identical(back, images)
    return back


def listed(images):
    return dict(zip(images.image.values.tolist(), images.species.values.tolist(), strict=True))


@pytest.fixture
def flat(tmp_path):
    """Two photos in one folder."""
    return folder(tmp_path / "flat", "1.png", "2.png")


def frame(**columns):
    """A table of the two photos of `flat`."""
    return pd.DataFrame({"file": ["1.png", "2.png"], "species": ["A", "B"], **columns})


# --- folders ---


def test_folder_of_species_folders(tmp_path):
    root = folder(tmp_path / "photos", "erato/1.png", "erato/2.png", "charithonia/deep/er/1.png", "loose.png")
    images = fk.read_images(root)
    assert listed(images) == {
        "charithonia/deep/er/1.png": "charithonia",
        "erato/1.png": "erato",
        "erato/2.png": "erato",
        "loose.png": "",
    }
    assert set(images.data_vars) == OURS
    assert [images[v].dims for v in images.data_vars] == [("image",)] * 9
    assert images.width.values.tolist() == [8] * 4
    assert images.height.values.tolist() == [6] * 4
    assert usable(images).all()
    assert all(Path(p).is_absolute() and Path(p).is_file() for p in images.path.values)
    assert images.attrs["root"] == str(root)
    assert images.attrs["finerkit_version"] == fk.__version__
    round_trip(images, tmp_path / "x.zarr")


def test_ids_do_not_depend_on_where_the_folder_lies_or_how_it_is_named(tmp_path, monkeypatch):
    folder(tmp_path / "a" / "photos", "x/1.png")
    folder(tmp_path / "b", "x/1.png")
    monkeypatch.chdir(tmp_path / "a")
    spellings = ["photos", "./photos/", "../a/photos", Path("photos"), str(tmp_path / "b"), tmp_path / "a/../b"]
    read = [fk.read_images(s) for s in spellings]
    assert [i.image.values.tolist() for i in read] == [["x/1.png"]] * len(spellings)
    assert {i.attrs["root"] for i in read} == {str(tmp_path / "a" / "photos"), str(tmp_path / "b")}


NAMES = [
    "with space",
    "quo\"te'",
    "e\u0301toile",
    "\u00e9toil\u00e9",
    "蝶",
    "🦋",
    "<b>bold&amp;",
    "100%",
    "#1",
    "a=b;c,d",
]


@pytest.mark.skipif(sys.platform == "win32", reason="not allowed in names there")
def test_names_of_every_kind(tmp_path):
    names = [*NAMES, "line\nbreak", "back\\slash", "-dash", "~tilde", "$HOME"]
    root = folder(tmp_path / "photos", *(f"{n}/{n}.png" for n in names))
    images = fk.read_images(root)
    assert usable(images).all()
    assert set(images.species.values) == {unicodedata.normalize("NFC", n) for n in names}
    assert len(images.image) == len(names)
    assert all(unicodedata.is_normalized("NFC", i) for i in images.image.values)
    assert all(fk.load_image(p).size == (8, 6) for p in images.path.values)
    back = round_trip(images, tmp_path / "x.zarr")
    assert back.sel(image="🦋/🦋.png").species.item() == "🦋"


def test_composed_and_decomposed_folders_are_one_species(tmp_path):
    root = folder(tmp_path / "photos", "e\u0301/1.png", "\u00e9/2.png")
    images = fk.read_images(root)
    assert listed(images) == {"\u00e9/1.png": "\u00e9", "\u00e9/2.png": "\u00e9"}
    assert usable(images).all()


def test_undecodable_names_are_reported_not_fatal(tmp_path):
    root = os.fsencode(folder(tmp_path / "photos", "sp/good.png"))
    content = (tmp_path / "photos/sp/good.png").read_bytes()
    try:
        Path(os.fsdecode(root + b"/sp\xff")).mkdir()
        for name in (b"/sp\xff/in.png", b"/sp/\xe9.png"):
            Path(os.fsdecode(root + name)).write_bytes(content)
    except OSError:
        pytest.skip("this file system only takes UTF-8 names")
    with pytest.warns(PhotoWarning, match="2 of 3 photos.*not valid UTF-8: rename it"):
        images = fk.read_images(tmp_path / "photos")
    assert usable(images).tolist() == [i == "sp/good.png" for i in images.image.values]
    assert round_trip(images, tmp_path / "x.zarr").image.size == 3


def test_hidden_and_system_files_are_passed_over(tmp_path):
    root = folder(tmp_path / "photos", "a/1.png", "a/.hidden.png", ".git/1.png", "a/.cache/2.png")
    for name in ("Thumbs.db", "desktop.ini", "a/.DS_Store"):
        (root / name).write_text("x")
    assert listed(fk.read_images(root)) == {"a/1.png": "a"}


def test_a_folder_called_like_a_photo_is_a_folder(tmp_path):
    assert listed(fk.read_images(folder(tmp_path, "x.jpg/1.png"))) == {"x.jpg/1.png": "x.jpg"}


@LINKS
def test_link_loops_end_and_dangling_links_are_reported(tmp_path):
    root = folder(tmp_path / "photos", "a/1.png", "b/2.png")
    (root / "a" / "up").symlink_to(root, target_is_directory=True)
    (root / "self").symlink_to("self")
    (root / "gone.png").symlink_to("nowhere.png")
    with pytest.warns(PhotoWarning, match="2 of 4"):
        images = fk.read_images(root)
    assert listed(images) == {"a/1.png": "a", "b/2.png": "b", "gone.png": "", "self": ""}
    assert images.status.sel(image=["gone.png", "self"]).values.tolist() == ["file not found"] * 2


@LINKS
def test_linked_folders_are_followed_but_real_ones_come_first(tmp_path):
    outside = folder(tmp_path / "elsewhere", "3.png")
    root = folder(tmp_path / "photos", "a/1.png", "b/2.png")
    (root / "a" / "0 link").symlink_to(root / "b", target_is_directory=True)
    (root / "0 link").symlink_to(root / "b", target_is_directory=True)
    (root / "c").symlink_to(outside, target_is_directory=True)
    assert listed(fk.read_images(root)) == {"a/1.png": "a", "b/2.png": "b", "c/3.png": "c"}


@pytest.mark.parametrize("check", ["decode", "header"])
def test_the_same_file_under_two_species_is_named(tmp_path, check):
    root = folder(tmp_path / "photos", "a/1.png", "b/2.png", "c/3.png", "loose.png")
    for copy, original in (("a/9.png", "a/1.png"), ("b/0.png", "a/1.png"), ("x.png", "c/3.png")):
        (root / copy).write_bytes((root / original).read_bytes())
    (root / "a/empty.png").touch()
    (root / "b/empty.png").touch()
    message = r"^1 pairs .* two species.*'a/1.png' \(a\) and 'b/0.png' \(b\)\. Correct the labels"
    with pytest.warns(PhotoWarning, match="2 of 9"), pytest.warns(fk.DuplicateWarning, match=message):
        images = fk.read_images(root, check=check)
    copies = {k: v for k, v in zip(images.image.values, images.duplicate_of.values, strict=True) if v}
    assert copies == {"a/9.png": "a/1.png", "b/0.png": "a/1.png", "x.png": "c/3.png"}
    round_trip(images, tmp_path / "x.zarr")


def test_files_that_differ_between_the_samples_are_no_copies_and_a_flipped_bit_is_seen(tmp_path):
    pixels = np.full((1000, 900, 3), 255, np.uint8)
    for name, at in (("a/1.bmp", 500), ("b/2.bmp", 501)):
        pixels[at, 300] = 0
        (tmp_path / name).parent.mkdir()
        Image.fromarray(pixels).save(tmp_path / name)
    images, quick = fk.read_images(tmp_path), fk.read_images(tmp_path, check="header")
    assert quick.fingerprint.values[0] == quick.fingerprint.values[1]  # or this tests nothing
    assert images.sha256.values.tolist() == [
        hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a/1.bmp", "b/2.bmp")
    ]
    assert quick.duplicate_of.values.tolist() == images.duplicate_of.values.tolist() == ["", ""]
    assert "sha256" not in quick


@pytest.mark.parametrize("check", ["decode", "header"])
def test_sizes_are_upright(tmp_path, save_turned, check):
    upright = np.zeros((20, 30, 3), np.uint8)
    for ending in ("jpg", "tif", "png", "webp"):
        for orientation in range(1, 9):
            save_turned(upright, tmp_path / f"{orientation}.{ending}", orientation)
    images = fk.read_images(tmp_path, check=check)
    assert images.sizes["image"] == 32
    assert set(images.width.values) == {30}
    assert set(images.height.values) == {20}
    assert images.width.attrs["units"] == "pixel"


# --- photos that cannot be used ---


@pytest.fixture
def mixed(tmp_path):
    """One sound photo and six that are not."""
    root = folder(tmp_path / "mixed", "a/good.png")
    content = (root / "a/good.png").read_bytes()
    (root / "a/cut.png").write_bytes(content[:-30])
    (root / "a/empty.jpg").touch()
    (root / "a/text.jpg").write_text("hello")
    (root / "a/notes.txt").write_text("hello")
    (root / "a/huge.png").write_bytes(content)
    photo(root / "a/huge.png", (40, 30))
    (root / "a/junk.tif").write_bytes(b"II*\0" + b"\xff" * 50)
    return root


def test_unusable_photos_are_counted_in_one_warning_at_the_callers_line(mixed, tmp_path):
    with pytest.warns(PhotoWarning) as caught:
        images = fk.read_images(mixed, max_pixels=1000)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    message = str(caught[0].message)
    assert message.startswith("6 of 7 photos cannot be read and are left out: a/cut.png (truncated")
    assert "and 1 more" in message
    assert "'status'" in message
    status = dict(zip(images.image.values, images.status.values, strict=True))
    assert status["a/good.png"] == "ok"
    assert status["a/empty.jpg"] == "empty file (0 bytes)"
    assert status["a/text.jpg"] == status["a/notes.txt"] == "not an image, or a damaged header"
    assert status["a/huge.png"] == "too large: 40 x 30 pixels, more than 1,000 in all"
    assert status["a/junk.tif"].startswith(("damaged", "truncated", "not an image"))
    assert usable(images).sum() == 1
    assert images.width.values[~usable(images)].tolist() == [0] * 6
    assert set(images.species.values) == {"a"}
    round_trip(images, tmp_path / "x.zarr")


def test_the_header_check_leaves_truncation_for_later(mixed):
    with pytest.warns(PhotoWarning, match="^4 of 7"):
        images = fk.read_images(mixed, check="header")
    assert images.status.sel(image="a/cut.png").item() == "ok"


def test_no_warning_when_all_is_well_and_none_from_pillow(flat):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = fk.read_images(flat)
        warn_unusable(images)
    assert usable(images).dtype == bool


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may read everything")
def test_unreadable_file(flat):
    (flat / "1.png").chmod(0)
    with pytest.warns(PhotoWarning, match="no permission"):
        assert usable(fk.read_images(flat)).tolist() == [False, True]


def test_a_folder_that_may_not_be_listed_is_reported(tmp_path, monkeypatch):
    root = folder(tmp_path / "photos", "a/1.png", "b/2.png")
    scandir, access = os.scandir, os.access

    def refuse(path="."):
        if os.fspath(path) == str(root / "b"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != root / "b" and access(path, mode))
    with pytest.warns(PhotoWarning, match=r"1 of 2 photos .* b \(no permission to read the folder\)"):
        images = fk.read_images(root)
    assert images.image.values.tolist() == ["a/1.png", "b"]


# --- tables ---


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "txt", "parquet"])
def test_table_alone_of_every_kind(flat, tmp_path, ending):
    table = frame(sex=["f", None], mass=[1.5, 2.5])
    file = flat / f"table.{ending}"
    if ending == "parquet":
        table.to_parquet(file)
    else:
        table.to_csv(file, sep="," if ending == "csv" else "\t", index=False)
    images = fk.read_images(file)
    assert listed(images) == {"1.png": "A", "2.png": "B"}
    assert images.sex.values.tolist() == ["f", ""]
    assert images.mass.values.tolist() == [1.5, 2.5]
    assert usable(images).all()
    xr.testing.assert_identical(fk.read_images(flat, file), images)
    xr.testing.assert_identical(fk.read_images(flat, table), images)
    xr.testing.assert_identical(fk.read_images(table, root=flat), images)
    round_trip(images, tmp_path / "x.zarr")


def test_a_tables_paths_are_relative_to_it_or_to_root(flat, tmp_path, monkeypatch):
    table = write(tmp_path / "elsewhere.csv", "file,species\n1.png,A\n2.png,B\n")
    assert usable(fk.read_images(table, root=flat)).all()
    with pytest.warns(PhotoWarning, match="2 of 2"):
        fk.read_images(table)
    monkeypatch.chdir(flat)
    assert usable(fk.read_images(frame())).all()


@pytest.mark.parametrize("species", ["scientificName", "Scientific Name", "SCIENTIFIC_NAME", "taxon", "Label", "class"])
@pytest.mark.parametrize("path", ["path", "File Name", "file_path", "IMAGE"])
def test_usual_columns_are_recognised(flat, species, path):
    images = fk.read_images(pd.DataFrame({species: ["A", "B"], path: ["1.png", "2.png"]}), root=flat)
    assert listed(images) == {"1.png": "A", "2.png": "B"}
    assert set(images.data_vars) == OURS


def test_columns_can_be_chosen_and_the_passed_over_are_kept(flat):
    images = fk.read_images(frame(other=["x", "y"], where=["2.png", "1.png"]), species="other", path="where", root=flat)
    assert listed(images) == {"2.png": "x", "1.png": "y"}
    assert images.table_species.values.tolist() == ["A", "B"]
    assert images.table_file.values.tolist() == ["1.png", "2.png"]
    assert images.file.values.tolist() == ["2.png", "1.png"]


def test_columns_are_chosen_with_or_without_the_spaces_around_them(flat):
    table = write(flat / "t.csv", "my file , my kind\n1.png,007\n")
    for path, species in (("my file", "my kind"), ("my file ", " my kind")):
        assert listed(fk.read_images(table, path=path, species=species)) == {"1.png": "007"}


def test_a_chosen_column_may_hold_a_slash(flat):
    images = fk.read_images(
        pd.DataFrame({"file/name": ["1.png"], "sp/n": ["A"]}), root=flat, path="file/name", species="sp/n"
    )
    assert listed(images) == {"1.png": "A"}


def test_byte_order_mark_quotes_and_windows_line_ends(flat):
    table = write(flat / "t.csv", '\ufefffile,species,note\r\n"1.png",A,"a ""b"", c"\r\n2.png,B,"two\nlines"\r\n')
    images = fk.read_images(table)
    assert listed(images) == {"1.png": "A", "2.png": "B"}
    assert images.note.values.tolist() == ['a "b", c', "two\nlines"]


def test_semicolons_as_excel_writes_them_where_the_comma_is_decimal(flat):
    images = fk.read_images(write(flat / "t.csv", "file;species;code\n1.png;A;01\n2.png;B;02\n"))
    assert listed(images) == {"1.png": "A", "2.png": "B"}
    assert images.code.values.tolist() == ["01", "02"]


def test_leading_zeros_stay(tmp_path):
    root = folder(tmp_path, "001", "002", "010")
    table = "file,species,catalogNumber,count,share\n001,0001,0042,1,0.5\n002,0002,7,0,0.25\n010,,,12,1\n"
    images = fk.read_images(write(root / "t.csv", table))
    assert listed(images) == {"001": "0001", "002": "0002", "010": ""}
    assert usable(images).all()
    assert images.catalogNumber.values.tolist() == ["0042", "7", ""]
    assert images["count"].values.tolist() == [1, 0, 12]
    assert images.share.values.tolist() == [0.5, 0.25, 1.0]


def test_file_and_species_are_text_even_if_they_look_like_numbers(tmp_path):
    root = folder(tmp_path, "1e3", "2.50")
    assert listed(fk.read_images(write(root / "t.csv", "file,species\n1e3,7\n2.50,\n"))) == {"1e3": "7", "2.50": ""}


def test_commas_at_the_end_of_rows_do_not_shift_the_columns(flat):
    images = fk.read_images(write(flat / "t.csv", "file,species\n1.png,A,\n2.png,B,\n"))
    assert listed(images) == {"1.png": "A", "2.png": "B"}


def test_missing_files_names_and_species(flat, tmp_path):
    table = pd.DataFrame({"file": ["1.png", None, " ", "gone.png"], "species": ["A", "B", "C", None]})
    with pytest.warns(PhotoWarning, match="3 of 4"):
        images = fk.read_images(table, root=flat)
    assert listed(images) == {"1.png": "A", "(row 2 names no file)": "B", "(row 3 names no file)": "C", "gone.png": ""}
    assert images.status.values.tolist() == ["ok", "not a regular file", "not a regular file", "file not found"]
    round_trip(images, tmp_path / "x.zarr")


def test_ids_are_unique_whatever_the_table_repeats(flat):
    photo(flat / "1.png#2")
    table = pd.DataFrame({"file": ["1.png", "1.png", "1.png#2", "1.png", "2.png"], "species": list("ABCDE")})
    with pytest.warns(fk.DuplicateWarning, match="^2 pairs"):
        images = fk.read_images(table, root=flat)
    ids = images.image.values.tolist()
    assert len(set(ids)) == 5
    assert ids[0] == "1.png"
    assert ids[2] == "1.png#2"
    assert images.sel(image="1.png#2").species.item() == "C"
    assert usable(images).all()


def test_a_repeated_photo_counts_from_two(flat):
    images = fk.read_images(pd.DataFrame({"file": ["1.png"] * 3, "species": list("AAA")}), root=flat)
    assert images.image.values.tolist() == ["1.png", "1.png#2", "1.png#3"]


def test_absolute_and_roundabout_paths_give_portable_ids(tmp_path, flat):
    photo(tmp_path / "outside.png")
    files = [str(flat / "1.png"), "./2.png", "x/../2.png", "../outside.png", str(tmp_path / "outside.png")]
    (flat / "x").mkdir()
    images = fk.read_images(pd.DataFrame({"file": files, "species": list("ABBCC")}), root=flat)
    outside = (tmp_path / "outside.png").as_posix()
    assert images.image.values.tolist() == ["1.png", "2.png", "2.png#2", "../outside.png", outside]
    assert usable(images).all()


def test_tables_from_other_systems_find_their_files(tmp_path):
    root = folder(tmp_path, "sp/1.png", "e\u0301.png", "\u00fc.png")
    files = ["sp\\1.png", "\u00e9.png", "u\u0308.png"]
    images = fk.read_images(pd.DataFrame({"file": files, "species": list("ABC")}), root=root)
    assert usable(images).all()
    assert listed(images) == {"sp/1.png": "A", "\u00e9.png": "B", "\u00fc.png": "C"}


# --- metadata ---


def test_metadata_of_every_type_is_kept_and_stored(flat, tmp_path):
    table = frame(
        integer=[1, -2],
        gap=[1, None],
        nullable=pd.array([1, None], "Int64"),
        small=np.array([1, 2], np.uint8),
        real=np.array([0.5, np.nan], np.float32),
        flag=[True, False],
        unsure=pd.array([True, None], "boolean"),
        day=pd.to_datetime(["2020-02-29", None]),
        zoned=pd.to_datetime(["2020-01-01T12:00+02:00", "2020-06-01T12:00+02:00"], utc=True),
        museum=np.array(["1650-01-01", "2020-01-01"], "datetime64[s]"),
        stage=pd.Categorical(["adult", None]),
        text=["été 🦋", None],
        several=[[1, 2], np.array([3, 4])],
        mixed=[1, "one"],
    )
    images = fk.read_images(table, root=flat)
    expected = {
        "integer": [1, -2],
        "small": [1, 2],
        "flag": [True, False],
        "unsure": ["True", ""],
        "museum": ["1650-01-01 00:00:00", "2020-01-01 00:00:00"],
        "stage": ["adult", ""],
        "text": ["été 🦋", ""],
        "several": ["[1, 2]", "[3 4]"],
        "mixed": ["1", "one"],
    }
    assert {k: images[k].values.tolist() for k in expected} == expected
    for name in ("gap", "nullable"):
        np.testing.assert_array_equal(images[name].values, [1.0, np.nan])
    np.testing.assert_array_equal(images["real"].values, [0.5, np.nan])
    assert images.day.values[0] == np.datetime64("2020-02-29")
    assert np.isnat(images.day.values[1])
    assert (
        images.zoned.values.tolist()
        == pd.to_datetime(["2020-01-01 10:00", "2020-06-01 10:00"]).as_unit("ns").asi8.tolist()
    )
    assert images.flag.dtype == bool
    assert images.integer.dtype == np.int64
    round_trip(images, tmp_path / "x.zarr")


def test_parquet_types_survive(flat, tmp_path):
    table = frame(n=pd.array([1, None], "Int64"), flag=[True, False], day=pd.to_datetime(["2020-02-29", "2021-01-01"]))
    table.to_parquet(flat / "t.parquet")
    images = fk.read_images(flat / "t.parquet")
    np.testing.assert_array_equal(images.n.values, [1.0, np.nan])
    assert images.flag.values.tolist() == [True, False]
    assert images.day.values[0] == np.datetime64("2020-02-29")


def test_csv_booleans_gaps_and_dates(flat):
    images = fk.read_images(
        write(flat / "t.csv", "file,species,flag,n,day\n1.png,A,True,1,2020-01-02\n2.png,B,False,,NA\n")
    )
    assert images.flag.values.tolist() == [True, False]
    np.testing.assert_array_equal(images.n.values, [1.0, np.nan])
    assert images.day.values.tolist() == ["2020-01-02", ""]


def test_columns_called_like_ours_are_kept_beside_them(flat, tmp_path):
    table = frame(width=[1, 2], table_width=[3, 4], id=[5, 6], table_id=[7, 8], image=[9, 10], status=["x", "y"])
    images = fk.read_images(table, root=flat)
    assert images.width.values.tolist() == [8, 8]
    assert images.status.values.tolist() == ["ok", "ok"]
    kept = {
        "table_width": [1, 2],
        "table_table_width": [3, 4],
        "id": [5, 6],
        "table_id": [7, 8],
        "table_image": [9, 10],
    }
    assert {k: images[k].values.tolist() for k in kept} == kept
    assert images.table_status.values.tolist() == ["x", "y"]
    round_trip(images, tmp_path / "x.zarr")


def test_column_names_are_safe_in_any_store(flat, tmp_path):
    names = ["a/b", "a_b", "a\\b", "", ".", "..", "__x", "zarr.json", "Width", "Sex", "sex", "größe", "🦋", "100 %"]
    table = pd.concat([frame(), pd.DataFrame([range(len(names))] * 2, columns=names)], axis=1)
    images = fk.read_images(table, root=flat)
    kept = [n for n in images.data_vars if n not in OURS]
    assert [images[n].values[0] for n in kept] == list(range(len(names)))
    assert not [n for n in kept if "/" in n or "\\" in n or not n.strip(".") or n.startswith("__")]
    folded = [n.casefold() for n in [*images.variables, "zarr.json"]]
    assert len(set(folded)) == len(folded)
    assert {"Sex", "größe", "🦋", "100 %"} <= set(kept)
    round_trip(images, tmp_path / "x.zarr")


def test_columns_of_the_same_name_are_both_kept(flat):
    table = pd.DataFrame([["1.png", "A", 1, 2]], columns=["file", "species", "m", "m"])
    images = fk.read_images(table, root=flat)
    assert [images.m.item(), images.table_m.item()] == [1, 2]


def test_the_users_table_is_not_changed(flat):
    table = frame(width=[1, 2]).set_index(pd.Index([7, 9]))
    before = table.copy()
    images = fk.read_images(table, root=flat)
    assert images.table_width.values.tolist() == [1, 2]
    pd.testing.assert_frame_equal(table, before)


# --- mistakes ---


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda d: fk.read_images(d / "gone"), FileNotFoundError, "gone' does not exist.*Expected a folder of photos"),
        (lambda d: fk.read_images(d, d / "gone.csv"), FileNotFoundError, "The table '.*gone.csv' does not exist"),
        (lambda d: fk.read_images(d, check="full"), ValueError, "check must be one of 'decode', 'header'. Got 'full'"),
        (lambda d: fk.read_images(d / "1.png"), ValueError, "must end in .csv, .tsv, .txt or .parquet. Got '1.png'"),
        (lambda d: fk.read_images(d, species="kind"), ValueError, "no table was given"),
        (lambda d: fk.read_images(d, frame(), root=d), ValueError, "`root` goes with a table alone"),
        (lambda d: fk.read_images(frame(), frame()), ValueError, "`source` is itself a table"),
        (lambda d: fk.read_images(frame(), path="fiel"), ValueError, "no column 'fiel'. Did you mean 'file'?"),
        (lambda d: fk.read_images(frame(), species="xyz"), ValueError, "no column 'xyz'. Known: 'file', 'species'"),
        (lambda d: fk.read_images(pd.DataFrame({"a": [1]})), ValueError, r"photo's file. Its columns are 'a': .*path="),
        (
            lambda d: fk.read_images(pd.DataFrame({"file": [1]})),
            ValueError,
            r"the species. Its columns are 'file'.*species=",
        ),
        (lambda d: fk.read_images(frame()[:0]), ValueError, "No photo found in .*table with one row per photo"),
    ],
)
def test_mistakes_are_explained(flat, call, kind, message):
    with pytest.raises(kind, match=message.replace("?", r"\?")):
        call(flat)


def test_an_empty_folder_is_explained(tmp_path):
    with pytest.raises(ValueError, match="No photo found in .* expected one folder per species"):
        fk.read_images(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "file,species\n1.png,été\n".encode("latin-1"), "'t.csv' is not UTF-8 text: save it as 'CSV UTF-8'"),
        ("t.csv", "file,species\n1.png,A\n".encode("utf-16"), "'t.csv' is not UTF-8 text"),
        ("t.csv", b"", "'t.csv' cannot be read as a table"),
        ("t.csv", b"file,species\n1.png,A\n2.png,B,x,y\n", "'t.csv' cannot be read as a table"),
        ("t.csv", b"file,species\n1.png,A,x,y\n2.png,B\n", "'t.csv' cannot be read as a table"),
        ("t.parquet", b"no parquet", "'t.parquet' cannot be read as a table"),
        ("t.xlsx", b"PK", "must end in .csv, .tsv, .txt or .parquet. Got 't.xlsx'"),
        ("t.csv", b"file,species\n", "No photo found"),
    ],
)
def test_broken_tables_are_explained(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        fk.read_images(tmp_path / name)


def test_fingerprints_tell_files_apart_and_notice_changes(tmp_path):
    for name, colour in (("a/1.png", "red"), ("a/2.png", "blue"), ("a/3.png", "red")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9), colour).save(tmp_path / name)
    prints = fk.read_images(tmp_path).fingerprint.values
    assert prints[0] == prints[2] != prints[1]
    assert all(len(p) == 16 for p in prints)
    Image.new("RGB", (9, 9), "green").save(tmp_path / "a/1.png")
    again = fk.read_images(tmp_path).fingerprint.values
    assert again[0] != prints[0]
    assert again[1] == prints[1]


def test_a_study_among_the_photos_is_not_photos(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "a/1.png")
    (tmp_path / "s.zarr" / "images").mkdir(parents=True)
    (tmp_path / "s.zarr" / "zarr.json").write_text("{}")
    (tmp_path / "s.zarr" / "images" / "0").write_bytes(b"chunk")
    assert list(fk.read_images(tmp_path).image.values) == ["a/1.png"]
