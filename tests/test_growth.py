"""Grow and change a study: only what is new is computed, rows never move, and one process writes at a time."""

import hashlib
import itertools
import shutil
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pytest
import xarray as xr
import zarr
from PIL import Image
from samples import SPECIES, draw, stops_at, write_photos

import finerkit as fk
from finerkit import traits as fk_traits
from finerkit.analysis import analyze as pipeline
from finerkit.analysis import rows as growth
from finerkit.store import groups as disk
from finerkit.store import lock
from finerkit.store.compact import former_of


@pytest.fixture(scope="module")
def model():
    return fk.load_model("test_resnet", 64, "cpu", pretrained=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model):
    """Folder of photos and a finished study of them; copied by `photos` and `path`."""
    folder = tmp_path_factory.mktemp("finished")
    images = fk.read_images(write_photos(folder / "photos", per_species=12), progress=False)
    fk.analyze(images, model, folder / "study.zarr", progress=False)
    return folder


@pytest.fixture
def photos(finished, tmp_path):
    return shutil.copytree(finished / "photos", tmp_path / "photos")


@pytest.fixture
def path(finished, photos, tmp_path):
    return shutil.copytree(finished / "study.zarr", tmp_path / "study.zarr")


@pytest.fixture
def computed(model, monkeypatch):
    """Counts photos that go through the network."""
    original, seen = model.features, []
    monkeypatch.setattr(model, "features", lambda pixels: (seen.append(len(pixels)), original(pixels))[1])
    return lambda: sum(seen)


def again(photos, model, path, **options):
    return fk.analyze(fk.read_images(photos, progress=False), model, path, progress=False, **options)


def same_as_fresh(study, photos, model, path):
    """The same photos and features as in a study made anew; rows are in another order, and so are the folds."""
    fresh = again(photos, model, path.with_name("fresh.zarr"))
    ids = fresh["images"].image.values
    assert sorted(study["images"].image.values) == sorted(ids)
    for name in ("features/embedding", "features/feature_map"):  # pairs of photos differ, and features are float16
        mine = study[name].sel(image=ids).values
        np.testing.assert_allclose(mine, fresh[name].values, atol=2e-3, rtol=1e-3, err_msg=name)
    logits = [s["features/embedding"].sel(image=ids).values @ s["species/weight"].values.T for s in (study, fresh)]
    bias = [s["species/bias"].values for s in (study, fresh)]
    np.testing.assert_allclose(logits[0] + bias[0], logits[1] + bias[1], atol=0.05)


def plain(path):
    """`/images` as xarray opens it without finerkit."""
    return xr.open_datatree(path)["images"].to_dataset().load()


def test_added_photos_alone_are_computed(photos, model, path, computed):
    for i in (100, 101, 102):
        draw(SPECIES[1], i).save(photos / SPECIES[1] / f"0{i}.png")  # in the middle of the order
    study = again(photos, model, path)
    assert computed() == 3
    assert list(study["species"]["n_photos"].values) == [12, 15, 12]
    same_as_fresh(study, photos, model, path)


def test_a_changed_photo_is_noticed_and_computed_again(photos, model, path, computed):
    before = fk.open_study(path)["features/embedding"].load()
    draw(SPECIES[2], 999).save(photos / SPECIES[2] / "03.png")
    study = again(photos, model, path)
    assert computed() == 1
    assert study["images"].image.values[-1] == f"{SPECIES[2]}/03.png"
    moved = np.abs(study["features/embedding"].sel(image=before.image).values - before.values).max(1) > 1e-6
    assert list(before.image.values[moved]) == [f"{SPECIES[2]}/03.png"]
    rows = plain(path)
    assert rows.indexes["image"].is_unique
    assert rows.status.sel(image=f"{SPECIES[2]}/03.png~1").item() == "removed"
    whole = xr.open_datatree(path)["features/embedding"]
    np.testing.assert_array_equal(whole.values[:36], before.values)


