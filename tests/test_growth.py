"""Studies whose photos change: only what is new is computed, nothing is lost, and one process writes at a time."""

import contextlib
import hashlib
import itertools
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from samples import SPECIES, draw, stops_at, write_photos

import finerkit as fk
from finerkit import growth, lock, pipeline, places
from finerkit import store as disk


@pytest.fixture(scope="module")
def model():
    return fk.load_model("resnet18", 64, "cpu", pretrained=False)


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos", per_species=12)


@pytest.fixture
def path(photos, model, tmp_path):
    path = tmp_path / "study.zarr"
    fk.analyze(fk.read_images(photos, progress=False), model, path, progress=False)
    return path


@pytest.fixture
def computed(model, monkeypatch):
    """Counts photos that go through the network."""
    original, seen = model.features, []
    monkeypatch.setattr(model, "features", lambda pixels: (seen.append(len(pixels)), original(pixels))[1])
    return lambda: sum(seen)


def again(photos, model, path, **options):
    return fk.analyze(fk.read_images(photos, progress=False), model, path, progress=False, **options)


def same_as_fresh(study, photos, model, path):
    fresh = again(photos, model, path.with_name("fresh.zarr"))
    assert list(study["images"].image.values) == list(fresh["images"].image.values)
    for name in ("features/embedding", "features/feature_map"):  # pairs of photos differ, and features are float16
        np.testing.assert_allclose(study[name].values, fresh[name].values, atol=2e-3, rtol=1e-3, err_msg=name)
    np.testing.assert_allclose(study["predictions/logit"].values, fresh["predictions/logit"].values, atol=0.05)


def test_added_photos_alone_are_computed(photos, model, path, computed):
    for i in (100, 101, 102):
        draw(SPECIES[1], i).save(photos / SPECIES[1] / f"0{i}.png")  # in the middle of the order
    study = again(photos, model, path)
    assert computed() == 3
    assert list(study["species"]["count"].values) == [12, 15, 12]
    same_as_fresh(study, photos, model, path)


def test_a_changed_photo_is_noticed_and_computed_again(photos, model, path, computed):
    before = fk.open_study(path)["features/embedding"].load()
    draw(SPECIES[2], 999).save(photos / SPECIES[2] / "03.png")
    study = again(photos, model, path, overwrite=True)  # what the file held before is gone: that has to be said
    assert computed() == 1
    moved = np.abs(study["features/embedding"].values - before.values).max(1) > 1e-6
    assert list(before.image.values[moved]) == [f"{SPECIES[2]}/03.png"]


def test_a_flipped_bit_in_the_middle_of_a_large_file_is_noticed_where_all_bytes_are_read(photos, model, tmp_path):
    large = photos / SPECIES[0] / "large.bmp"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (600, 600, 3), np.uint8)).save(large)
    path = tmp_path / "s.zarr"
    before = again(photos, model, path)["features/embedding"].load()
    content = bytearray(large.read_bytes())
    content[500_000 : 500_000 + 3000] = bytes(3000)  # between the samples
    assert len(content) > 2**20
    large.write_bytes(content)
    unnoticed = fk.analyze(fk.read_images(photos, check="header", progress=False), model, path, progress=False)
    np.testing.assert_array_equal(unnoticed["features/embedding"], before)
    with pytest.raises(ValueError, match="1 photos of the study .* are not among these 37, such as .*large.bmp"):
        again(photos, model, path)
    study = again(photos, model, path, overwrite=True)
    changed = (study["features/embedding"].values != before.values).any(1)
    assert list(before.image.values[changed]) == [f"{SPECIES[0]}/large.bmp"]
    assert study["images/sha256"].sel(image=f"{SPECIES[0]}/large.bmp").item() == hashlib.sha256(content).hexdigest()
    again(photos, model, path)  # known now


def test_photos_that_got_another_species_are_not_computed_again(photos, model, path, computed):
    (photos / SPECIES[0] / "02.png").rename(photos / SPECIES[1] / "new name.png")
    study = again(photos, model, path)
    assert computed() == 0
    assert list(study["species"]["count"].values) == [11, 13, 12]
    same_as_fresh(study, photos, model, path)


def test_a_photo_that_came_back_is_tried_again_and_only_that(photos, model, tmp_path, computed):
    images = fk.read_images(photos, progress=False)
    file = photos / SPECIES[0] / "05.png"
    file.rename(tmp_path / "away.png")
    path = tmp_path / "s.zarr"
    with pytest.warns(fk.PhotoWarning, match="1 of 36 photos could not be analysed.*file not found"):
        fk.analyze(images, model, path, progress=False)
    with pytest.warns(fk.PhotoWarning, match="file not found"):
        still = fk.analyze(images, model, path, progress=False)
    assert still["species"]["count"].sum() == 35
    (tmp_path / "away.png").rename(file)
    before = computed()
    study = fk.analyze(images, model, path, progress=False)
    assert computed() == before + 1
    assert (study["images"].status == "ok").all()
    assert study["species"]["count"].sum() == 36
    same_as_fresh(study, photos, model, path)


