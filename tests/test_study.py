"""The main job on small photos: analyse, compare, resume, refuse."""

import itertools
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from samples import SPECIES, draw, stops_at, write_photos

import finerkit as fk
from finerkit.analysis import analyze as pipeline
from finerkit.base.roles import references_of, target_of
from finerkit.networks import of_study as study_model
from finerkit.store import groups as disk


@pytest.fixture(scope="module")
def model():
    return fk.load_model("test_resnet", 64, "cpu", pretrained=False)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), per_species=14)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, photos, model):
    """Path of a finished study; copy it before changing it."""
    path = tmp_path_factory.mktemp("store") / "study.zarr"
    fk.analyze(fk.read_images(photos), model, path, progress=False)
    return path


@pytest.fixture
def study(finished, tmp_path):
    return fk.open_study(shutil.copytree(finished, tmp_path / "study.zarr"))


class Counted:
    """Counts the forward passes of a model."""

    def __init__(self, model, monkeypatch):
        self.count = 0
        original = model.module.forward_features

        def forward(x):
            self.count += len(x)
            return original(x)

        monkeypatch.setattr(model.module, "forward_features", forward)


# --- what a study holds ---


def test_groups_and_dims_are_those_of_the_design(finished):
    tree = xr.open_datatree(finished)  # without finerkit, and without a warning
    assert tree["features/embedding"].dims == ("image", "feature")
    assert tree["features/feature_map"].dims == ("image", "y", "x", "feature")
    assert tree["features/feature_map"].dtype == np.float16
    assert tree["species/prototype"].dims == ("species", "feature")
    assert tree["species/weight"].dims == ("species", "feature")
    assert tree["species/bias"].dims == tree["species/n_photos"].dims == ("species",)
    assert tree["predictions/logit"].dims == ("image", "species")
    assert tree["predictions/predicted"].dims == ("image",)
    for name in ("species", "path", "width", "height", "status"):
        assert tree[f"images/{name}"].dims == ("image",)
    assert list(tree["images/image"].values[:2]) == ["Rubra quadrata/00.png", "Rubra quadrata/01.png"]
    for group in ("images", "features", "species", "predictions"):
        assert {"finerkit_version", "schema_version", "date"} <= set(tree[group].attrs)
    for group in ("features", "species", "predictions"):
        facts = {"model", "weights_hash", "image_size", "fit", "mean", "std", "grid_rows", "grid_columns"}
        assert facts <= set(tree[group].attrs)


def test_opened_studies_are_lazy_where_it_counts(study):
    assert study["features/feature_map"].chunks is not None
    assert study["features/embedding"].chunks is not None
    assert study["images/species"].values.dtype == object
    assert (study["images"].status == "ok").all()


def test_text_is_written_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "TEXTS", 4)
    ids = np.array([f"photo {i}" for i in range(11)], object)
    data = xr.Dataset({"place": ("image", ids[::-1].copy())}, {"image": ids}).assign(one="text alone")
    disk.write_group(tmp_path / "s.zarr", "images", data)
    disk.commit(tmp_path / "s.zarr", "images")
    array = zarr.open_group(tmp_path / "s.zarr", path="images")["place"]
    assert array.chunks == (4,)
    back = disk.read_group(tmp_path / "s.zarr", "images")
    assert back["place"].values.tolist() == ids[::-1].tolist()
    assert back.sel(image="photo 7")["place"].item() == "photo 3"
    assert back["one"].item() == "text alone"


def test_embeddings_are_the_mean_of_the_kept_features_and_of_the_network(study, model):
    kept = study["features/feature_map"].values.astype(np.float32)
    np.testing.assert_allclose(kept.mean((1, 2)), study["features/embedding"].values, atol=1e-5)
    photo = fk.load_image(study["images/path"].values[3])
    cells, embedding = model.features(model.preprocess.pixels(photo)[None])
    np.testing.assert_allclose(embedding[0], study["features/embedding"].values[3], atol=2e-3)
    np.testing.assert_allclose(cells[0].astype(np.float32), kept[3], atol=5e-3)


def test_predictions_are_better_than_chance_and_prototypes_are_means(study):
    assert study["species"].attrs["accuracy"] > 0.5
    labels = study["images/species"].values
    right = (study["predictions/predicted"].values == labels).mean()
    assert right == pytest.approx(study["species"].attrs["accuracy"])
    mean = study["features/embedding"].values[labels == SPECIES[1]].mean(0)
    np.testing.assert_allclose(study["species/prototype"].sel(species=SPECIES[1]), mean, rtol=1e-4)


# --- evidence ---