def test_a_file_that_changes_again_and_again_has_a_row_each_time(photos, model, path, computed):
    name = f"{SPECIES[2]}/03.png"
    first = (photos / name).read_bytes()
    for seed in (999, 998):
        draw(SPECIES[2], seed).save(photos / name)
        again(photos, model, path)
    (photos / name).write_bytes(first)
    study = again(photos, model, path)
    assert computed() == 2  # what it was at first is known
    rows = plain(path)
    assert list(rows.image.values[rows.status.values == "removed"]) == [f"{name}~1", f"{name}~2", f"{name}~3"]
    assert study["images"].sizes["image"] == 36
    whole = xr.open_datatree(path)["features/embedding"].load()
    np.testing.assert_array_equal(whole.sel(image=name), whole.sel(image=f"{name}~1"))
    same_as_fresh(study, photos, model, path)


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
    study = again(photos, model, path)
    changed = (study["features/embedding"].sel(image=before.image).values != before.values).any(1)
    assert list(before.image.values[changed]) == [f"{SPECIES[0]}/large.bmp"]
    assert study["images/sha256"].sel(image=f"{SPECIES[0]}/large.bmp").item() == hashlib.sha256(content).hexdigest()
    assert len(again(photos, model, path)["images"].image) == 37  # known now


def test_photos_that_got_another_species_are_not_computed_again(photos, model, path, computed):
    (photos / SPECIES[0] / "02.png").rename(photos / SPECIES[1] / "new name.png")
    study = again(photos, model, path)
    assert computed() == 0
    assert list(study["species"]["n_photos"].values) == [11, 13, 12]
    assert plain(path).status.sel(image=f"{SPECIES[0]}/02.png").item() == "removed"
    same_as_fresh(study, photos, model, path)
    (photos / SPECIES[1] / "new name.png").rename(photos / SPECIES[0] / "02.png")
    back = again(photos, model, path)["images"].image.values
    assert list(back) == list(plain(path).image.values[:36])
    assert computed() == 36  # of the fresh study


def test_a_label_that_was_corrected_in_the_table_changes_the_head_and_no_row(photos, model, path, computed):
    before = fk.open_study(path)
    images = fk.read_images(photos, progress=False)
    labels = images["species"].values.copy()
    labels[[0, 12]] = labels[[12, 0]]
    study = fk.analyze(images.assign(species=("image", labels)), model, path, progress=False)
    assert computed() == 0
    assert study.attrs["head_id"] != before.attrs["head_id"]
    assert list(study["images"].image.values) == list(before["images"].image.values)
    np.testing.assert_array_equal(study["images/species"].values, labels)
    np.testing.assert_array_equal(study["features/embedding"].values, before["features/embedding"].values)


def test_columns_change_in_place_and_not_the_head(photos, model, path):
    before = fk.open_study(path)
    images = fk.read_images(photos, progress=False)
    images["mass"] = ("image", np.arange(36.0))
    study = fk.analyze(images, model, path, progress=False)
    assert study.attrs["head_id"] == before.attrs["head_id"]
    np.testing.assert_array_equal(study["images/mass"].values, np.arange(36.0))
    as_text = np.array([f"{i} g" for i in range(36)], object)
    study = fk.analyze(images.assign(mass=("image", as_text)), model, path)
    assert study["images/mass"].values[3] == "3 g"
    few = images.isel(image=slice(3, None)).assign(mass=("image", np.arange(33)))
    study = fk.analyze(few, model, path, overwrite=True)
    assert list(study["images/mass"].values) == list(range(33))
    assert np.isnan(plain(path)["mass"].values[:3]).all()  # left out, and of another kind


