"""What is done in blocks for large collections equals what is done at once, and takes no more memory than a block."""

import tracemalloc
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from sklearn.linear_model import LogisticRegression

import finerkit as fk
from finerkit import blocks, predictions, softmax, species
from finerkit import store as disk
from finerkit.similarity import similarity_rows
from finerkit.softmax import Problem, fit_softmax


def collection(kinds=5, each=8, features=12, seed=0):
    rng = np.random.default_rng(seed)
    centres = 2 * rng.normal(size=(kinds, features))
    X = (np.repeat(centres, each, 0) + rng.normal(size=(kinds * each, features)) + 3).astype(np.float32)
    names = np.repeat([f"species {i}" for i in range(kinds)], each).astype(object)
    columns = {"species": names, "status": np.array(["ok"] * len(X), object)}
    return X, xr.Dataset({k: ("image", v) for k, v in columns.items()}, {"image": [f"{i}.jpg" for i in range(len(X))]})


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 64)


def spooled(X, folder):
    spool = blocks.Spool(X.shape[1], folder)
    spool.append(X[:7])
    spool.append(X[7:])
    return spool


def test_a_spool_gives_back_rows_at_any_places(tmp_path):
    X, _ = collection()
    spool = spooled(X, tmp_path)
    assert spool.shape == X.shape
    for at in (np.arange(9, 20), np.array([3, 4, 8, 30]), np.array([], int)):
        np.testing.assert_array_equal(spool[at], X[at])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_blocks")
def test_moments_and_class_means_are_those_of_numpy(tmp_path):
    X, _ = collection()
    rows, classes = np.arange(2, 39), np.arange(37) % 4
    for embedding in (X, spooled(X, tmp_path)):
        mean, deviation = blocks.moments(embedding, rows)
        np.testing.assert_allclose(mean, X[rows].mean(0), rtol=1e-5)
        np.testing.assert_allclose(deviation, X[rows].std(0), rtol=1e-5)
        means = blocks.class_means(embedding, rows, classes, 5)
        np.testing.assert_allclose(means[2], X[rows][classes == 2].mean(0), rtol=1e-5)
        assert np.isnan(means[4]).all()


@pytest.mark.usefixtures("small_blocks")
def test_the_head_in_blocks_is_that_of_scikit_learn():
    X, images = collection(kinds=6, each=20)
    _, classes = np.unique(images.species.values.astype(str), return_inverse=True)
    mean, scale = X.mean(0), X.std(0)
    weight, bias = fit_softmax(Problem(X, np.arange(len(X)), classes, mean, scale, 0.5))
    Z = (X - mean) / scale
    peer = LogisticRegression(C=0.5, tol=1e-8, max_iter=5000).fit(Z.astype(np.float64), classes)
    mine, theirs = Z @ weight.T + bias, Z @ peer.coef_.T + peer.intercept_
    apart = (mine - mine.mean(1, keepdims=True)) - (theirs - theirs.mean(1, keepdims=True))
    assert np.abs(apart).max() < 0.003 * theirs.std()


