"""Copies of a photo never judge each other: photos of noise are recognised by chance, however often each is there."""

import shutil

import numpy as np
import pytest
from PIL import Image

import finerkit as fk


def noise(root, species="AB", photos=20):
    """Photos of noise, each with a copy."""
    rng = np.random.default_rng(0)
    for name in species:
        (root / name).mkdir(parents=True)
        for i in range(photos):
            path = root / name / f"{i:02}.png"
            Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(path)
            shutil.copy(path, root / name / f"{i:02} (copy).png")
    return root


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    images = fk.read_images(noise(folder / "photos"), progress=False)
    assert (images["duplicate_of"].values != "").sum() == 40
    model = fk.load_model("test_resnet", 64, "cpu", pretrained=False)
    return fk.analyze(images, model, folder / "s.zarr", progress=False)


def test_noise_is_recognised_by_chance(study):
    attrs = study["species"].attrs
    assert attrs["chance_level"] == 0.5
    assert 0.25 < attrs["accuracy"] < 0.75  # 40 different photos: further from .5 once in 600
    assert study["species"]["n_photos"].values.tolist() == [40, 40]


def test_each_copy_is_judged_by_the_head_that_judges_its_original(study):
    fold = study["predictions"]["fold"].to_series()
    copies = study["images"]["duplicate_of"].to_series()
    copies = copies[copies != ""]
    assert (fold[copies.index].values == fold[copies.values].values).all()
    assert sorted(set(fold)) == [0, 1, 2, 3, 4]


def test_a_file_under_two_species_teaches_no_head_that_judges_it(tmp_path):
    root = noise(tmp_path / "photos", photos=6)
    shutil.copy(root / "A" / "00.png", root / "B" / "stray.png")
    with pytest.warns(fk.DuplicateWarning):
        images = fk.read_images(root, progress=False)
    model = fk.load_model("test_resnet", 64, "cpu", pretrained=False)
    study = fk.analyze(images, model, tmp_path / "s.zarr", progress=False)
    fold = study["predictions"]["fold"].to_series()
    assert fold["B/stray.png"] == fold["A/00.png"] == fold["A/00 (copy).png"]