def test_a_column_that_the_list_lacks_is_kept_and_empty_for_new_photos(photos, model, path):
    images = fk.read_images(photos, progress=False)
    columns = {
        "mass": np.arange(36.0), "legs": np.arange(36), "wild": np.arange(36) % 2 == 0,
        "day": np.datetime64("2024-01-01", "ns") + np.arange(36), "site": np.array(["n"] * 36, object),
    }  # fmt: skip
    fk.analyze(images.assign({k: ("image", v) for k, v in columns.items()}), model, path, progress=False)
    draw(SPECIES[1], 300).save(photos / SPECIES[1] / "300.png")
    study = again(photos, model, path)["images"].to_dataset()
    new = study.isel(image=-1)
    assert np.isnan([new.mass, new.legs]).all()
    assert np.isnat(new.day.values)
    assert (new.wild.item(), new.site.item()) == ("", "")
    np.testing.assert_array_equal(study.legs.values[:36], columns["legs"])
    np.testing.assert_array_equal(study.day.values[:36], columns["day"])


def test_a_photo_that_came_back_is_tried_again_and_only_that(photos, model, tmp_path, computed):
    images = fk.read_images(photos, progress=False)
    file = photos / SPECIES[0] / "05.png"
    file.rename(tmp_path / "away.png")
    path = tmp_path / "s.zarr"
    with pytest.warns(fk.PhotoWarning, match="1 of 36 photos could not be analysed.*file not found"):
        fk.analyze(images, model, path, progress=False)
    with pytest.warns(fk.PhotoWarning, match="file not found"):
        still = fk.analyze(images, model, path, progress=False)
    assert still["species"]["n_photos"].sum() == 35
    (tmp_path / "away.png").rename(file)
    before = computed()
    study = fk.analyze(images, model, path, progress=False)
    assert computed() == before + 1
    assert (study["images"].status == "ok").all()
    assert study["species"]["n_photos"].sum() == 36
    same_as_fresh(study, photos, model, path)


def test_photos_are_left_out_only_when_that_is_said(photos, model, path, computed):
    for i in range(6, 12):
        (photos / SPECIES[2] / f"{i:02}.png").unlink()
    with pytest.raises(ValueError, match=r"6 photos of the study .* are not among these 30, such as 'Viridis alba/06"):
        again(photos, model, path)
    study = again(photos, model, path, overwrite=True)
    assert computed() == 0
    assert list(study["species"]["n_photos"].values) == [12, 12, 6]
    assert {study[group].sizes["image"] for group in ("images", "predictions", "features")} == {30}
    assert (plain(path).status.values == "removed").sum() == 6
    write_photos(photos.with_name("back"), per_species=12)
    assert again(photos.with_name("back"), model, path)["images"].sizes["image"] == 36
    assert computed() == 0


def test_traits_are_kept_and_comparisons_asked_again(photos, model, path):
    study = fk.open_study(path)
    pair = fk.compare(study, SPECIES[0], progress=False)
    named = fk.find_traits(pair, n_traits=2, name="mine")
    draw(SPECIES[1], 300).save(photos / SPECIES[1] / "300.png")
    study = again(photos, model, path)
    assert study.finerkit.comparisons() == []
    np.testing.assert_array_equal(study["traits/mine"]["trait_evidence"].values, named["trait_evidence"].values)
    assert fk.compare(study, SPECIES[0], progress=False).sizes["image"] == 12


@pytest.mark.parametrize("step", ["append", "embed", "_write_table", "_fit", "write_tables"])
def test_growing_that_was_interrupted_leaves_a_study_that_opens(photos, model, path, computed, monkeypatch, step):
    before = fk.open_study(path)
    true = before["features/embedding"].load()
    for i in (300, 301):
        draw(SPECIES[1], i).save(photos / SPECIES[1] / f"{i}.png")
    (photos / SPECIES[2] / "00.png").rename(photos / SPECIES[2] / "renamed.png")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, step, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            again(photos, model, path)
    assert plain(path).indexes["image"].is_unique
    half = fk.open_study(path)
    np.testing.assert_array_equal(xr.open_datatree(path)["features/embedding"].values[:36], true.values)
    if step in ("append", "embed"):  # nobody sees yet that it grows
        assert half.finerkit.identity == before.finerkit.identity
        assert half["species"]["n_photos"].sum() == 36
        assert fk.compare(before, SPECIES[0], [SPECIES[1]], progress=False).sizes["image"] == 12
    else:
        assert "species" not in half.children or step == "_write_table"
    study = again(photos, model, path)
    assert study["species"]["n_photos"].sum() == 38
    assert computed() == 2
    same_as_fresh(study, photos, model, path)


