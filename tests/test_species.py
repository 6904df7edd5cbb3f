"""The species head against scikit-learn's own pipeline, closed forms and awkward sets."""

import numpy as np
import pytest
import xarray as xr
from scipy import special
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from finerkit.base.labels import coded, counted, usable_labels
from finerkit.species import heads as species
from finerkit.species import predictions
from finerkit.species.confusion import SpeciesWarning
from finerkit.species.cross_validation import judgeable, split, together
from finerkit.species.heads import fit_head, held_out_heads_of, prototypes


def blobs(counts=(20, 15, 12), features=6, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(counts), features)) * 3
    X = np.concatenate([c + rng.normal(size=(n, features)) * spread for c, n in zip(centres, counts, strict=True)])
    X = X * np.linspace(0.6, 1.8, features) + 5
    y = np.repeat([f"species {i}" for i in range(len(counts))], counts)
    order = rng.permutation(len(y))
    return X[order].astype(np.float32), y[order]


def photos(y, status=None, **columns):
    """The ``/images`` of photos with these labels."""
    columns = {"species": y, "status": status or ["ok"] * len(y), **columns}
    ids = np.array([f"{i}.jpg" for i in range(len(y))], object)
    return xr.Dataset({k: ("image", np.asarray(v, object)) for k, v in columns.items()}, {"image": ids})


def tables(X, y, status=None, kind="linear", columns=None, **options):
    images, logits = photos(y, status, **columns or {}), []
    judged = predictions.trained(X, images, kind, **options)
    found, summary = predictions._predicted(judged, images, lambda _, logit: logits.append(logit), 7)
    return found, summary.assign(logit=(("image", "species"), np.concatenate(logits)))


def unseen_logits(X, y, **options):
    return tables(X, y, **options)[1]["logit"].values


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
    # Two species: weights of + w/2 and - w/2 are penalised by half of what scikit-learn's one difference w is.
    C = 2.0 if len(counts) == 2 else 1.0
    exact = LogisticRegression(C=C, tol=1e-10, max_iter=5000)
    peer = make_pipeline(FlooredScaler(), exact).fit(X.astype(np.float64), y)
    assert list(head.species) == list(peer.classes_)
    np.testing.assert_allclose(
        special.softmax(head.logits(X), axis=1), peer.predict_proba(X.astype(np.float64)), atol=1e-5
    )
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
    unseen = unseen_logits(X, shuffled)
    assert (seen.species[unseen.argmax(1)] == shuffled).mean() < 0.8


def test_cross_validation_is_deterministic_with_a_seed():
    X, y = blobs(spread=6)
    np.testing.assert_array_equal(unseen_logits(X, y, seed=3), unseen_logits(X, y, seed=3))
    assert not np.array_equal(unseen_logits(X, y, seed=3), unseen_logits(X, y, seed=4))


def test_photos_of_one_group_stay_in_one_fold():
    rng = np.random.default_rng(0)
    individual = np.repeat(np.arange(20), 4)
    y = np.repeat(["a", "b"], 40)
    X = (
        np.repeat(rng.normal(size=(20, 30)), 4, axis=0) + rng.normal(size=(80, 30)) * 0.01
    )  # individuals differ, species do not
    apart, _ = tables(X, y)
    species, predictions = tables(X, y, columns={"individual": individual}, groups=("individual",))
    assert apart.attrs["accuracy"] > 0.9  # recognises individuals
    assert species.attrs["accuracy"] < 0.75
    assert (predictions["fold"].groupby(xr.DataArray(individual, dims="image")).std() == 0).all()
    assert species.attrs["groups"] == "individual"


def test_species_with_few_photos_are_named():
    X, y = blobs((12, 10, 3))
    with pytest.warns(SpeciesWarning, match="1 species with fewer photos than the 5 folds.*species 2"):
        assert np.isfinite(unseen_logits(X, y)).all()


def test_a_species_of_one_photo_cannot_be_judged():
    X, y = blobs((12, 10, 1))
    with pytest.warns(SpeciesWarning) as said:
        species, predictions = tables(X, y)
    assert len(said) == 1
    assert "1 species could not be judged: 'species 2' (1 photo)." in str(said[0].message)
    assert "add photos of other individuals" in str(said[0].message)
    alone, logit = y == "species 2", predictions["logit"].values
    assert np.isnan(logit[alone, 2]).all()
    assert np.isfinite(logit[:, :2]).all()
    assert predictions["predicted"].values[alone].tolist() == [""]
    assert np.isnan(species["recall"].values).tolist() == [False, False, True]
    right = predictions["predicted"].values == y
    assert species.attrs["accuracy"] == pytest.approx(right[~alone].mean())
    assert species.attrs["chance_level"] == pytest.approx(12 / 22)
    assert predictions.attrs["chance_level"] == species.attrs["chance_level"]


