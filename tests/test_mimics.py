"""The photos that ship with finerkit are whole and true to their table and masks; copies are whole or absent."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mimics_generator import sample
from mimics_generator.draw import planned
from mimics_generator.photo import render
from PIL import Image

import finerkit as fk
from finerkit.datasets import PAIRS, _mimics, mask, mimics
from finerkit.datasets._masks import MASK_KINDS

COLUMNS = ["pair", "sex", "scene", "trait", "trait_kind", "trait_present", "n_animals", "partial", "shortcut"]
SAMPLE = _mimics._sample()


def contents(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(Path(root).rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def images():
    return mimics()


# --- the sample -------------------------------------------------------------------------------------------------


def test_what_goes_into_the_wheel_is_at_most_9_mb():
    files = contents(SAMPLE)
    assert sum(map(len, files.values())) <= 9e6
    assert len([f for f in files if f.startswith("images/")]) == 24 * 2 * len(PAIRS)
    assert len([f for f in files if f.startswith("shortcut/")]) == 24 * 2
    assert len([f for f in files if f.startswith("masks/")]) == 24 * 2 * len(PAIRS) * len(MASK_KINDS)


def test_all_photos_with_their_table(images):
    assert dict(images.sizes) == {"image": 192}
    assert (images.status == "ok").all()
    assert set(images.species.values) == {species for pair in PAIRS for species in pair.species}
    assert set(COLUMNS) <= set(images.data_vars)
    assert "true_label" not in images
    assert images.trait_present.dtype == images.partial.dtype == images.shortcut.dtype == bool
    assert not images.shortcut.any()
    for pair in PAIRS:
        photos = images.isel(image=images.pair.values == pair.genus)
        assert set(photos.species.values) == set(pair.species)
        assert set(photos.trait.values) == {pair.trait}
        np.testing.assert_array_equal(photos.trait_present, photos.species == pair.shows)
    for image, species in zip(images.image.values, images.species.values, strict=True):
        assert image.startswith(f"{species}/{species.lower().replace(' ', '-')}-")


def test_masks_are_aligned(images):
    for image in images.image.values:
        one = images.sel(image=image)
        animal, parts, trait = (mask(images, image, kind) for kind in MASK_KINDS)
        assert animal.shape == parts.shape == trait.shape == (one.height.item(), one.width.item())
        assert animal.dtype == trait.dtype == bool
        assert parts.dtype == np.uint8
        assert set(np.unique(parts)) <= set(fk.datasets.PART_LABELS.values())
        np.testing.assert_array_equal(parts > 0, animal)
        assert trait.any() or one.partial  # a trait may be cut off by the frame
        if one.trait_present or one.trait_kind != "shape":
            bearing = next(pair.part for pair in PAIRS if pair.genus == one.pair.item())
            assert not trait.any() or (parts[trait] == fk.datasets.PART_LABELS[bearing]).mean() > 0.98


def test_the_generator_draws_the_same_photos():
    """Up to JPEG, and to what other versions of matplotlib do to an edge."""
    clean, planted = mimics(2, ["Nervada"]), mimics(2, ["Nervada"], shortcut=True)
    assert planted.shortcut.values.tolist() == [False, True, False, False]
    path, species, pair, plan = list(planned([PAIRS[-1]], 2, sample.SEED, sample.IMAGE_SIZE))[1]
    for images in (clean, planted):
        one = images.sel(image=path)
        drawn = render(plan, pair.genus, shows=species == pair.shows, shortcut=one.shortcut.item())
        with Image.open(one.path.item()) as photo:
            difference = np.abs(np.asarray(photo, float) - drawn.picture)
        assert difference.mean() < 4
        assert (mask(images, path, "trait") != drawn.trait).mean() < 1e-3
        assert (mask(images, path, "parts") != drawn.parts).mean() < 1e-3


def test_fewer_photos_and_pairs_are_the_first_ones(images):
    few = mimics(3, ["ostrelia", "Ruvessa"])
    assert few.sizes["image"] == 3 * 4
    assert set(few.pair.values) == {"Ruvessa", "Ostrelia"}
    assert few.image.values[:3].tolist() == [f"Ruvessa calyra/ruvessa-calyra-00{i}.jpg" for i in range(3)]
    np.testing.assert_array_equal(few.sha256, images.sha256.sel(image=few.image))
    assert set(mimics(1, 2).pair.values) == {"Velanthis", "Ruvessa"}
    assert set(mimics(1, "Nervada").pair.values) == {"Nervada"}


def test_the_shortcut_is_where_the_table_says(images):
    planted = mimics(shortcut=True)
    assert set(planted.pair.values) == {"Nervada"}
    assert planted.sizes["image"] == 48
    rate = planted.to_dataframe().groupby("species").shortcut.mean()
    assert rate["Nervada tessia"] > 0.6
    assert rate["Nervada ilvana"] < 0.1
    clean = images.sel(image=planted.image)
    np.testing.assert_array_equal(clean.sha256 != planted.sha256, planted.shortcut)
    assert planted.attrs["masks"] == clean.attrs["masks"]


def test_wrong_labels_are_marked(images):
    careless = mimics(wrong_labels=True)
    assert careless.true_label.values.tolist() == images.species.values.tolist()
    wrong = careless.isel(image=careless.species.values != careless.true_label.values)
    assert set(wrong.image.values) == sample.WRONG_LABELS
    assert wrong.sizes["image"] == 6
    for one in (wrong.sel(image=i) for i in wrong.image):
        assert one.species.item().split()[0] == one.true_label.item().split()[0]
    np.testing.assert_array_equal(careless.trait_present, images.trait_present)  # of the animal, not of its label


# --- copies -----------------------------------------------------------------------------------------------------


def test_a_copy_holds_photos_masks_and_table(tmp_path):
    root = tmp_path / "m"
    copied = mimics(2, ["Nervada"], shortcut=True, wrong_labels=True, out=root)
    assert copied.drop_vars("path").equals(mimics(2, ["Nervada"], shortcut=True, wrong_labels=True).drop_vars("path"))
    assert all(Path(path).is_relative_to(root / "images") for path in copied.path.values)
    assert copied.attrs["masks"] == str(root / "masks")
    assert mask(copied, copied.image.values[0], "trait").any()
    assert set(pd.read_csv(root / "table.csv").columns) == {"path", "species", *COLUMNS, "true_label"}
    assert len(contents(root)) == 4 * 4 + 2
    again = fk.read_images(root / "images", root / "table.csv", progress=False)
    assert again.equals(copied)


def test_a_complete_folder_is_reused(tmp_path, monkeypatch):
    first = mimics(1, 1, out=tmp_path / "m")
    monkeypatch.setattr(shutil, "copyfile", None)  # would fail if called
    assert mimics(1, 1, out=tmp_path / "m").identical(first)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_killed_copy_leaves_nothing(tmp_path, monkeypatch):
    def broken(source, target):
        Path(target).write_text("half", "utf-8")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", broken)
        with pytest.raises(KeyboardInterrupt):
            mimics(1, 1, out=tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
    assert mimics(1, 1, out=tmp_path / "m").sizes["image"] == 2


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    mimics(1, 1, out=tmp_path / "m")
    with pytest.raises(FileExistsError, match=r"other parameters \(n_per_species=1, not 2\).*another out="):
        mimics(2, 1, out=tmp_path / "m")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear", "utf-8")
    with pytest.raises(FileExistsError, match="neither empty nor a complete data set"):
        mimics(1, 1, out=tmp_path / "mine")
    assert contents(tmp_path / "mine") == {"thesis.txt": b"dear"}
    (tmp_path / "empty").mkdir()
    assert mimics(1, 1, out=tmp_path / "empty").sizes["image"] == 2


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_per_species": 0}, ValueError, r"n_per_species must be an int in the range \[1, 24\]. Got 0"),
        ({"n_per_species": 80}, ValueError, r"Got 80 instead. Draw others.*mimics_generator.draw_mimics\("),
        ({"seed": 1}, TypeError, r"takes no seed. Draw others.*mimics_generator.draw_mimics\("),
        ({"pairs": 5}, ValueError, r"pairs must be an int in the range \[1, 4\].*Or give names of pairs"),
        ({"pairs": ["Velantis"]}, ValueError, r"No pair named 'Velantis'. Did you mean 'Velanthis'\?"),
        ({"pairs": []}, ValueError, "pairs must be a number or names"),
        ({"pairs": ["Ruvessa"], "shortcut": True}, ValueError, "shortcut for Nervada only, not for Ruvessa. Draw"),
    ],
)
def test_wrong_parameters_are_named(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        mimics(**{"n_per_species": 1, "out": tmp_path / "m", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_mask_reads_selections_and_names_what_is_wrong(images):
    part = images.isel(image=[3])
    assert mask(part, part.image.values[0]).any()
    with pytest.raises(ValueError, match="kind must be one of 'animal', 'parts', 'trait'"):
        mask(images, images.image.values[0], "wings")
    with pytest.raises(ValueError, match=r"No image named 'nobody'.*images\.image\.values"):
        mask(images, "nobody")
    with pytest.raises(ValueError, match="no masks: expected the Dataset returned by fk.datasets.mimics"):
        mask(images.drop_attrs(), images.image.values[0])


# --- the cat, and the import ------------------------------------------------------------------------------------


def test_cat(tmp_path):
    images = fk.datasets.cat(tmp_path)
    assert images.image.values.tolist() == ["Egyptian cat/chelsea.png"]
    assert images.species.values.tolist() == ["Egyptian cat"]
    assert (images.width.item(), images.height.item()) == (451, 300)
    before = contents(tmp_path)
    assert fk.datasets.cat(tmp_path).identical(images)
    assert contents(tmp_path) == before


def test_importing_datasets_is_light():
    code = "import sys, finerkit; finerkit.datasets.mimics; print(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"