def test_a_kill_while_rows_are_written_leaves_the_study_as_it_was(photos, model, path, monkeypatch):
    """The arrays of /images have different lengths at that moment; readers see those that were committed."""
    draw(SPECIES[1], 300).save(photos / SPECIES[1] / "300.png")
    draw(SPECIES[1], 301).save(photos / SPECIES[1] / "01.png")
    for name in ("commit", "write_column", "resize_arrays", "write_ids"):
        for moment in itertools.count():
            with monkeypatch.context() as patch:
                original, count = getattr(disk, name), itertools.count()

                def killed(*args, original=original, count=count, moment=moment, **more):
                    if next(count) == moment:
                        raise KeyboardInterrupt
                    return original(*args, **more)

                patch.setattr(growth.disk, name, killed)
                patch.setattr(pipeline, "embed", lambda *_: (_ for _ in ()).throw(ZeroDivisionError))
                with pytest.raises((KeyboardInterrupt, ZeroDivisionError)) as end:
                    again(photos, model, path)
            rows = plain(path)
            assert rows.indexes["image"].is_unique
            assert fk.open_study(path)["images"].sizes["image"] in (35, 36)
            if end.type is ZeroDivisionError:  # it was called no more often
                break
    same_as_fresh(again(photos, model, path), photos, model, path)


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
    assert study["species"]["n_photos"].sum() == 36
    assert np.isfinite(study["predictions/logit"].values).all()


def test_what_is_called_like_a_group_survives_compaction(photos, model, path):
    images = fk.read_images(photos, progress=False)
    many = images.assign(comparisons=("image", np.arange(images.sizes["image"])))
    grown = fk.analyze(many, model, path, progress=False)
    fk.find_traits(fk.compare(grown, SPECIES[0], [SPECIES[1]], progress=False), n_traits=2, name="comparisons")
    fewer = images.isel(image=slice(1, None))
    fk.analyze(fewer, model, path, overwrite=True, progress=False)
    study = fk.analyze(fewer, model, path, compact=True, progress=False)
    assert "comparisons" in study["images"]
    assert study.finerkit.traits() == ["comparisons"]