def test_evidence_adds_up_to_the_logits(study):
    pair = fk.compare(study, SPECIES[0], progress=False)
    assert pair.species.values[0] == SPECIES[0]
    assert pair.evidence.dims == ("image", "species", "y", "x")
    assert pair.attrs["additive"] == 1
    np.testing.assert_allclose(pair.evidence.sum(("y", "x")) + pair.bias, pair.logit, atol=1e-4)
    head = study["species"].sel(species=pair.species)
    labels = study["images/species"].values
    logit = study["features/embedding"].values[labels == SPECIES[0]] @ head.weight.values.T + head.bias.values
    np.testing.assert_allclose(pair.logit, logit, atol=1e-4)
    assert set(pair.true_species.values) == {SPECIES[0]}


def test_automatic_references_are_the_nearest_by_embedding(study):
    pair = fk.compare(study, SPECIES[0], progress=False)
    nearest = fk.similar_species(study, SPECIES[0], k=2)
    assert references_of(pair) == list(nearest.species.values[:1])  # of three species one is left out
    assert pair.attrs["picked_by"] == "embedding"
    np.testing.assert_allclose(pair["reference_score"].values[1:], nearest.values[:1], atol=1e-6)
    assert references_of(fk.compare(study, SPECIES[0], 2, progress=False)) == list(nearest.species.values)
    by_hand = fk.compare(study, SPECIES[0], nearest, progress=False)
    assert references_of(by_hand) == list(nearest.species.values)
    assert by_hand.attrs["picked_by"] == "user"


def test_with_all_other_species_as_references_the_strength_only_scales(study):
    """The weights of a trained multinomial head add up to zero over the species."""
    everyone = fk.compare(study, SPECIES[0], 2, progress=False)
    some = fk.compare(study, SPECIES[0], 1, progress=False)
    assert everyone.attrs["strength_only_scales"] == 1
    assert some.attrs["strength_only_scales"] == 0
    maps = fk.contrast(everyone, [0, 1], relu=False).values
    np.testing.assert_allclose(maps[:, 1], 1.5 * maps[:, 0], atol=1e-3 * np.abs(maps).max())
    assert "only scales" in fk.figures.contrast_grid(everyone, [1], 1).caption
    different = fk.contrast(some, [0, 1], relu=False).values
    assert np.corrcoef(different[:, 0].ravel(), different[:, 1].ravel())[0, 1] < 0.998


def test_margins_of_unseen_photos_are_reported(study):
    pair = fk.compare(study, SPECIES[0], progress=False)
    labels = study["images/species"].values
    unseen = study["predictions/logit"].sel(species=pair.species).values[labels == SPECIES[0]]
    np.testing.assert_allclose(pair.logit_cross_validated, unseen)
    table = fk.evidence_table(pair)
    np.testing.assert_allclose(table.margin_cross_validated, unseen[:, 0] - unseen[:, 1], rtol=1e-5)
    assert (table.margin_cross_validated > 0).sum() <= (table.margin > 0).sum()


def test_a_second_question_takes_no_forward_pass(study, model, monkeypatch):
    counted = Counted(model, monkeypatch)
    pair = fk.compare(study, SPECIES[2], [SPECIES[0]], images="all", progress=False)
    fk.contrast(pair, np.linspace(0, 2, 11)).compute()
    assert counted.count == 0


@pytest.mark.parametrize("method", ["cam", "gradcam"])
def test_without_kept_features_the_network_gives_the_same(study, photos, model, tmp_path, monkeypatch, method):
    kept = fk.compare(study, SPECIES[1], progress=False)
    other = fk.analyze(fk.read_images(photos), model, tmp_path / "other.zarr", keep_features=False, progress=False)
    assert "feature_map" not in other["features"]
    counted = Counted(model, monkeypatch)
    again = fk.compare(other, SPECIES[1], method=method, model=model, progress=False)
    assert counted.count >= 14
    np.testing.assert_allclose(again.evidence, kept.evidence, atol=2e-3 * float(np.abs(kept.evidence).max()))
    assert again.attrs["additive"] == (method == "cam")


def test_gradcam_at_another_layer_has_that_layers_grid(study, model):
    pair = fk.compare(study, SPECIES[1], method="gradcam", layer="layer2", model=model, progress=False)
    assert (pair.sizes["y"], pair.sizes["x"]) == (8, 8)
    fine = fk.compare(study, SPECIES[1], method="hirescam", layer="layer2", model=model, progress=False)
    assert fine.attrs["additive"] == 0
    assert np.abs(fine.evidence.values - pair.evidence.values).max() > 0
    assert pair.sizes["y"] == 8
    np.testing.assert_allclose(pair.cell_width * 8, pair.width)
    with pytest.raises(ValueError, match="layer goes with method='gradcam' or 'hirescam'"):
        fk.compare(study, SPECIES[1], layer="layer2")