@pytest.fixture
def uneven():
    """Embeddings that vary a hundred times as much along some directions as along others, as networks' do."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    classes = np.repeat(np.arange(30), 20)
    X = rng.normal(size=(30, 40))[classes] + 1.5 * rng.normal(size=(600, 40))
    return (X * np.geomspace(1, 0.01, 40) @ turn).astype(np.float32), classes


def centred(Z, weight, bias):
    logits = Z @ weight.T + bias
    return logits - logits.mean(1, keepdims=True)


@pytest.mark.parametrize("C", [0.01, 1.0])
def test_large_heads_are_those_of_scikit_learn(uneven, monkeypatch, C):
    X, classes = uneven
    monkeypatch.setattr(softmax, "_SMALL", 0)
    mean, scale = X.mean(0), X.std(0)
    Z = ((X - mean) / scale).astype(np.float64)
    found = centred(Z, *fit_softmax(Problem(X, np.arange(len(X)), classes, mean, scale, C)))
    peer = LogisticRegression(C=C, tol=1e-8, max_iter=5000).fit(Z, classes)
    expected = centred(Z, peer.coef_, peer.intercept_)
    assert np.sqrt(((found - expected) ** 2).mean()) < 0.002 * expected.std()


@pytest.mark.parametrize(("small", "near"), [(0, 0.005), (10**9, 0.001)])
def test_large_heads_are_those_of_scikit_learn_where_few_species_have_most_photos(monkeypatch, small, near):
    rng = np.random.default_rng(1)
    classes = np.repeat(np.arange(30), [600, *[8] * 29])
    X = rng.normal(size=(30, 40))[classes] + 1.5 * rng.normal(size=(len(classes), 40))
    X = (X * np.geomspace(1, 0.01, 40) @ np.linalg.qr(rng.normal(size=(40, 40)))[0]).astype(np.float32)
    monkeypatch.setattr(softmax, "_SMALL", small)
    mean, scale = X.mean(0), X.std(0)
    Z = ((X - mean) / scale).astype(np.float64)
    found = centred(Z, *fit_softmax(Problem(X, np.arange(len(X)), classes, mean, scale, 1.0)))
    peer = LogisticRegression(tol=1e-8, max_iter=5000).fit(Z, classes)
    expected = centred(Z, peer.coef_, peer.intercept_)
    assert np.sqrt(((found - expected) ** 2).mean()) < near * expected.std()


def test_embeddings_that_do_not_vary_give_a_head_without_weights(monkeypatch):
    monkeypatch.setattr(blocks, "MEMORY", 0)
    monkeypatch.setattr(softmax, "_SMALL", 0)
    head = species.fit_head(np.ones((40, 6), np.float32), np.repeat(["a", "b", "c", "d"], 10))
    assert not head.weight.any()
    assert np.ptp(head.bias) == 0


@pytest.mark.parametrize("small", [0, 10**9])
def test_embeddings_that_vary_unevenly_take_few_passes(uneven, monkeypatch, small):
    X, classes = uneven
    monkeypatch.setattr(softmax, "_SMALL", small)
    monkeypatch.setattr(softmax, "_MOST_STEPS", 3000)  # to count them all
    monkeypatch.setattr(softmax, "_loss", loss := Mock(wraps=softmax._loss))
    problem = Problem(X, np.arange(len(X)), classes, X.mean(0), X.std(0), 1.0)
    fit_softmax(problem)
    passes = loss.call_count
    loss.reset_mock()
    monkeypatch.setattr(softmax, "_evener", lambda *_: (torch.clone, torch.clone))
    fit_softmax(problem)
    assert loss.call_count > 1.3 * passes


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kind", ["linear", "nearest_mean"])
def test_predictions_by_chunk_equal_those_in_memory(tmp_path, kind, monkeypatch):
    X, images = collection()
    images["species"][5] = ""
    X[9], images["status"][9] = np.nan, "broken"
    expected = predictions.trained_tables(X, images, kind, folds=3)
    monkeypatch.setattr(predictions, "_CHUNK", 1)
    judged = predictions.trained(spooled(X, tmp_path), images, kind, folds=3)
    disk.commit(tmp_path / "s.zarr")
    species, fold = predictions.write_tables(tmp_path / "s.zarr", images, judged, {"model": "none"})
    xr.testing.assert_allclose(species, expected[0], rtol=1e-5)
    disk.commit(tmp_path / "s.zarr", "species", "predictions")
    assert fold.tolist() == judged.fold.tolist() == expected[1]["fold"].values.tolist()
    for group, table in zip(("species", "predictions"), expected, strict=True):
        found = disk.read_group(tmp_path / "s.zarr", group).load()
        assert {k: v for k, v in found.attrs.items() if k in table.attrs} == table.attrs
        assert found.attrs["model"] == "none"
        xr.testing.assert_allclose(found[list(table.data_vars)].drop_attrs(), table.drop_attrs(), rtol=1e-5)
    assert np.isnan(found["logit"][9]).all()
    assert found["predicted"][9] == ""
    assert found["predicted"][5] != ""


def test_logits_of_all_photos_are_never_in_memory(tmp_path, monkeypatch):
    X, images = collection(kinds=400, each=5)
    monkeypatch.setattr(blocks, "BLOCK", 2**15)
    judged = predictions.trained(X, images, "nearest_mean", folds=2)
    disk.commit(tmp_path / "s.zarr")
    monkeypatch.setattr(predictions, "_CHUNK", 2**12)
    tracemalloc.start()
    predictions.write_tables(tmp_path / "s.zarr", images, judged, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2000 * 400 * 8 / 2  # half of the logits in float64


def test_one_rule_says_what_is_done_in_blocks(tmp_path, monkeypatch):
    X, images = collection()
    array = zarr.create_array(str(tmp_path / "a"), shape=X.shape, chunks=(8, 12), dtype="float32")
    array[:] = X
    monkeypatch.setattr(blocks, "MEMORY", 8 * X.size)
    assert isinstance(blocks.rows_of(array, tmp_path), np.ndarray)
    monkeypatch.setattr(blocks, "MEMORY", 8 * X.size - 1)
    spool = blocks.rows_of(array, tmp_path)
    assert isinstance(spool, blocks.Spool)
    np.testing.assert_array_equal(spool[np.arange(40)], X)
    assert species.fit_head(X, images.species.values).fitted_in == "blocks"  # which takes more than the embeddings


def test_large_problems_are_fitted_in_blocks(monkeypatch):
    X, images = collection(each=20)
    at_once = species.fit_head(X, images.species.values)
    monkeypatch.setattr(blocks, "MEMORY", 0)
    in_blocks = species.fit_head(X, images.species.values)
    apart = at_once.logits(X) - in_blocks.logits(X)
    assert np.abs(apart - apart.mean(1, keepdims=True)).max() < 0.005 * at_once.logits(X).std()


@pytest.mark.parametrize("by", ["embedding", "weights", "logits", "confusion"])
def test_rows_of_similarity_are_those_of_the_matrix(by, monkeypatch):
    X, images = collection()
    tables = predictions.trained_tables(X, images, "linear", folds=2)
    groups = dict(zip(("species", "predictions"), tables, strict=True)) | {"images": images}
    groups["/"] = xr.Dataset(attrs={"study_id": "drawn", "network_id": "drawn", "head_id": "drawn"})
    study = xr.DataTree.from_dict(groups)
    whole = fk.similar_species(study, by=by)
    monkeypatch.setattr(blocks, "BLOCK", 16)
    some = ["species 3", "species 1"]
    xr.testing.assert_allclose(similarity_rows(study, by, some), whole.sel(target=some))
