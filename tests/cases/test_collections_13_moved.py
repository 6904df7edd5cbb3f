"""Photos, or a study and its photos, that were carried elsewhere."""

import shutil
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image
from samples import SPECIES, write_photos

import finerkit as fk
from finerkit.store.photo_paths import paths_of


@contextmanager
def silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def model():
    return fk.load_model("test_resnet", 64, "cpu", pretrained=False)


@pytest.fixture(scope="module")
def original(tmp_path_factory, model):
    """Copied by `laptop`; it does not lie where it was made."""
    folder = tmp_path_factory.mktemp("made") / "laptop"
    write_photos(folder / "photos", 8)
    study = fk.analyze(fk.read_images(folder / "photos", progress=False), model, folder / "s.zarr", progress=False)
    fk.find_traits(fk.compare(study, SPECIES[0], [SPECIES[1]], progress=False), n_traits=2)
    return folder.rename(folder.with_name("original"))


@pytest.fixture
def laptop(original, tmp_path):
    """A folder with photos, their study, a comparison and traits of it."""
    return shutil.copytree(original, tmp_path / "laptop")


def shows_photos(figure, path):
    """Share of coloured pixels in a saved figure: the drawn photos are noise with a red shape."""
    figure.save(path, dpi=72)
    pixels = np.asarray(Image.open(path).convert("RGB"), int)
    return (np.ptp(pixels, 2) > 40).mean()


def test_study_and_photos_moved_together_open_as_they_are(laptop, tmp_path, model):
    pair = fk.compare(fk.open_study(laptop / "s.zarr"), SPECIES[0], [SPECIES[1]], progress=False)
    before = shows_photos(fk.figures.contrast_grid(pair, [1.0], 2), tmp_path / "before.png")
    server = laptop.rename(tmp_path / "server")
    with silent():
        study = fk.open_study(server / "s.zarr")
        assert study.finerkit.photo_root == str(server / "photos")
        pair = fk.compare(study, SPECIES[0], [SPECIES[1]], progress=False)
        after = shows_photos(fk.figures.contrast_grid(pair, [1.0], 2), tmp_path / "after.png")
        traits = study.finerkit.trait(study.finerkit.traits()[0])
        assert shows_photos(fk.figures.trait_sheet(traits), tmp_path / "traits.png") > 0.01
        scores = fk.score(pair, [0, 1.0], model=model, progress=False)
        page = fk.write_guide(tmp_path / "g.html", pair, traits)
    assert before == after > 0.01
    assert np.isfinite(scores["relative_drop"]).all()
    assert "not found" not in page.read_text()
    again = fk.analyze(fk.read_images(server / "photos", progress=False), model, server / "s.zarr", progress=False)
    assert str(again["images"]["path"].values[0]).startswith(str(server))


def test_photos_moved_alone_are_followed_after_analyze(laptop, tmp_path, model):
    study = fk.open_study(laptop / "s.zarr")
    held = fk.compare(study, SPECIES[0], [SPECIES[1]], progress=False)
    before = shows_photos(fk.figures.contrast_grid(held, [1.0], 2), tmp_path / "before.png")
    (laptop / "photos").rename(tmp_path / "pictures")
    with silent():
        images = fk.read_images(tmp_path / "pictures", progress=False)
        study = fk.analyze(images, model, laptop / "s.zarr", progress=False)
        for name, pair in {
            "asked again": fk.compare(study, SPECIES[0], [SPECIES[1]], progress=False),
            "overwritten": fk.compare(study, SPECIES[0], [SPECIES[1]], overwrite=True, progress=False),
            "held": held,
            "read": study.finerkit.comparison(study.finerkit.comparisons()[0]),
        }.items():
            assert shows_photos(fk.figures.contrast_grid(pair, [1.0], 2), tmp_path / "after.png") == before, name


def test_photos_are_found_where_that_is_said(laptop, tmp_path):
    (laptop / "photos").rename(tmp_path / "pictures")
    with pytest.warns(fk.PhotoWarning, match=r"folder of this study's photos.*is not there.*photos='new/folder'"):
        fk.open_study(laptop / "s.zarr")
    with silent():
        study = fk.open_study(laptop / "s.zarr", photos=tmp_path / "pictures")
        pair = fk.compare(study, SPECIES[0], [SPECIES[1]], progress=False)
        assert shows_photos(fk.figures.contrast_grid(pair, [1.0], 2), tmp_path / "after.png") > 0.01
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        fk.open_study(laptop / "s.zarr", photos=tmp_path / "nowhere")


def test_photos_that_are_gone_are_said_once_and_drawn_as_such(laptop, tmp_path):
    study = fk.open_study(laptop / "s.zarr")
    pair = fk.compare(study, SPECIES[0], [SPECIES[1]], progress=False)
    shutil.rmtree(laptop / "photos")
    with pytest.warns(fk.PhotoWarning, match="not found") as said:
        figure = fk.figures.contrast_grid(pair, [1.0], 2)
    assert len(said) == 1
    figure.save(tmp_path / "gone.png")


def test_a_photo_that_was_replaced_is_not_shown_for_the_former_one(laptop, model):
    study = fk.open_study(laptop / "s.zarr")
    held = fk.compare(study, SPECIES[0], [SPECIES[1]], progress=False)
    file = laptop / "photos" / SPECIES[0] / "03.png"
    Image.new("RGB", (96, 72), "blue").save(file)
    fk.analyze(fk.read_images(laptop / "photos", progress=False), model, laptop / "s.zarr", progress=False)
    paths = dict(zip(held.image.values, paths_of(held), strict=True))
    assert paths.pop(f"{SPECIES[0]}/03.png") == f"{file} (replaced since)"
    assert all(p == str(laptop / "photos" / i) for i, p in paths.items())
