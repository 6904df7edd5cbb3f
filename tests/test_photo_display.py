"""Photos as they are drawn: copies, parts, and what stands in for files that are gone."""

import numpy as np
import pytest
from PIL import Image
from samples import random_pair
from species_study import species_study
from test_trait_explorer import kept, store, stored  # noqa: F401 - fixtures

import finerkit as fk
from finerkit.output.widgets.photos import crop_jpeg, jpeg
from finerkit.photos.display import display_crop, display_photo, gone, is_there
from finerkit.store.photo_paths import paths_of, warn_gone

NOWHERE = "/nowhere/03.png"


@pytest.fixture
def photo(tmp_path):
    """A photo of 60 x 40 pixels, its left half red and its right half blue."""
    picture = Image.new("RGB", (60, 40), "red")
    picture.paste("blue", (30, 0, 60, 40))
    picture.save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def written(picture):
    """Share of the pixels, off the frame, that are ink."""
    return (np.asarray(picture.convert("L"))[4:-4, 4:-4] < 150).mean()


def said(caught):
    return [str(w.message) for w in caught if w.category is fk.PhotoWarning]


def test_a_copy_and_a_part(photo):
    copy = display_photo(photo, (60, 40), 30)
    assert copy.size == (30, 20)
    assert [copy.getpixel(at) for at in ((2, 10), (27, 10))] == [(255, 0, 0), (0, 0, 255)]
    part = display_crop(photo, (60, 40), (40, 0, 60, 10), 100)
    assert part.size == (20, 10)
    assert part.getcolors() == [(200, (0, 0, 255))]
    assert display_photo(photo, (0, 0), 30).size == (1, 1)


@pytest.mark.parametrize("pixels", [80, 220, 600])
@pytest.mark.parametrize("name", ["03.png", "Heliconius_melpomene_rosina_male_000123.jpg", "é蝶\n.png", "y" * 300])
def test_a_photo_that_is_gone_has_its_shape_and_words(pixels, name):
    picture = display_photo(f"/nowhere/{name}", (3000, 2000), pixels)
    assert picture.size == (pixels, round(pixels * 2 / 3))
    assert 0.002 < written(picture) < 0.3
    edge = np.asarray(picture)[[0, -1]]
    assert (edge == edge[0, 0]).all()  # framed, and no word runs over the frame


def test_the_name_of_the_file_is_written_where_there_is_room():
    def drawn(name, pixels):
        return np.asarray(display_photo(f"/nowhere/{name}", (3000, 2000), pixels))

    assert (drawn("03.png", 220) != drawn("04.png", 220)).any()
    assert (drawn(f"{'x' * 40}03.png", 220) != drawn(f"{'x' * 40}04.png", 220)).any()
    np.testing.assert_array_equal(drawn("03.png", 80), drawn("04.png", 80))


def test_a_part_of_a_photo_that_is_gone_says_so_itself():
    part = display_crop(NOWHERE, (3000, 2000), (2900, 0, 3000, 50), 200)
    assert part.size == (100, 50)
    assert written(part) > 0.01
    assert display_crop(NOWHERE, (0, 0), (0, 0, 0, 0), 200).size == (1, 1)


def test_a_file_that_is_no_photo_is_told_from_one_that_is_gone(tmp_path):
    (tmp_path / "03.png").write_text("no photo")
    broken, lost = (display_photo(p, (300, 200), 220) for p in (str(tmp_path / "03.png"), NOWHERE))
    assert gone(NOWHERE) == "photo not found"
    assert gone(str(tmp_path / "03.png")) == ""
    assert (np.asarray(broken) != np.asarray(lost)).any()


@pytest.mark.parametrize("path", ["", ".", "a\0b", "y" * 5000, "~"])
def test_odd_paths_are_not_there(path):
    assert not is_there(path)
    assert written(display_photo(path, (300, 200), 220)) > 0.002
    assert jpeg(path, 300, 200, 220).startswith(b"\xff\xd8")