def test_comparisons_are_kept_in_the_study(study):
    pair = fk.compare(study, SPECIES[0], [SPECIES[2]], name="my pair", progress=False)
    assert study.finerkit.comparisons() == ["my_pair"]
    assert "comparisons" not in study.children  # the caller's tree is not changed
    again = fk.open_study(study.finerkit.location)
    xr.testing.assert_equal(again["comparisons/my_pair"].to_dataset().load(), pair.load())
    xr.testing.assert_equal(study.finerkit.comparison("my pair").load(), pair.load())
    with pytest.raises(ValueError, match="another comparison in 'comparisons/my_pair'.*overwrite=True"):
        fk.compare(study, SPECIES[1], [SPECIES[2]], name="my pair", progress=False)
    replaced = fk.compare(study, SPECIES[1], [SPECIES[2]], name="my pair", overwrite=True, progress=False)
    assert target_of(replaced) == SPECIES[1]


def test_the_same_question_is_answered_from_the_store(study, monkeypatch):
    first = fk.compare(study, SPECIES[0], progress=False).load()
    monkeypatch.setattr("finerkit.evidence.compute.cam_evidence", None)
    again = fk.compare(study, SPECIES[0], objective="softmax", progress=False)
    np.testing.assert_array_equal(again.evidence, first.evidence)
    assert again.attrs["objective"] == "softmax"
    stored = next(iter(fk.open_study(study.finerkit.location)["comparisons"].children.values()))
    assert stored.attrs["objective"] == "mean"  # an answer on disk is never changed
    assert study.finerkit.comparison(stored.name).attrs["objective"] == "mean"


def test_an_interrupted_comparison_is_made_again(study):
    path = study.finerkit.location
    expected = fk.compare(study, SPECIES[0], name="x", progress=False).load()
    (path / "comparisons" / "x" / "zarr.json").unlink()
    again = fk.compare(study, SPECIES[0], name="x", progress=False)
    np.testing.assert_array_equal(again.evidence, expected.evidence)
    disk.commit(path, withdraw=["comparisons/x"])
    assert "x" not in fk.open_study(path)["comparisons"]
    assert "x" not in study.finerkit.comparisons()