def test_where_nothing_can_be_judged_accuracy_is_unknown():
    X, y = blobs((8, 8))
    with pytest.warns(SpeciesWarning, match=r"2 species could not be judged: 'species 0' \(8 photos\), 'species 1'"):
        species, predictions = tables(X, y, columns={"individual": y}, groups=("individual",))
    assert np.isnan(species.attrs["accuracy"])
    assert np.isnan(species.attrs["chance_level"])
    assert np.isnan(species["recall"]).all()
    assert (predictions["fold"] == -1).all()
    assert (predictions["predicted"] == "").all()
    assert np.isnan(predictions["logit"]).all()


def test_all_species_rare():
    X, y = blobs((2, 2, 2))
    with pytest.warns(SpeciesWarning, match="3 species with fewer photos"):
        assert np.isfinite(unseen_logits(X, y, seed=1)).any()


def test_prototypes_are_means_and_absent_species_have_none():
    X, y = blobs()
    mean, count = prototypes(X, y, np.array(["species 1", "species 9"]))
    np.testing.assert_allclose(mean[0], X[y == "species 1"].mean(0), rtol=1e-5)
    assert np.isnan(mean[1]).all()
    assert list(count) == [15, 0]


def test_unusable_and_unlabelled_photos_do_not_teach():
    X, y = blobs()
    y = y.astype(object)
    y[0] = ""
    X[1] = np.nan
    status = ["ok", "empty file (0 bytes)"] + ["ok"] * (len(y) - 2)
    species, predictions = tables(X, y, status)
    assert species["n_photos"].sum() == len(y) - 2
    assert predictions["fold"].values[:2].tolist() == [-1, -1]
    assert sorted(set(predictions["fold"].values[2:])) == [0, 1, 2, 3, 4]
    assert predictions["predicted"].values[0].startswith("species")
    assert predictions["predicted"].values[1] == ""
    assert np.isnan(predictions["logit"].values[1]).all()
    assert 0.9 < species.attrs["accuracy"] <= 1
    assert all(type(value) in (int, float, str) for value in species.attrs.values())
    assert species.attrs["cross_validated"] == 1


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


# --- where a fit ends ---


def uneven(kinds, photos=90, features=200, seed=0):
    """Fewer photos than features, which vary a hundred times as much along some directions as along others."""
    rng = np.random.default_rng(seed)
    y = np.arange(photos) % kinds
    turn = np.linalg.qr(rng.normal(size=(features, features)))[0]
    X = rng.normal(size=(kinds, features))[y] + rng.normal(size=(photos, features))
    return (X * np.arange(1, features + 1) ** -0.9 @ turn).astype(np.float32), np.array([f"s{i}" for i in y], object)


def centred(logits):
    return logits - logits.mean(1, keepdims=True)


def exact_logits(X, y, C=1.0):
    """Of the softmax objective, minimised by SciPy's Newton method from its definition."""
    from scipy.optimize import minimize

    Z = FlooredScaler().fit(X.astype(np.float64)).transform(X.astype(np.float64))
    own = (y[:, None] == np.unique(y)).astype(float)
    kinds = own.shape[1]

    def loss(flat):
        weight = flat.reshape(kinds, -1)
        log_p = special.log_softmax(Z @ weight[:, :-1].T + weight[:, -1], axis=1)
        error = np.exp(log_p) - own
        slope = np.concatenate([error.T @ Z + weight[:, :-1] / C, error.sum(0)[:, None]], 1)
        return -(own * log_p).sum() + (weight[:, :-1] ** 2).sum() / (2 * C), slope.ravel()

    options = {"gtol": 1e-9, "ftol": 0, "maxiter": 10_000, "maxfun": 20_000}
    found = minimize(loss, np.zeros(kinds * (Z.shape[1] + 1)), jac=True, method="L-BFGS-B", options=options)
    weight = found.x.reshape(kinds, -1)
    return centred(Z @ weight[:, :-1].T + weight[:, -1])


@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("kinds", [2, 3, 10])
def test_a_head_is_fitted_to_the_optimum(kinds, C):
    X, y = uneven(kinds)
    exact = exact_logits(X, y, C)
    assert np.abs(centred(fit_head(X, y, C=C).logits(X.astype(np.float64))) - exact).max() < 0.005 * exact.std()


def test_two_species_are_fitted_to_the_softmax_objective():
    X, y = uneven(2)
    exact = exact_logits(X, y)
    np.testing.assert_allclose(centred(fit_head(X, y).logits(X.astype(np.float64))), exact, atol=1e-6 * exact.std())


def test_fewer_photos_than_features_are_fitted_in_as_many_variables(monkeypatch):
    X, y = uneven(3, photos=30)
    seen = []
    fit = LogisticRegression.fit
    monkeypatch.setattr(LogisticRegression, "fit", lambda self, Z, c: seen.append(Z.shape) or fit(self, Z, c))
    fit_head(X, y)
    fit_head(X[:, :8], y)
    assert seen == [(30, 30), (30, 8)]


