"""The species head against scikit-learn's own pipeline, closed forms and awkward sets."""

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from finerkit.labels import coded, counted, usable_labels
from finerkit.predictions import trained_tables
from finerkit.species import cross_validate, fit_head, prototypes


def blobs(counts=(20, 15, 12), features=6, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(counts), features)) * 3
    X = np.concatenate([c + rng.normal(size=(n, features)) * spread for c, n in zip(centres, counts, strict=True)])
    X = X * np.linspace(0.6, 1.8, features) + 5
    y = np.repeat([f"species {i}" for i in range(len(counts))], counts)
    order = rng.permutation(len(y))
    return X[order].astype(np.float32), y[order]


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


class FlooredScaler(StandardScaler):
    """scikit-learn's, but features are divided by no less than the median feature's standard deviation."""

    def fit(self, X, y=None, sample_weight=None):  # noqa: ARG002 - of the interface
        super().fit(X)
        self.scale_ = np.maximum(self.scale_, np.median(self.scale_))
        return self


@pytest.mark.parametrize("counts", [(20, 15, 12), (20, 15)])
def test_linear_head_is_logistic_regression_on_standardised_embeddings(counts):
    X, y = blobs(counts, spread=4)
    head = fit_head(X, y)
    peer = make_pipeline(FlooredScaler(), LogisticRegression(max_iter=5000)).fit(X.astype(np.float64), y)
    assert list(head.species) == list(peer.classes_)
    np.testing.assert_allclose(softmax(head.logits(X)), peer.predict_proba(X.astype(np.float64)), atol=2e-3)
    assert head.weight.shape == (len(counts), X.shape[1])


def test_nearest_mean_head_orders_by_distance_to_the_means():
    X, y = blobs(spread=4)
    peer = make_pipeline(FlooredScaler(), NearestCentroid()).fit(X.astype(np.float64), y)
    head = fit_head(X, y, "nearest_mean")
    np.testing.assert_array_equal(head.species[head.logits(X).argmax(1)], peer.predict(X.astype(np.float64)))


def test_features_that_are_nearly_silent_get_no_giant_weight():
    """A channel that fires on no photo but one would, blown up to unit variance, decide every photo that wakes it."""
    X, y = blobs(features=20, spread=4)
    X[:, 3] = np.random.default_rng(0).normal(0, 1e-5, len(X))
    for kind in ("linear", "nearest_mean"):
        weight = np.abs(fit_head(X, y, kind).weight)
        assert weight[:, 3].max() < weight.max() / 10


def test_constant_features_get_no_weight():
    X, y = blobs()
    X[:, 2] = 7.25
    for kind in ("linear", "nearest_mean"):
        head = fit_head(X, y, kind)
        assert np.isfinite(head.weight).all()
        assert np.all(head.weight[:, 2] == 0)


def test_cross_validated_logits_come_from_heads_that_did_not_see_the_photo():
    X, y = blobs((10, 10), seed=1)
    shuffled = np.random.default_rng(0).permutation(y)
    # With noise for labels a head that saw the photos would be far better than chance.
    X = np.random.default_rng(1).normal(size=(20, 200))
    seen = fit_head(X, shuffled)
    assert (seen.species[seen.logits(X).argmax(1)] == shuffled).mean() == 1
    unseen = cross_validate(X, shuffled)
    assert (seen.species[unseen.argmax(1)] == shuffled).mean() < 0.8


def test_cross_validation_is_deterministic_with_a_seed():
    X, y = blobs(spread=6)
    np.testing.assert_array_equal(cross_validate(X, y, seed=3), cross_validate(X, y, seed=3))
    assert not np.array_equal(cross_validate(X, y, seed=3), cross_validate(X, y, seed=4))


def test_photos_of_one_group_stay_in_one_fold():
    rng = np.random.default_rng(0)
    individual = np.repeat(np.arange(20), 4)
    y = np.repeat(["a", "b"], 40)
    X = (
        np.repeat(rng.normal(size=(20, 30)), 4, axis=0) + rng.normal(size=(80, 30)) * 0.01
    )  # individuals differ, species do not
    together = cross_validate(X, y, groups=individual)
    apart = cross_validate(X, y)
    assert (np.array(["a", "b"])[apart.argmax(1)] == y).mean() > 0.9  # recognises individuals
    assert (np.array(["a", "b"])[together.argmax(1)] == y).mean() < 0.75


def test_species_with_few_photos_are_named():
    X, y = blobs((12, 10, 1))
    with pytest.warns(UserWarning, match="1 species with fewer photos than the 5 folds.*species 2"):
        logits = cross_validate(X, y)
    alone = y == "species 2"
    assert np.isnan(logits[alone, 2]).all()
    assert np.isfinite(logits[:, :2]).all()


def test_all_species_rare():
    X, y = blobs((2, 2, 2))
    with pytest.warns(UserWarning, match="3 species with fewer photos"):
        logits = cross_validate(X, y)
    assert np.isfinite(logits).any()


def test_prototypes_are_means_and_absent_species_have_none():
    X, y = blobs()
    mean, count = prototypes(X, y, np.array(["species 1", "species 9"]))
    np.testing.assert_allclose(mean[0], X[y == "species 1"].mean(0), rtol=1e-5)
    assert np.isnan(mean[1]).all()
    assert list(count) == [15, 0]


def tables(X, y, status=None, **kwargs):
    images = xr.Dataset(
        {"species": ("image", y.astype(object)), "status": ("image", np.array(status or ["ok"] * len(y), object))},
        {"image": [f"{i}" for i in range(len(y))]},
    )
    return trained_tables(X, images, "linear", **kwargs)


def test_unusable_and_unlabelled_photos_do_not_teach():
    X, y = blobs()
    y = y.astype(object)
    y[0] = ""
    X[1] = np.nan
    status = ["ok", "empty file (0 bytes)"] + ["ok"] * (len(y) - 2)
    species, predictions = tables(X, y, status)
    assert species["count"].sum() == len(y) - 2
    assert predictions["predicted"].values[0].startswith("species")
    assert predictions["predicted"].values[1] == ""
    assert np.isnan(predictions["logit"].values[1]).all()
    assert 0.9 < species.attrs["accuracy"] <= 1
    assert species.attrs["cross_validated"] is True


def test_one_species_is_not_enough():
    X, y = blobs((8, 0))
    with pytest.raises(ValueError, match="at least two species. Got only 'species 0' .8 photos. instead: add photos"):
        tables(X, y)


def test_labels_stay_the_objects_they_are_however_long_one_reason_is():
    columns = {
        "status": ["ok", "a very long reason " * 20, *["ok"] * 4],
        "species": ["Wren", "Robin", "", None, np.nan, 7],
    }
    images = xr.Dataset({k: ("image", np.array(v, object)) for k, v in columns.items()})
    labels = usable_labels(images)
    assert labels.dtype == object
    assert labels.tolist() == ["Wren", "", "", "", "", "7"]
    assert usable_labels(images.assign(species=("image", np.array(list("abcdef"))))).tolist() == ["a", "", *"cdef"]


def test_classes_are_those_of_numpy():
    labels = np.array(["b", "é", "a", "b", "B", "a b", "a"], object)
    names, codes = coded(labels)
    expected, inverse = np.unique(labels.astype(str), return_inverse=True)
    assert names.tolist() == expected.tolist()
    assert codes.tolist() == inverse.tolist()
    assert counted(labels)[1].tolist() == np.bincount(inverse).tolist()