@pytest.mark.parametrize("options", [{}, {"method": "hirescam", "layer": "layer3"}, {"detail": "fine"}])
def test_an_interrupted_comparison_goes_on_where_it_stopped(study, model, options, monkeypatch):
    path = study.finerkit.location
    ask = {"images": "all", "progress": False, "name": "x", "model": model} | options
    expected = fk.compare(study, SPECIES[0], **ask).load()
    original, calls = disk.ChunkedGroup.write, itertools.count()

    def interrupted(self, start, **values):
        if next(calls) == 1:
            raise KeyboardInterrupt
        original(self, start, **values)

    with monkeypatch.context() as patch:
        patch.setattr(disk.ChunkedGroup, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fk.compare(study, SPECIES[0], overwrite=True, **ask)
    assert "x" not in fk.open_study(path).get("comparisons", {})
    written = []

    def recorded(self, start, **values):
        written.append(start)
        original(self, start, **values)

    monkeypatch.setattr(disk.ChunkedGroup, "write", recorded)
    again = fk.compare(study, SPECIES[0], **ask)
    assert written == [32]  # the first 32 photos were there
    for name in ("evidence", "logit"):
        np.testing.assert_array_equal(again[name], expected[name])
    assert (again.status == "ok").all()


def test_other_photos_of_the_same_name_are_other_photos(photos, study, model, tmp_path):
    other = shutil.copytree(photos, tmp_path / "other")
    for file in other.rglob("*.png"):
        draw(file.parent.name, 100 + int(file.stem)).save(file)
    images = fk.read_images(other)
    with pytest.raises(ValueError, match=r"42 photos of the study .* are not among these 42"):
        fk.analyze(images, model, study.finerkit.location)
    mine = images.isel(image=images.species.values == SPECIES[0])
    new = fk.compare(study, SPECIES[0], images=mine, model=model, progress=False)
    old = fk.compare(study, SPECIES[0], progress=False)
    assert np.abs(new.evidence.values - old.evidence.values).max() > 0.1
    assert "logit_cross_validated" not in new


def test_a_store_that_moved_or_lost_chunks_says_so(study, tmp_path):
    path = study.finerkit.location
    lost = shutil.copytree(path, tmp_path / "lost.zarr")
    shutil.rmtree(lost / "features" / "feature_map" / "c")
    with pytest.raises(OSError, match="missing from the study's store"):
        fk.compare(fk.open_study(lost), SPECIES[0])
    path.rename(tmp_path / "moved.zarr")
    with pytest.raises(FileNotFoundError, match="is gone. Where it was moved: fk.open_study"):
        fk.compare(study, SPECIES[0])


def test_studies_opened_without_finerkit_work_too(study):
    tree = xr.open_datatree(study.finerkit.location)
    pair = fk.compare(tree, SPECIES[0], progress=False)
    assert fk.similar_species(tree, SPECIES[0], "confusion").size == 2
    node = fk.open_study(study.finerkit.location)["comparisons"].children
    first = next(iter(node.values()))
    assert fk.figures.contrast_grid(first, [1], 1).data
    raw = xr.open_zarr(study.finerkit.location, group=first.path)
    pd.testing.assert_frame_equal(fk.evidence_table(raw), fk.evidence_table(pair))


def test_selections_of_a_comparison(study):
    pair = fk.compare(study, SPECIES[0], 2, progress=False)
    one = fk.contrast(pair.isel(image=3), 1.0)
    np.testing.assert_allclose(one.isel(image=0), fk.contrast(pair, 1.0).isel(image=3))
    assert len(fk.evidence_table(pair.isel(image=3))) == 1
    with pytest.raises(ValueError, match="no photo left"):
        fk.evidence_table(pair.isel(image=[]))
    with pytest.raises(ValueError, match="The selection dropped every reference"):
        fk.contrast(pair.isel(species=[0]))
    with pytest.raises(ValueError, match="has 0 target species"):
        fk.contrast(pair.isel(species=[1, 2]))
    np.testing.assert_array_equal(
        fk.contrast(pair.isel(species=[0, 1]), 1.0), fk.contrast(pair, 1.0, references=pair.species.values[1:2])
    )
    with pytest.raises(TypeError, match="Expected a comparison, as fk.compare"):
        fk.contrast(study)
    with pytest.raises(ValueError, match="its coordinate 'role' is gone"):
        fk.contrast(pair.drop_vars("role"))


def test_another_head_on_the_same_features_takes_no_forward_pass(study, photos, model, monkeypatch):
    path = study.finerkit.location
    fk.compare(study, SPECIES[0], progress=False)
    monkeypatch.setattr(model, "features", None)
    again = fk.analyze(fk.read_images(photos), model, path, "nearest_mean", overwrite=True, progress=False)
    assert again["species"].attrs["head"] == "nearest_mean"
    assert again.finerkit.comparisons() == []
    monkeypatch.undo()
    with pytest.raises(ValueError, match="differs in head"):
        fk.analyze(fk.read_images(photos), model, path)


def test_the_split_and_the_weights_are_part_of_the_model(photos, tmp_path):
    import torch

    model = fk.load_model("test_resnet", 64, "cpu", pretrained=False)
    study = fk.analyze(photos, model, tmp_path / "s.zarr", keep_features=False, progress=False)
    other = fk.load_model(model.module, 64, "cpu", split=fk.Split("layer3"), mean=model.preprocess.mean)
    with pytest.raises(ValueError, match="which differs in split, grid_rows, grid_columns, n_features"):
        fk.compare(study, SPECIES[0], model=other)
    with torch.no_grad():
        model.module.conv1[0].weight.mul_(2)
    with pytest.raises(ValueError, match="which differs in weights_hash"):
        fk.compare(study, SPECIES[0], model=model)


def test_a_study_is_of_one_precision(study, photos, model, tmp_path):
    half = fk.load_model("test_resnet", 64, "cpu", pretrained=False, precision="bfloat16")
    with pytest.raises(ValueError, match="differs in precision"):
        fk.analyze(fk.read_images(photos), half, study.finerkit.location)
    with pytest.raises(ValueError, match="differs in precision"):
        fk.compare(study, SPECIES[0], model=half)


def test_columns_added_to_the_table_later_are_taken_over(study, photos, model):
    images = fk.read_images(photos)
    images["genus"] = ("image", np.array([s.split()[0] for s in images.species.values], object))
    again = fk.analyze(images, model, study.finerkit.location, progress=False)
    assert fk.similar_species(again, SPECIES[0], "taxonomy").species.values[0] == "Rubra rotunda"


def test_a_hostile_name_stays_inside_the_store(study, tmp_path):
    fk.compare(study, SPECIES[0], name="../../outside/..", progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".study.zarr.lock", "study.zarr"]
    assert len(study.finerkit.comparisons()) == 1


def test_new_photos_are_explained_with_the_studys_head(study, model, tmp_path):
    folder = tmp_path / "new" / "unknown"
    folder.mkdir(parents=True)
    draw(SPECIES[0], 99).save(folder / "a.png")
    pair = fk.compare(study, SPECIES[0], images=fk.read_images(tmp_path / "new"), model=model, progress=False)
    assert list(pair.image.values) == ["unknown/a.png"]
    np.testing.assert_allclose(pair.evidence.sum(("y", "x")) + pair.bias, pair.logit, atol=1e-4)


def test_a_photo_lost_since_is_recorded(study, photos, model, tmp_path):
    copy = write_photos(tmp_path / "photos", per_species=14)
    for file in copy.rglob("*.png"):
        draw(file.parent.name, 200 + int(file.stem)).save(file)
    images = fk.read_images(copy)
    (copy / SPECIES[0] / "03.png").unlink()
    with pytest.warns(fk.PhotoWarning, match=r"1 of 42 photos could not be explained.*03.png .file not found"):
        pair = fk.compare(study, SPECIES[0], images=images, model=model, progress=False)
    assert np.isnan(pair.evidence.sel(image=f"{SPECIES[0]}/03.png")).all()
    assert (pair.status == "ok").sum() == 41
    assert np.isfinite(fk.evidence_table(pair)["margin"]).sum() == 41


def test_a_store_that_cannot_be_written_still_answers(study, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("read-only file system")

    monkeypatch.setattr(disk, "write_group", refuse)
    with pytest.warns(UserWarning, match="in memory only.*read-only file system"):
        pair = fk.compare(study, SPECIES[0], progress=False)
    np.testing.assert_allclose(pair.evidence.sum(("y", "x")) + pair.bias, pair.logit, atol=1e-4)


# --- questions that cannot be answered ---


def test_names_that_are_not_there(study):
    with pytest.raises(ValueError, match=r"No species named 'R. quadrate'. Did you mean 'Rubra quadrata'"):
        fk.compare(study, "R. quadrate")
    with pytest.raises(ValueError, match="No reference species named 'Viridis albus'. Did you mean 'Viridis alba'"):
        fk.compare(study, SPECIES[0], ["Viridis albus"])
    with pytest.raises(ValueError, match="'Rubra quadrata' is the target and cannot be its own reference. Others are"):
        fk.compare(study, SPECIES[0], ["rubra_quadrata"])
    with pytest.raises(ValueError, match="Each reference counts once. Named twice: 'Viridis alba'"):
        fk.compare(study, SPECIES[0], [SPECIES[2], SPECIES[2]])
    with pytest.raises(ValueError, match="references is empty"):
        fk.compare(study, SPECIES[0], [])
    with pytest.raises(ValueError, match=r"references must be an int in the range \[1, inf\). Got 0"):
        fk.compare(study, SPECIES[0], 0)
    with pytest.raises(ValueError, match="method must be one of 'cam', 'gradcam', 'hirescam'"):
        fk.compare(study, SPECIES[0], method="lime")
    with pytest.raises(ValueError, match="No photo named 'Rubra quadrata/0.png'. Did you mean"):
        fk.compare(study, SPECIES[0], images=["Rubra quadrata/0.png"])
    with pytest.raises(ValueError, match="images is empty"):
        fk.compare(study, SPECIES[0], images=[])


def test_one_species_is_not_a_study(photos, model, tmp_path):
    one = fk.read_images(photos)
    one = one.isel(image=one.species.values == SPECIES[0])
    with pytest.raises(
        ValueError, match="at least two species. Got only 'Rubra quadrata' .14 photos. instead.*head='model'"
    ):
        fk.analyze(one, model, tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


def test_a_head_with_two_classes(photos, model, tmp_path):
    two = fk.read_images(photos)
    two = two.isel(image=two.species.values != SPECIES[0])
    study = fk.analyze(two, model, tmp_path / "s.zarr", progress=False)
    pair = fk.compare(study, SPECIES[1], progress=False)
    assert references_of(pair) == [SPECIES[2]]
    np.testing.assert_allclose(pair.evidence.sum(("y", "x")) + pair.bias, pair.logit, atol=1e-4)


def test_the_networks_own_classes(photos, model, tmp_path):
    images = fk.read_images(photos).isel(image=slice(3))
    study = fk.analyze(images, model, tmp_path / "own.zarr", head="model", progress=False)
    with pytest.raises(ValueError, match="no usable photo of 'Egyptian cat' to explain. Say which photos .*images="):
        fk.compare(study, "Egyptian cat")
    pair = fk.compare(study, "Egyptian cat", ["tiger cat"], images="all", progress=False)
    np.testing.assert_allclose(pair.evidence.sum(("y", "x")) + pair.bias, pair.logit, atol=1e-4)
    x = model.preprocess.pixels(fk.load_image(pair.path.values[0]))[None]
    i = model.class_names.index("Egyptian cat")
    np.testing.assert_allclose(pair.logit[0, 0], model.logits(x)[0, i], atol=5e-3)
    automatic = fk.compare(study, "Egyptian cat", images="all", progress=False)
    assert automatic.attrs["picked_by"] == "weights"


def test_the_networks_own_classes_where_its_head_is_not_linear(photos, tmp_path):
    vit = fk.load_model("test_vit", 64, "cpu", pretrained=False)
    images = fk.read_images(photos).isel(image=slice(3))
    study = fk.analyze(images, vit, tmp_path / "vit.zarr", head="model", progress=False)
    assert "weight" not in study["species"]
    x = vit.preprocess.pixels(fk.load_image(images.path.values[1]))[None]
    np.testing.assert_allclose(study["predictions/logit"].values[1], vit.logits(x)[0], atol=1e-4)
    with pytest.raises(ValueError, match="method='cam' needs a head that is linear.*use method='gradcam'"):
        fk.compare(study, "tabby, tabby cat", ["tiger cat"], images="all")
    pair = fk.compare(study, "tabby, tabby cat", ["tiger cat"], "gradcam", images="all", progress=False)
    assert pair.attrs["layer"] == "blocks.5.norm1"
    assert pair.attrs["additive"] == 0
    assert np.abs(pair.evidence.values).max() > 0


# --- writing and resuming ---


def equal_arrays(a, b):
    """Whether two stores hold the same numbers, to the bit."""
    for name in ("features/embedding", "features/feature_map", "species/weight", "species/bias", "predictions/logit"):
        left, right = zarr.open_array(a, path=name, mode="r")[:], zarr.open_array(b, path=name, mode="r")[:]
        np.testing.assert_array_equal(left, right, err_msg=name)


def test_an_interrupted_run_goes_on_and_ends_the_same(photos, model, finished, tmp_path, monkeypatch):
    images = fk.read_images(photos)
    path = tmp_path / "resumed.zarr"
    original = model.features
    monkeypatch.setattr(model, "features", stops_at(36, original))  # in the second chunk of 32
    with pytest.raises(KeyboardInterrupt):
        fk.analyze(images, model, path, progress=False)
    half = fk.open_study(path)
    assert (half["images"].status[:32] == "ok").all()
    assert (half["images"].status[32:] == "pending").all()
    with pytest.raises(ValueError, match="not finished: its species head is being fitted.*run fk.analyze"):
        fk.compare(half, SPECIES[0])
    count = itertools.count()
    monkeypatch.setattr(model, "features", lambda pixels: (next(count), original(pixels))[1])
    fk.analyze(images, model, path, progress=False)
    assert next(count) == 10  # the photos that were missing
    equal_arrays(path, finished)


def test_photos_that_moved_are_found_again(photos, model, tmp_path):
    first = shutil.copytree(photos, tmp_path / "first")
    path = tmp_path / "s.zarr"
    fk.analyze(fk.read_images(first), model, path, progress=False)
    second = first.rename(tmp_path / "second")
    study = fk.analyze(fk.read_images(second), model, path, progress=False)
    assert study["images/path"].values[0] == str(second / SPECIES[0] / "00.png")
    assert fk.figures.contrast_grid(fk.compare(study, SPECIES[0], progress=False), [1], 1).data


def test_a_store_that_was_only_begun_is_said_and_made(photos, model, tmp_path, monkeypatch):
    path = tmp_path / "s.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "features_group", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fk.analyze(photos, model, path, progress=False)
    with pytest.raises(ValueError, match="was only begun: run fk.analyze"):
        fk.open_study(path)
    assert fk.analyze(photos, model, path, progress=False)["images"].sizes["image"] == 42
    assert sorted(p.name for p in tmp_path.iterdir()) == [".s.zarr.lock", "s.zarr"]


def test_a_finished_study_is_opened_at_once(photos, model, finished, monkeypatch):
    monkeypatch.setattr(model, "features", None)
    study = fk.analyze(fk.read_images(photos), model, finished, progress=False)
    assert study["species"].sizes["species"] == 3


def test_a_store_with_something_else_is_not_touched(photos, model, finished, tmp_path):
    images = fk.read_images(photos)
    path = shutil.copytree(finished, tmp_path / "study.zarr")
    with pytest.raises(ValueError, match="differs in head. Choose another store=.*overwrite=True"):
        fk.analyze(images, model, path, head="nearest_mean")
    with pytest.raises(ValueError, match=r"12 photos of the study .* such as 'Viridis alba/02.png'.*overwrite=True"):
        fk.analyze(images.isel(image=slice(30)), model, path)
    other = fk.load_model("test_resnet", 96, "cpu", pretrained=False, fit="pad")
    with pytest.raises(ValueError, match="differs in .*image_size, fit"):
        fk.analyze(images, other, path)
    equal_arrays(path, finished)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not a finerkit study"):
        fk.analyze(images, model, tmp_path / "letters", overwrite=True)
    assert (tmp_path / "letters" / "dear.txt").read_text() == "mine"
    study = fk.analyze(images, model, path, head="nearest_mean", overwrite=True, progress=False)
    assert study["species"].attrs["head"] == "nearest_mean"


def test_bad_photos_are_recorded_and_left_out(photos, model, tmp_path, monkeypatch):
    copy = shutil.copytree(photos, tmp_path / "photos")
    (copy / SPECIES[0] / "00.png").write_bytes(b"")
    with pytest.warns(fk.PhotoWarning, match=r"1 of 42 photos cannot be read.*00.png .empty file"):
        images = fk.read_images(copy)
    (copy / SPECIES[1] / "05.png").write_bytes(b"broken since")
    with pytest.warns(fk.PhotoWarning, match=r"1 of 42 photos could not be analysed: Rubra rotunda/05.png"):
        study = fk.analyze(images, model, tmp_path / "s.zarr", progress=False)
    status = study["images"].status
    assert status.sel(image=f"{SPECIES[0]}/00.png").item() == "empty file (0 bytes)"
    assert status.sel(image=f"{SPECIES[1]}/05.png").item().startswith("not an image")
    assert list(study["species"]["n_photos"].values) == [13, 13, 14]
    assert np.isnan(study["features/embedding"].sel(image=f"{SPECIES[1]}/05.png")).all()
    with pytest.raises(ValueError, match="cannot be explained: empty file"):
        fk.compare(study, SPECIES[0], images=[f"{SPECIES[0]}/00.png"])
    assert f"{SPECIES[1]}/05.png" not in fk.compare(study, SPECIES[1], progress=False).image


def test_features_that_are_not_finite_are_recorded(photos, model, tmp_path, monkeypatch):
    original, calls = model.features, itertools.count()

    def broken(pixels):
        cells, embedding = original(pixels)
        if next(calls) == 3:
            embedding[0] = np.inf
        return cells, embedding

    monkeypatch.setattr(model, "features", broken)
    with pytest.warns(fk.PhotoWarning, match="1 of 42 photos could not be analysed.*not finite"):
        study = fk.analyze(fk.read_images(photos), model, tmp_path / "s.zarr", progress=False)
    assert study["species"]["n_photos"].sum() == 41


def test_kept_features_follow_the_budget(photos, model, tmp_path):
    images = fk.read_images(photos)
    need = 42 * 2 * 2 * 96 * 2
    for budget, kept in ((need, True), (need - 1, False), (False, False)):
        study = fk.analyze(images, model, tmp_path / f"{budget}.zarr", keep_features=budget, progress=False)
        assert ("feature_map" in study["features"]) is kept
    with pytest.raises(ValueError, match="keep_features must be True, False, 'auto' or a number of bytes. Got 'yes'"):
        fk.analyze(images, model, tmp_path / "x.zarr", keep_features="yes")


def test_without_a_store_the_study_is_temporary(photos, model):
    with pytest.warns(UserWarning, match="temporary folder.*store='name.zarr'"):
        study = fk.analyze(photos, model, progress=False)
    assert study.finerkit.location.exists()


def test_the_model_is_found_again_by_its_name_or_refused(study, model, monkeypatch):
    monkeypatch.setattr(study_model, "_models", {})
    found = study_model.model_of(study)
    assert found is not model
    assert found.weights_hash == model.weights_hash
    with pytest.raises(ValueError, match="This study was made with 'test_resnet' at 64 pixels.*pass the same model"):
        study_model.model_of(study, fk.load_model("test_resnet", 96, "cpu", pretrained=False))


def test_your_own_module_must_be_given_again(study, monkeypatch):
    study.attrs["model"] = "TheirNet"
    monkeypatch.setattr(study_model, "_models", {})
    with pytest.raises(
        ValueError, match="made with the model 'TheirNet', which cannot be loaded by name: pass it as model"
    ):
        study_model.model_of(study)


def test_strange_input_is_explained(photos, model, tmp_path):
    with pytest.raises(ValueError, match=r"Expected photos from fk.read_images.*lacks species"):
        fk.analyze(xr.Dataset(coords={"image": ["a"]}), model, tmp_path / "s.zarr")
    twice = xr.concat([fk.read_images(photos)] * 2, "image", data_vars="minimal")
    with pytest.raises(ValueError, match="Each photo may be there once. 'Rubra quadrata/00.png' is there twice"):
        fk.analyze(twice, model, tmp_path / "s.zarr")
    with pytest.raises(ValueError, match=r"folds must be an int in the range \[2, inf\). Got 1"):
        fk.analyze(photos, model, tmp_path / "s.zarr", folds=1)
    with pytest.raises(ValueError, match=r"C must be a number in the range \(0, inf\). Got -1"):
        fk.analyze(photos, model, tmp_path / "s.zarr", C=-1)
    assert not (tmp_path / "s.zarr").exists()
    with pytest.raises(ValueError, match="No column of the table named 'individual'"):
        fk.analyze(photos, model, tmp_path / "s.zarr", groups="individual")
    with pytest.raises(ValueError, match="head must be one of 'linear', 'nearest_mean', 'model'"):
        fk.analyze(photos, model, tmp_path / "s.zarr", head="svm")
    with pytest.raises(ValueError, match="is not a finerkit study"):
        fk.open_study(tmp_path)


def test_groups_keep_individuals_together(photos, model, tmp_path):
    images = fk.read_images(photos)
    images["individual"] = ("image", np.array([f"i{i // 2}" for i in range(42)], object))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        study = fk.analyze(images, model, tmp_path / "s.zarr", groups="individual", progress=False)
    assert study["species"].attrs["groups"] == "individual"
    assert study["images/individual"].values[3] == "i1"


# --- geometry, from file to cell ---


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
@pytest.mark.parametrize("orientation", [1, 6, 3, 5])
def test_a_bright_square_is_found_at_its_pixels(tmp_path, fit, orientation):
    """A network whose evidence is brightness itself finds a planted square in rotated, non-square photos."""
    import torch
    from PIL import Image

    upright = np.full((120, 200, 3), 30, np.uint8)
    box = (120, 50, 140, 70)  # left, top, right, bottom; inside the central square too
    upright[box[1] : box[3], box[0] : box[2]] = 250
    back = {1: None, 3: Image.Transpose.ROTATE_180, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90}
    for species in ("a", "b"):
        (tmp_path / "photos" / species).mkdir(parents=True)
        photo = Image.fromarray(upright if species == "a" else np.full_like(upright, 30))
        turn = back[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation
        for i in range(2):
            stored = photo if turn is None else photo.transpose(turn)
            stored.save(tmp_path / "photos" / species / f"{i}.jpg", quality=95 - i, exif=exif)
    net = torch.nn.Sequential()
    net.pool = torch.nn.AvgPool2d(4)
    model = fk.load_model(net, 80, "cpu", fit=fit, split=fk.Split("pool"), mean=(0.1, 0.1, 0.1), std=(1, 1, 1))
    images = fk.read_images(tmp_path / "photos")
    assert set(images.width.values) == {200}
    with pytest.warns(UserWarning, match="fewer photos than"):
        study = fk.analyze(images, model, tmp_path / "s.zarr", progress=False)
    table = fk.evidence_table(fk.compare(study, "a", progress=False))
    assert box[0] <= table.peak_x.iloc[0] <= box[2]
    assert box[1] <= table.peak_y.iloc[0] <= box[3]


def test_a_comparison_that_was_replaced_is_refused_where_it_is_held(study):
    held = fk.compare(study, SPECIES[0], [SPECIES[1]], name="mine", progress=False)
    loaded = held.load().copy()
    held = study.finerkit.comparison("mine")
    fk.compare(study, SPECIES[0], [SPECIES[2]], name="mine", overwrite=True, progress=False)
    for use in (fk.contrast, fk.evidence_table):
        with pytest.raises(ValueError, match="'mine' was replaced or removed in its study"):
            use(held)
    assert float(np.abs(fk.contrast(loaded, 1.0)).max()) > 0


def test_labels_and_places_of_photos_are_those_of_now(study, model, tmp_path):
    folder = tmp_path / "new" / "unknown"
    folder.mkdir(parents=True)
    draw(SPECIES[0], 99).save(folder / "a.png")
    images = fk.read_images(tmp_path / "new")
    first = fk.compare(study, SPECIES[0], images=images, model=model, progress=False)
    (tmp_path / "new").rename(tmp_path / "moved")
    moved = fk.read_images(tmp_path / "moved").assign(species=("image", np.array([SPECIES[1]], object)))
    again = fk.compare(study, SPECIES[0], images=moved, model=model, progress=False)
    np.testing.assert_array_equal(again.evidence, first.evidence)
    assert again.true_species.item() == SPECIES[1]
    assert again.path.item() == str(tmp_path / "moved" / "unknown" / "a.png")


def test_a_study_that_xarray_wrote_is_refused_where_its_rows_moved(study, photos, model, tmp_path):
    fewer = fk.read_images(photos).isel(image=slice(1, None))
    shorter = fk.analyze(fewer, model, study.finerkit.location, overwrite=True, progress=False)
    shorter.to_netcdf(tmp_path / "s.nc", engine="h5netcdf")
    back = xr.open_datatree(tmp_path / "s.nc", engine="h5netcdf")
    assert fk.similar_species(back, SPECIES[0]).size == 2
    with warnings.catch_warnings(action="ignore"):  # of Zarr, about text
        shorter.to_zarr(tmp_path / "copy.zarr", zarr_format=3)
    with pytest.raises(ValueError, match="written by xarray from a study with removed rows"):
        fk.open_study(tmp_path / "copy.zarr")
