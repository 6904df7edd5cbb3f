"""Predictions and look-alikes that are computed part by part equal those at once, and take the memory of a part."""

import tracemalloc

import numpy as np
import pytest
import xarray as xr

import finerkit as fk
from finerkit.base import labels
from finerkit.species import predictions
from finerkit.species import similarity_rows as likeness
from finerkit.species.similarity import similarity_rows
from finerkit.store import groups as disk


def collection(kinds=5, each=8, features=12, seed=0):
    rng = np.random.default_rng(seed)
    centres = 2 * rng.normal(size=(kinds, features))
    X = (np.repeat(centres, each, 0) + rng.normal(size=(kinds * each, features)) + 3).astype(np.float32)
    names = np.repeat([f"species {i}" for i in range(kinds)], each).astype(object)
    columns = {"species": names, "status": np.array(["ok"] * len(X), object)}
    return X, xr.Dataset({k: ("image", v) for k, v in columns.items()}, {"image": [f"{i}.jpg" for i in range(len(X))]})


def test_class_means_are_those_of_numpy():
    X, _ = collection()
    classes = np.arange(40) % 4
    classes[:9], X[:9] = -1, np.nan
    means = labels.class_means(X, classes, 5)
    np.testing.assert_allclose(means[2], X[classes == 2].mean(0), rtol=1e-5)
    assert np.isnan(means[4]).all()


@pytest.mark.parametrize("kind", ["linear", "nearest_mean"])
def test_predictions_by_chunk_equal_those_at_once(tmp_path, kind, monkeypatch):
    X, images = collection()
    images["species"][5] = ""
    X[9], images["status"][9] = np.nan, "broken"
    judged = predictions.trained(X, images, kind, folds=3)
    tables = []
    for name, chunk in (("whole", 2**18), ("parts", 1)):
        monkeypatch.setattr(predictions, "_CHUNK", chunk)
        disk.commit(tmp_path / name)
        _, fold = predictions.write_tables(tmp_path / name, images, judged, {"model": "none"})
        disk.commit(tmp_path / name, "species", "predictions")
        tables.append([disk.read_group(tmp_path / name, group).load() for group in ("species", "predictions")])
        assert fold.tolist() == judged.fold.tolist() == tables[-1][1]["fold"].values.tolist()
    for whole, parts in zip(*tables, strict=True):
        assert all(parts.attrs[k] == v for k, v in judged.species.attrs.items())
        assert parts.attrs["model"] == "none"
        xr.testing.assert_allclose(parts, whole, rtol=1e-5)
    found = tables[1][1]
    np.testing.assert_allclose(found["logit"], judged.logits(np.arange(40)), rtol=1e-5)
    assert np.isnan(found["logit"][9]).all()
    assert found["predicted"][9] == ""
    assert found["predicted"][5] != ""


def test_logits_of_all_photos_are_never_in_memory(tmp_path, monkeypatch):
    X, images = collection(kinds=400, each=5)
    judged = predictions.trained(X, images, "nearest_mean", folds=2)
    disk.commit(tmp_path / "s.zarr")
    monkeypatch.setattr(predictions, "_CHUNK", 2**12)
    tracemalloc.start()
    predictions.write_tables(tmp_path / "s.zarr", images, judged, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2000 * 400 * 8 / 2  # half of the logits in float64


@pytest.mark.parametrize("by", ["embedding", "weights", "logits", "confusion"])
def test_rows_of_similarity_are_those_of_the_matrix(by, monkeypatch):
    X, images = collection()
    judged, logits = predictions.trained(X, images, "linear", folds=2), []
    table, summary = predictions._predicted(judged, images, lambda _, logit: logits.append(logit), len(X))
    summary["logit"] = (("image", "species"), np.concatenate(logits))
    root = xr.Dataset(attrs={"study_id": "drawn", "network_id": "drawn", "head_id": "drawn"})
    study = xr.DataTree.from_dict({"/": root, "images": images, "species": table, "predictions": summary})
    whole = fk.similar_species(study, by=by)
    monkeypatch.setattr(likeness, "_AT_ONCE", 16)
    some = ["species 3", "species 1"]
    xr.testing.assert_allclose(similarity_rows(study, by, some), whole.sel(target=some))