def test_a_photo_that_comes_back_is_shown(photo, tmp_path):
    here, away = tmp_path / "photo.png", tmp_path / "away.png"
    there = jpeg(photo, 60, 40, 30), crop_jpeg(photo, (60, 40), (0, 0, 9, 9), 9)
    here.rename(away)
    lost = jpeg(photo, 60, 40, 30), crop_jpeg(photo, (60, 40), (0, 0, 9, 9), 9)
    here.write_text("not yet copied")
    broken = jpeg(photo, 60, 40, 30)
    away.replace(here)
    assert (jpeg(photo, 60, 40, 30), crop_jpeg(photo, (60, 40), (0, 0, 9, 9), 9)) == there
    assert len({there[0], lost[0], broken}) == 3
    assert lost[1] != there[1]


def test_what_is_missing_is_counted_and_the_next_call_is_named(tmp_path, photo):
    lost = [f"{tmp_path}/a/1.png", f"{tmp_path}/b/2.png"]
    with pytest.warns(fk.PhotoWarning) as caught:
        assert warn_gone([photo, *lost], "s.zarr", stacklevel=2)
    (words,) = said(caught)
    assert words == (
        f"2 of 3 photos are not found under {str(tmp_path)!r} and drawn as such. Where they were moved: "
        "study = fk.open_study('s.zarr', photos='new/folder'), and ask it again."
    )
    assert not warn_gone([photo], "s.zarr", stacklevel=2)


def test_a_comparison_without_store_keeps_its_paths(tmp_path):
    pair = random_pair(tmp_path)
    assert list(paths_of(pair)) == list(pair["path"].values)
    assert paths_of(pair.isel(image=1)).item() == pair["path"].values[1]


def test_the_strength_explorer_says_once_what_is_missing(tmp_path):
    pair = random_pair(tmp_path, photos=6)
    (tmp_path / "004.png").unlink()
    with pytest.warns(fk.PhotoWarning, match="1 of 6 photos") as caught:
        explorer = fk.StrengthExplorer(pair, page_size=3, sort="name")
    assert explorer._page["gone"] == ["", "", ""]
    explorer.page = 1
    assert explorer._page["gone"] == ["", "photo not found", ""]
    explorer.enlarged = "004.png"
    assert explorer.snapshot()
    assert len(said(caught)) == 1


def test_the_species_explorer_says_once_what_is_missing(tmp_path):
    study = species_study(tmp_path / "photos")
    for file in (tmp_path / "photos").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.warns(fk.PhotoWarning, match=r"of \d+ photos are not found under .*photos") as caught:
        explorer = fk.SpeciesExplorer(study)
    explorer.species = "Rubra una"
    assert {p["gone"] for some in explorer._photos.values() for p in some} == {"photo not found"}
    assert explorer.snapshot()
    assert len(said(caught)) == 1


def test_the_trait_explorer_says_once_what_is_missing(store, kept):  # noqa: F811 - fixtures
    traits = stored(store)
    lost = np.array([f"{p}.gone" for p in traits["path"].values], object)
    traits = traits.assign_coords(path=("image", lost)).drop_vars("row", errors="ignore")
    with pytest.warns(fk.PhotoWarning, match="photos are not found under") as caught:
        explorer = fk.TraitExplorer(traits)
    assert {c["gone"] for row in explorer._rows["rows"] for c in row["crops"]} == {"photo not found"}
    assert explorer.snapshot()
    assert len(said(caught)) == 1


def test_a_trait_sheet_says_once_what_is_missing(store):  # noqa: F811 - fixture
    traits = stored(store)
    lost = np.array([f"{p}.gone" for p in traits["path"].values], object)
    traits = traits.assign_coords(path=("image", lost)).drop_vars("row", errors="ignore")
    with pytest.warns(fk.PhotoWarning, match="photos are not found under") as caught:
        figure = fk.figures.trait_sheet(traits)
    assert len(said(caught)) == 1
    pictures = [p for row in figure.content.pictures for p in row]
    assert all(written(p.photo) > 0.002 for p in pictures)
