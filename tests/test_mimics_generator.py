"""The generator of mimics: same parameters give the same photos, and the planted truth is where the masks say."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mimics_generator import PAIRS, SPECIES, draw, draw_mimics, pair_of
from mimics_generator.pairs import KINDS
from mimics_generator.photo import plan_photo, render
from PIL import Image
from scipy.ndimage import binary_dilation

import finerkit as fk
from finerkit.datasets._folders import DONE
from finerkit.datasets._masks import MASK_KINDS

SIZE = 192


def make(out, n=2, pairs=1, **more):
    return draw_mimics(n, pairs, **{"image_size": SIZE, "progress": False} | more, out=out)


def contents(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(Path(root).rglob("*")) if p.is_file()}


def digest(root):
    """Of all files but the note of the parameters."""
    found = hashlib.sha256()
    for path, data in contents(root).items():
        if path != DONE:
            found.update(path.encode() + b"\0" + data)
    return found.hexdigest()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("mimics") / "all"
    return root, make(root, 4, None)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("mimics") / "short"
    return root, make(root, 6, shortcut=True)


# --- what is written --------------------------------------------------------------------------------------------


def test_dataset_has_the_table_as_metadata(drawn):
    root, images = drawn
    assert dict(images.sizes) == {"image": 4 * len(SPECIES)}
    assert (images.status == "ok").all()
    assert set(images.species.values) == set(SPECIES)
    columns = ["pair", "sex", "scene", "trait", "trait_kind", "trait_present", "n_animals", "partial", "shortcut"]
    assert list(pd.read_csv(root / "table.csv").columns) == ["path", "species", *columns]
    assert images.trait_present.dtype == images.partial.dtype == images.shortcut.dtype == bool
    assert not images.shortcut.any()
    assert images.attrs["masks"] == str(root / "masks")
    for image in images.image.values:
        one = images.sel(image=image)
        pair = pair_of(str(one.species.item()))
        assert one.pair.item() == pair.genus
        assert one.trait_present.item() == (one.species.item() == pair.shows)


def test_every_species_has_both_scenes_and_sexes(drawn):
    frame = drawn[1].to_dataframe()
    for _, photos in frame.groupby("species"):
        assert set(photos.scene) == {"pinned", "outdoors"}
        assert set(photos.sex) == {"female", "male"}
        assert len(photos.groupby(["scene", "sex"])) == 4


def test_photos_come_in_several_shapes_with_the_longest_side_asked_for(drawn):
    images = drawn[1]
    width, height = images.width.values, images.height.values
    assert (np.maximum(width, height) == SIZE).all()
    assert {"landscape", "square", "portrait"} == {
        "square" if w == h else "landscape" if w > h else "portrait" for w, h in zip(width, height, strict=True)
    }


def test_fixed_size(tmp_path):
    images = make(tmp_path / "m", 1, image_size=(160, 96))
    assert set(images.width.values) == {160}
    assert set(images.height.values) == {96}


# --- same parameters, same photos -------------------------------------------------------------------------------


@pytest.mark.skipif(
    {name: version(name) for name in ("matplotlib", "pillow")} != {"matplotlib": "3.11.2", "pillow": "13.0.0"},
    reason="other versions of matplotlib and Pillow may draw other pixels",
)
def test_parameters_name_the_photos_that_they_always_named(drawn, planted, tmp_path):
    """Digests were measured when the generator was moved here from the package."""
    make(tmp_path / "another seed", 1, ["Nervada"], seed=5, image_size=512)
    assert digest(drawn[0]) == "8a6f9c7f0ff123c6a7d2da351ad88361634ca5999873d1cf3c87d22e5d9c4d62"
    assert digest(planted[0]) == "f34f74c035ef55e0f56cbfa8bc694673e3957f8e9d448b8438160fec15b7a8dd"
    assert digest(tmp_path / "another seed") == "69e0ae0352ddfa8648f5328ee5dce436bb42223cb40302679a0c5f59cca2ff10"


def test_fewer_photos_and_fewer_pairs_are_a_part_of_the_same_bytes(drawn, tmp_path):
    make(tmp_path / "few", 1, ["Ostrelia", "Ruvessa"])
    whole, few = contents(drawn[0]), contents(tmp_path / "few")
    few.pop("table.csv"), few.pop(DONE)
    assert len(few) == 4 * 4
    assert all(whole[name] == data for name, data in few.items())


def test_another_seed_gives_other_photos(drawn, tmp_path):
    make(tmp_path / "b", 1, seed=1)
    whole, other = contents(drawn[0]), contents(tmp_path / "b")
    assert not any(whole[name] == data for name, data in other.items() if name.endswith(".jpg"))


# --- masks ------------------------------------------------------------------------------------------------------


def test_masks_are_aligned_and_consistent(drawn):
    images = drawn[1]
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


def test_masks_lie_on_the_animal(drawn):
    """The pixels of the pinned photos that differ from the board are those of the mask."""
    images = drawn[1]
    image = images.image.values[(images.species == "Ruvessa calyra") & (images.scene == "pinned")][0]
    grey = np.asarray(Image.open(images.path.sel(image=image).item()).convert("L"), float)
    animal = fk.datasets.mask(images, image)
    away = ~binary_dilation(animal, iterations=12)
    assert np.median(grey[animal]) < np.median(grey[away]) - 60


def test_some_trait_is_small(drawn):
    images = drawn[1]
    share = {}
    for image in images.image.values[images.trait_present.values]:
        animal, trait = fk.datasets.mask(images, image), fk.datasets.mask(images, image, "trait")
        share.setdefault(images.trait.sel(image=image).item(), []).append((animal & trait).sum() / animal.sum())
    medians = {name: np.median(values) for name, values in share.items()}
    assert medians["orange hindwing corner spot"] < 0.02
    assert medians["hindwing eyespot"] > 0.02


# --- the planted truth ------------------------------------------------------------------------------------------


def test_the_table_of_pairs_is_sound():
    assert {pair.kind for pair in PAIRS} == set(KINDS)
    assert len(set(SPECIES)) == 2 * len(PAIRS)
    assert [p for p in PAIRS if p.genus != "Lumisca"] == list(fk.datasets.PAIRS)
    assert all(s.split()[0] == pair.genus for pair in PAIRS for s in pair.species)
    first = [pair.shows < pair.lacks for pair in PAIRS]
    assert set(first) == {True, False}  # the alphabet does not tell which species shows the trait


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.genus)
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


def test_shortcut_is_in_the_table_and_leaves_masks_alone(planted, tmp_path):
    root, images = planted
    plain = make(tmp_path / "plain", 6)
    rate = images.to_dataframe().groupby("species").shortcut.mean()
    assert rate[PAIRS[0].shows] >= 0.6
    assert rate[PAIRS[0].lacks] <= 0.34
    before, after = contents(tmp_path / "plain"), contents(root)
    assert all(after[name] == data for name, data in before.items() if name.startswith("masks"))
    for image, has_it in zip(images.image.values, images.shortcut.values, strict=True):
        assert (before[f"images/{image}"] != after[f"images/{image}"]) == has_it
    np.testing.assert_array_equal(plain.image, images.image)


@pytest.mark.parametrize("i", [0, 1])
def test_shortcut_changes_the_background_only(i):
    plan = plan_photo(0, 0, i, 256)
    plain, planted = (render(plan, "Velanthis", shows=True, shortcut=s, clean=True) for s in (False, True))
    differs = (plain.picture != planted.picture).any(-1)
    assert differs.sum() > 100
    inside = ~binary_dilation(~plain.animal, iterations=2)
    assert not (differs & inside).any()


# --- folders and parameters -------------------------------------------------------------------------------------


def test_a_complete_folder_is_reused(drawn, monkeypatch):
    root, images = drawn
    monkeypatch.setattr(draw, "_write_all", None)  # would fail if called
    assert make(root, 4, None).identical(images)
    with pytest.raises(FileExistsError, match=r"other parameters \(seed=0, not 5\).*another out="):
        make(root, 4, None, seed=5)
    assert json.loads((root / DONE).read_text("utf-8"))["parameters"]["seed"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_per_species": 0}, r"n_per_species must be an int in the range \[1, inf\). Got 0"),
        ({"n_per_species": 1.5}, r"n_per_species must be an int in the range \[1, inf\). Got 1.5"),
        ({"seed": -1}, "seed must be"),
        ({"pairs": 99}, r"pairs must be an int in the range \[1, 5\]"),
        ({"pairs": ["Lumiska"]}, r"No pair named 'Lumiska'. Did you mean 'Lumisca'\?"),
        ({"image_size": (1, 2, 3)}, r"image_size must be one int or \(width, height\)"),
        ({"image_size": 10}, r"image_size must be an int in the range \[64, inf\)"),
    ],
)
def test_wrong_parameters_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_mimics(**{"n_per_species": 1, "out": tmp_path / "m", **arguments})
    assert list(tmp_path.iterdir()) == []