def test_photos_are_left_out_only_when_that_is_said(photos, model, path, computed):
    for i in range(6, 12):
        (photos / SPECIES[2] / f"{i:02}.png").unlink()
    with pytest.raises(ValueError, match=r"6 photos of the study .* are not among these 30, such as 'Viridis alba/06"):
        again(photos, model, path)
    study = again(photos, model, path, overwrite=True)
    assert computed() == 0
    assert list(study["species"]["count"].values) == [12, 12, 6]


def test_traits_are_kept_and_comparisons_asked_again(photos, model, path):
    study = fk.open_study(path)
    pair = fk.compare(study, SPECIES[0], progress=False)
    named = fk.find_traits(pair, n_traits=2, name="mine")
    draw(SPECIES[1], 300).save(photos / SPECIES[1] / "300.png")
    study = again(photos, model, path)
    assert "comparisons" not in study.children
    np.testing.assert_array_equal(study["traits/mine"]["trait_evidence"].values, named["trait_evidence"].values)
    assert fk.compare(study, SPECIES[0], progress=False).sizes["image"] == 12


def test_growing_that_was_interrupted_leaves_the_old_study(photos, model, path, computed, monkeypatch):
    draw(SPECIES[1], 300).save(photos / SPECIES[1] / "300.png")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            again(photos, model, path)
    assert fk.open_study(path)["species"]["count"].sum() == 36
    assert not list(path.parent.glob("*.part"))
    assert again(photos, model, path)["species"]["count"].sum() == 37
    assert computed() == 1


def test_whoever_waited_for_a_killed_writer_mends_what_it_left(photos, model, path, monkeypatch):
    """The other was killed between its two renames while this one waited for the lock."""
    draw(SPECIES[1], 300).save(photos / SPECIES[1] / "300.png")

    @contextlib.contextmanager
    def waited(there):
        there.rename(places._former(there))
        yield

    monkeypatch.setattr(pipeline, "writing", waited)
    study = again(photos, model, path)
    assert study["species"]["count"].sum() == 37
    assert not places._former(path).exists()


def test_photos_that_came_back_in_a_run_that_was_killed_enter_the_head(photos, model, path, monkeypatch):
    lost = photos / SPECIES[1] / "00.png"
    content = lost.read_bytes()
    images = fk.read_images(photos, progress=False)
    lost.unlink()
    other = path.with_name("other.zarr")
    with pytest.warns(fk.PhotoWarning):
        fk.analyze(images, model, other, progress=False)
    lost.write_bytes(content)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_fit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fk.analyze(images, model, other, progress=False)
    study = fk.analyze(images, model, other, progress=False)
    assert study["species"]["count"].sum() == 36
    assert np.isfinite(study["predictions/logit"].values).all()


def test_a_kill_between_two_renames_is_mended(path):
    path.rename(places._former(path))
    assert fk.open_study(path)["species"]["count"].sum() == 36


def test_features_that_were_not_kept_stay_so(photos, model, tmp_path, computed):
    path = tmp_path / "lean.zarr"
    again(photos, model, path, keep_features=False)
    draw(SPECIES[1], 300).save(photos / SPECIES[1] / "300.png")
    before = computed()
    study = again(photos, model, path)
    assert computed() == before + 1
    assert "feature_map" not in study["features"]
    assert np.isfinite(study["features/embedding"].values).all()


def test_an_interruption_after_growing_goes_on(photos, model, path, monkeypatch):
    for i in range(300, 306):
        draw(SPECIES[1], i).save(photos / SPECIES[1] / f"{i}.png")
    with monkeypatch.context() as patch:
        patch.setattr(model, "features", stops_at(1, model.features))
        with pytest.raises(KeyboardInterrupt):
            again(photos, model, path)
    assert (fk.open_study(path)["images"].status == "pending").sum() == 6
    same_as_fresh(again(photos, model, path), photos, model, path)


def test_one_process_writes_at_a_time(photos, model, path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    hold = (
        "import sys; from pathlib import Path; from finerkit import lock\n"
        "with lock.writing(Path(sys.argv[1])):\n    print('held', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout.readline() == "held\n"
        draw(SPECIES[1], 300).save(photos / SPECIES[1] / "300.png")
        with pytest.raises(BlockingIOError, match="Another process is writing to .*: wait until it is done"):
            again(photos, model, path)
        other.kill()  # the lock goes with the process
    assert again(photos, model, path)["species"]["count"].sum() == 37


def test_a_full_disk_is_said_and_the_run_can_go_on(photos, model, tmp_path, monkeypatch):
    path = tmp_path / "s.zarr"
    original, calls = disk.ChunkedGroup.write, itertools.count()

    def full(self, *args, **values):
        if next(calls) == 1:
            raise OSError(28, "No space left on device")
        original(self, *args, **values)

    with monkeypatch.context() as patch:
        patch.setattr(disk.ChunkedGroup, "write", full)
        with pytest.raises(OSError, match="No space left on device"):
            again(photos, model, path)
    assert (fk.open_study(path)["images"].status == "ok").sum() == 32
    same_as_fresh(again(photos, model, path), photos, model, path)


def test_content_decides_not_the_name(photos, model, path):
    images = fk.read_images(photos, progress=False)
    assert growth.lost_photos(path, images) == []
    assert growth.lost_photos(path, images.isel(image=slice(1, None))) == [f"{SPECIES[0]}/00.png"]
    assert pipeline._existing(path, images, {"photos": "other"}, overwrite=False) == "other photos"
    shutil.rmtree(path)