def test_a_head_that_does_not_converge_says_so(monkeypatch):
    monkeypatch.setattr(species, "_MOST_STEPS", 2)
    with pytest.warns(UserWarning, match="did not converge.*a smaller C"):
        fit_head(*uneven(3))


# --- folds ---


def partition(codes):
    """Sets of positions with the same code."""
    return {frozenset(np.flatnonzero(codes == c).tolist()) for c in np.unique(codes)}


def test_photos_belong_together_by_any_column_also_by_way_of_others():
    images = photos(
        ["a"] * 9, individual=["x", "x", "y", "", "", "z", "z", "", ""], session=["", 1, 1, 2, 3, "", 2, np.nan, None]
    )
    assert partition(together(images, ("individual", "session"))) == {
        frozenset(s) for s in ((0, 1, 2), (3, 5, 6), (4,), (7,), (8,))
    }
    assert partition(together(images, ("individual",))) == {
        frozenset(s) for s in ((0, 1), (2,), (3,), (4,), (5, 6), (7,), (8,))
    }
    assert len(partition(together(images))) == 9


@pytest.mark.parametrize(
    "missing",
    [
        np.array(["", "", "x", "x"], object),
        np.array([None, np.nan, "x", "x"], object),
        np.array(["", "", "x", "x"]),
        np.array([np.nan, np.nan, 2.0, 2.0]),
        np.array(["NaT", "NaT", "2024-05-01", "2024-05-01"], "datetime64[ns]"),
    ],
)
def test_photos_of_nobody_are_individuals_of_their_own(missing):
    images = photos(["a"] * 4).assign(who=("image", missing))
    assert partition(together(images, ("who",))) == {frozenset({0}), frozenset({1}), frozenset({2, 3})}


def test_rows_of_one_file_and_copies_of_one_file_belong_together():
    copies = ["", "0.jpg", "", "", "gone.jpg", "gone.jpg"]
    images = photos(["a", "b", *["a"] * 4], file=["f", "g", "h", "h", "", ""], duplicate_of=copies)
    assert partition(together(images)) == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4, 5})}


def test_photos_that_cannot_be_used_tie_nobody():
    images = photos(["a"] * 3, ["ok", "removed", "ok"], individual=["x", "x", ""], session=["", "s", "s"])
    assert len(partition(together(images, ("individual", "session")))) == 3


def test_folds_of_photos_that_are_all_alone_are_scikit_learns():
    from sklearn.model_selection import StratifiedKFold

    _, y = blobs()
    found = split(y, 4, np.arange(len(y)), 7)
    for i, (_, test) in enumerate(StratifiedKFold(4, shuffle=True, random_state=7).split(y, y)):
        assert np.flatnonzero(found == i).tolist() == test.tolist()


def test_who_can_be_judged_is_counted_by_hand():
    y = np.array(list("aabbbcc"))
    assert judgeable(y, np.array([0, 1, 0, 0, 0, -1, 1])).tolist() == [True, True, False, False, False, False, True]


@pytest.mark.parametrize("groups", [(), ("individual",)])
def test_a_copy_of_a_photo_never_judges_it(groups):
    rng = np.random.default_rng(0)
    y = np.tile(np.repeat(["a", "b"], 15), 2)
    X = np.tile(rng.normal(size=(30, 40)), (2, 1)).astype(np.float32)
    first = ["", *[""] * 29, *(f"{i}.jpg" for i in range(30))]
    _, predictions = tables(X, y, columns={"duplicate_of": first, "individual": [""] * 60}, groups=groups)
    fold = predictions["fold"].values
    assert (fold[:30] == fold[30:]).all()
    assert len(set(fold)) == 5


def test_a_group_of_most_photos_is_named():
    X, y = blobs((20, 20))
    who = np.where(np.arange(40) < 25, "tame", [f"wild {i}" for i in range(40)])
    with pytest.warns(SpeciesWarning, match="25 of 40 labelled photos belong together.*25 of them have bird = 'tame'"):
        tables(X, y, columns={"bird": who}, groups=("bird",))


def test_the_heads_of_cross_validation_are_found_again():
    X, y = blobs((14, 12, 13), spread=4)
    y = y.astype(object)
    y[4] = ""
    who = [f"{name}{i % 6}" for i, name in enumerate(y)]
    X[9] = np.nan
    status = ["ok"] * 9 + ["broken"] + ["ok"] * (len(y) - 10)
    table, predictions = tables(X, y, status, columns={"who": who}, groups=("who",), folds=3, seed=5)
    images = photos(y, status, who=who)
    features = xr.Dataset({"embedding": (("image", "feature"), X)}, {"image": images["image"]})
    groups = {"images": images, "features": features, "species": table, "predictions": predictions}
    study = xr.DataTree.from_dict(groups)
    judged = set()
    for ids, head in held_out_heads_of(study):
        at = images.indexes["image"].get_indexer(ids)
        np.testing.assert_array_equal(head.logits(X[at]).astype(np.float32), predictions["logit"].values[at])
        judged |= set(at.tolist())
    assert judged == set(range(len(y))) - {4, 9}