def test_traits_whose_saving_was_killed_are_there_when_the_study_is_opened(photos, model, path, monkeypatch):
    pair = fk.compare(again(photos, model, path), SPECIES[0], [SPECIES[1]], progress=False)
    edited = fk_traits.rename(fk.find_traits(pair, n_traits=2), "trait 1", "red")
    with monkeypatch.context() as patched:
        patched.setattr(disk, "remove_group", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fk_traits.save(edited)
    study = fk.open_study(path)
    assert list(study.finerkit.trait(study.finerkit.traits()[0]).trait.values) == ["red", "trait 2"]


def test_traits_are_not_found_while_a_head_is_being_fitted(photos, model, path):
    pair = fk.compare(again(photos, model, path), SPECIES[0], [SPECIES[1]], progress=False)
    disk.commit(path, head_id="")
    for ask in (fk.find_traits, fk.sanity_check):
        with pytest.raises(ValueError, match="This study is not finished: its species head is being fitted"):
            ask(pair)


def test_compact_drops_what_was_removed(photos, model, path, computed):
    draw(SPECIES[2], 999).save(photos / SPECIES[2] / "03.png")
    grown = again(photos, model, path)
    traits = fk.find_traits(fk.compare(grown, SPECIES[0], [SPECIES[1]], progress=False), n_traits=2)
    named = fk_traits.save(fk_traits.rename(traits, "trait 1", "red"))
    seen = computed()
    names = ("features/embedding", "features/feature_map", "predictions/logit", "species/weight")
    before = {name: grown[name].values for name in names}
    matched = fk.match_trait(named, "red", model=model)
    study = again(photos, model, path, compact=True)
    assert computed() == seen
    assert list(plain(path).image.values) == list(grown["images"].image.values)
    assert (plain(path).status == "ok").all()
    for name in names:
        np.testing.assert_array_equal(study[name].values, before[name])
    assert study.attrs["head_id"] == grown.attrs["head_id"]
    with pytest.raises(ValueError, match="is of another study than the one that lies there now"):
        fk.compare(grown, SPECIES[0], progress=False)
    kept = study.finerkit.trait(study.finerkit.traits()[0])
    assert list(kept.trait.values) == ["red", "trait 2"]
    np.testing.assert_array_equal(kept["row"].values, study["images/row"].sel(image=kept.image).values)
    assert fk.match_trait(kept, "red", model=model).equals(matched)
    assert study.finerkit.comparisons() == []
    assert again(photos, model, path).attrs["study_id"] == study.attrs["study_id"]


def test_a_kill_while_a_study_is_compacted_is_mended(path):
    path.rename(former_of(path))
    assert fk.open_study(path)["species"]["n_photos"].sum() == 36


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
    assert (plain(path).status == "pending").sum() == 6
    assert fk.open_study(path)["images"].sizes["image"] == 36
    same_as_fresh(again(photos, model, path), photos, model, path)


def test_one_process_writes_at_a_time(photos, model, path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    hold = (
        "import sys; from pathlib import Path; from finerkit.store import lock\n"
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
    assert again(photos, model, path)["species"]["n_photos"].sum() == 37


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
    images, table = fk.read_images(photos, progress=False), disk.read_group(path, "images")
    same = growth.match(table, images)
    assert list(same.row) == list(range(36))
    assert not any(map(len, (same.new, same.removed, same.pending, same.lost)))
    left = growth.match(table, images.isel(image=slice(1, None)))
    assert left.lost == [f"{SPECIES[0]}/00.png"]
    assert list(left.removed) == [0]
    renamed = growth.match(table, images.assign_coords(image=[f"new/{i}" for i in images.image.values]))
    assert list(renamed.new) == list(range(36))
    assert renamed.lost == []


def test_features_that_were_half_written_are_computed_again(photos, model, tmp_path, monkeypatch, computed):
    """A kill between the arrays of one chunk: what has an embedding has all the rest."""
    path, order = tmp_path / "s.zarr", []
    original = zarr.Array.__setitem__

    def killed(self, where, values):
        order.append(self.basename)
        if self.basename == "embedding":
            raise KeyboardInterrupt
        original(self, where, values)

    with monkeypatch.context() as patch:
        patch.setattr(zarr.Array, "__setitem__", killed)
        with pytest.raises(KeyboardInterrupt):
            again(photos, model, path)
    assert "feature_map" in order
    study = again(photos, model, path)
    assert np.isfinite(study["features/feature_map"].values).all()
    assert np.isfinite(study["features/embedding"].values).all()


def test_a_file_that_replaces_one_that_failed_is_computed(photos, model, tmp_path, monkeypatch):
    """Not finite once is said of the file, not of the name."""
    path, name = tmp_path / "s.zarr", f"{SPECIES[2]}/03.png"
    original, bad = model.features, Image.open(photos / name)
    pixels = model.preprocess.pixels(bad.convert("RGB"))

    def overflows(batch):
        cells, embedding = original(batch)
        same = (batch == pixels).all((1, 2, 3))
        return cells, np.where(same[:, None], np.nan, embedding)

    monkeypatch.setattr(model, "features", overflows)
    with pytest.warns(fk.PhotoWarning, match="not finite"):
        again(photos, model, path)
    draw(SPECIES[2], 999).save(photos / name)
    study = again(photos, model, path)
    assert (study["images"].status == "ok").all()
    assert np.isfinite(study["features/embedding"].sel(image=name)).all()
