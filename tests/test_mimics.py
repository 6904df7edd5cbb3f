"""The mimics data set: same parameters give the same photos, and the planted truth is where the masks say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

import finerkit as fk
from finerkit.datasets import _mimics
from finerkit.datasets._folders import DONE
from finerkit.datasets._masks import MASK_KINDS
from finerkit.datasets._pairs import KINDS, SPECIES, pair_of
from finerkit.datasets._photo import plan_photo, render

SIZE = 192


def make(out, n=2, pairs=1, **more):
    return fk.datasets.mimics(n, pairs, image_size=SIZE, out=out, progress=False, **more)


def contents(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(Path(root).rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    root = tmp_path_factory.mktemp("mimics") / "all"
    return root, make(root, 4, None)


# --- what is written --------------------------------------------------------------------------------------------


def test_dataset_has_the_table_as_metadata(sample):
    root, images = sample
    assert dict(images.sizes) == {"image": 4 * len(SPECIES)}
    assert (images.status == "ok").all()
    assert set(images.species.values) == set(SPECIES)
    columns = ["pair", "sex", "scene", "trait", "trait_kind", "trait_present", "n_animals", "partial", "shortcut"]
    assert set(columns) <= set(images.data_vars)
    assert list(pd.read_csv(root / "table.csv").columns) == ["path", "species", *columns]
    assert images.trait_present.dtype == images.partial.dtype == images.shortcut.dtype == bool
    assert not images.shortcut.any()
    assert images.attrs["masks"] == str(root / "masks")
    for image in images.image.values:
        one = images.sel(image=image)
        pair = pair_of(str(one.species.item()))
        assert one.pair.item() == pair.genus
        assert one.trait_present.item() == (one.species.item() == pair.shows)


def test_every_species_has_both_scenes_and_sexes(sample):
    frame = sample[1].to_dataframe()
    for _, photos in frame.groupby("species"):
        assert set(photos.scene) == {"pinned", "outdoors"}
        assert set(photos.sex) == {"female", "male"}
        assert len(photos.groupby(["scene", "sex"])) == 4


def test_photos_come_in_several_shapes_with_the_longest_side_asked_for(sample):
    images = sample[1]
    width, height = images.width.values, images.height.values
    assert (np.maximum(width, height) == SIZE).all()
    assert {"landscape", "square", "portrait"} == {
        "square" if w == h else "landscape" if w > h else "portrait" for w, h in zip(width, height, strict=True)
    }


def test_fixed_size(tmp_path):
    images = fk.datasets.mimics(1, 1, image_size=(160, 96), out=tmp_path / "m", progress=False)
    assert set(images.width.values) == {160}
    assert set(images.height.values) == {96}


# --- same parameters, same photos -------------------------------------------------------------------------------


def test_same_bytes_twice(tmp_path):
    make(tmp_path / "a", 1)
    make(tmp_path / "b", 1)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_fewer_photos_and_fewer_pairs_are_a_part_of_the_same(sample, tmp_path):
    make(tmp_path / "few", 1, ["Ostrelia", "Ruvessa"])
    whole, few = contents(sample[0]), contents(tmp_path / "few")
    few.pop("table.csv"), few.pop(DONE)
    assert len(few) == 4 * 4
    assert all(whole[name] == data for name, data in few.items())


def test_another_seed_gives_other_photos(sample, tmp_path):
    make(tmp_path / "b", 1, seed=1)
    whole, other = contents(sample[0]), contents(tmp_path / "b")
    assert not any(whole[name] == data for name, data in other.items() if name.endswith(".jpg"))


# --- masks ------------------------------------------------------------------------------------------------------


def test_masks_are_aligned_and_consistent(sample):
    images = sample[1]
    for image in images.image.values:
        one = images.sel(image=image)
        animal, parts, trait = (fk.datasets.mask(images, image, kind) for kind in MASK_KINDS)
        assert animal.shape == parts.shape == trait.shape == (one.height.item(), one.width.item())
        assert animal.dtype == trait.dtype == bool
        assert parts.dtype == np.uint8
        assert set(np.unique(parts)) <= set(fk.datasets.PART_LABELS.values())
        np.testing.assert_array_equal(parts > 0, animal)
        assert 0.02 < animal.mean() < 0.8
        assert trait.any()
        if one.trait_present or one.trait_kind != "shape":
            bearing = fk.datasets.PART_LABELS[pair_of(str(one.species.item())).part]
            assert (parts[trait] == bearing).mean() > 0.98
        else:
            assert animal[trait].mean() < 0.6  # the missing tail lies outside the animal


def test_masks_lie_on_the_animal(sample):
    """The pixels of the pinned photos that differ from the board are those of the mask."""
    images = sample[1]
    image = images.image.values[(images.species == "Ruvessa calyra") & (images.scene == "pinned")][0]
    grey = np.asarray(Image.open(images.path.sel(image=image).item()).convert("L"), float)
    animal = fk.datasets.mask(images, image)
    away = ~binary_dilation(animal, iterations=12)
    assert np.median(grey[animal]) < np.median(grey[away]) - 60


def test_some_trait_is_small(sample):
    images = sample[1]
    share = {}
    for image in images.image.values[images.trait_present.values]:
        animal, trait = fk.datasets.mask(images, image), fk.datasets.mask(images, image, "trait")
        share.setdefault(images.trait.sel(image=image).item(), []).append((animal & trait).sum() / animal.sum())
    medians = {name: np.median(values) for name, values in share.items()}
    assert medians["orange hindwing corner spot"] < 0.02
    assert medians["hindwing eyespot"] > 0.02


def test_mask_reads_selections_and_names_what_is_wrong(sample):
    root, images = sample
    part = images.isel(image=[3])
    assert fk.datasets.mask(part, part.image.values[0]).any()
    with pytest.raises(ValueError, match="kind must be one of 'animal', 'parts', 'trait'"):
        fk.datasets.mask(images, images.image.values[0], "wings")
    with pytest.raises(ValueError, match=r"No image 'nobody'.*images\.image\.values"):
        fk.datasets.mask(images, "nobody")
    with pytest.raises(ValueError, match="no masks: expected the Dataset returned by fk.datasets.mimics"):
        fk.datasets.mask(fk.read_images(root / "images", progress=False), images.image.values[0])


# --- the planted truth ------------------------------------------------------------------------------------------


def test_the_table_of_pairs_is_sound():
    assert len(fk.datasets.PAIRS) >= 4
    assert {pair.kind for pair in fk.datasets.PAIRS} == set(KINDS)
    assert len(set(SPECIES)) == 2 * len(fk.datasets.PAIRS)
    assert all(s.split()[0] == pair.genus for pair in fk.datasets.PAIRS for s in pair.species)
    first = [pair.shows < pair.lacks for pair in fk.datasets.PAIRS]
    assert set(first) == {True, False}  # the alphabet does not tell which species shows the trait


@pytest.mark.parametrize("pair", fk.datasets.PAIRS, ids=lambda pair: pair.genus)
@pytest.mark.parametrize("i", [0, 1, 7])
def test_the_same_individual_as_either_species_differs_only_at_the_trait(pair, i):
    plan = plan_photo(3, 0, i, 256)
    shown, lacking = (render(plan, pair.genus, shows=shows, clean=True) for shows in (True, False))
    differs = (shown.picture != lacking.picture).any(-1)
    trait = shown.trait | lacking.trait
    assert not (differs & ~binary_dilation(trait, iterations=3)).any()
    assert differs[trait].mean() > 0.25
    strong = np.abs(shown.picture.astype(int) - lacking.picture).max(-1) > 25
    assert strong.sum() > 10


def test_sexes_differ_the_same_way_in_both_species():
    plans = {i: plan_photo(0, 0, i, 256) for i in (0, 1)}
    assert [plans[i].sex for i in plans] == ["female", "male"]
    assert [plan_photo(0, 1, i, 256).sex for i in plans] == ["female", "male"]


# --- shortcut ---------------------------------------------------------------------------------------------------


def test_shortcut_is_in_the_table_and_leaves_masks_alone(tmp_path):
    plain, planted = make(tmp_path / "plain", 6), make(tmp_path / "short", 6, shortcut=True)
    rate = planted.to_dataframe().groupby("species").shortcut.mean()
    pair = fk.datasets.PAIRS[0]
    assert rate[pair.shows] >= 0.6
    assert rate[pair.lacks] <= 0.34
    before, after = contents(tmp_path / "plain"), contents(tmp_path / "short")
    assert all(after[name] == data for name, data in before.items() if name.startswith("masks"))
    for image, is_planted in zip(planted.image.values, planted.shortcut.values, strict=True):
        assert (before[f"images/{image}"] != after[f"images/{image}"]) == is_planted
    np.testing.assert_array_equal(plain.image, planted.image)


@pytest.mark.parametrize("i", [0, 1])
def test_shortcut_changes_the_background_only(i):
    plan = plan_photo(0, 0, i, 256)
    plain, planted = (render(plan, "Velanthis", shows=True, shortcut=s, clean=True) for s in (False, True))
    differs = (plain.picture != planted.picture).any(-1)
    assert differs.sum() > 100
    inside = ~binary_dilation(~plain.animal, iterations=2)
    assert not (differs & inside).any()


# --- folders ----------------------------------------------------------------------------------------------------


def test_a_complete_folder_is_reused(tmp_path, monkeypatch):
    first = make(tmp_path / "m", 1)
    monkeypatch.setattr(_mimics, "_write_all", None)  # would fail if called
    assert make(tmp_path / "m", 1).identical(first)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_killed_run_leaves_nothing(tmp_path, monkeypatch):
    def broken(root, *_):
        (root / "table.csv").write_text("half", "utf-8")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_mimics, "_write_all", broken)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "m", 1)
    assert list(tmp_path.iterdir()) == []
    assert make(tmp_path / "m", 1).sizes["image"] == 2


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    make(tmp_path / "m", 1)
    with pytest.raises(FileExistsError, match=r"other parameters \(seed=0, not 5\).*another out="):
        make(tmp_path / "m", 1, seed=5)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear", "utf-8")
    with pytest.raises(FileExistsError, match="neither empty nor a complete data set"):
        make(tmp_path / "mine", 1)
    assert contents(tmp_path / "mine") == {"thesis.txt": b"dear"}
    (tmp_path / "empty").mkdir()
    assert make(tmp_path / "empty", 1).sizes["image"] == 2
    assert json.loads((tmp_path / "m" / DONE).read_text("utf-8"))["parameters"]["seed"] == 0


def test_the_cache_folder_says_every_parameter(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path))
    images = fk.datasets.mimics(1, ["nervada"], image_size=SIZE, seed=2, shortcut=True, progress=False)
    folder = Path(images.attrs["masks"]).parent
    assert folder == tmp_path / f"mimics-v{_mimics.VERSION}_n1_Nervada_seed2_192px_shortcut"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_per_species": 0}, ValueError, r"n_per_species must be an int in the range \[1, inf\). Got 0"),
        ({"n_per_species": 1.5}, TypeError, "n_per_species must be an int. Got 1.5"),
        ({"seed": -1}, ValueError, "seed must be"),
        ({"pairs": 99}, ValueError, "pairs must be in the range"),
        ({"pairs": ["Velantis"]}, ValueError, r"No pair named 'Velantis'. Did you mean 'Velanthis'\?"),
        ({"pairs": []}, ValueError, "pairs must be a number or names"),
        ({"image_size": (1, 2, 3)}, ValueError, r"image_size must be one int or \(width, height\)"),
        ({"image_size": 10}, ValueError, r"image_size must be an int in the range \[64, inf\)"),
    ],
)
def test_wrong_parameters_are_named(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        fk.datasets.mimics(**{"n_per_species": 1, "out": tmp_path / "m", **arguments})
    assert list(tmp_path.iterdir()) == []


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


def test_committed_sample_is_whole():
    root = Path(__file__).parent.parent / "data" / "mimics"
    if not root.is_dir():
        pytest.skip("this checkout has no data folder")
    parameters = json.loads((root / DONE).read_text("utf-8"))["parameters"]
    table = pd.read_csv(root / "table.csv")
    assert parameters["version"] == _mimics.VERSION
    assert len(table) == parameters["n_per_species"] * 2 * len(parameters["pairs"])
    for path in table.path:
        with Image.open(root / "images" / path) as photo:
            size = photo.size
        for kind in MASK_KINDS:
            with Image.open((root / "masks" / kind / path).with_suffix(".png")) as png:
                assert png.size == size
