"""Which species a head does not tell apart, against SciPy's exact test, plain loops and planted collections."""

import re

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import accuracy_score, recall_score
from torch import nn

import finerkit as fk
from finerkit.base.labels import positions
from finerkit.species import predictions
from finerkit.species.confusion import confused, count_answers, name_confused
from finerkit.store import groups as disk


def answers(table):
    """Answers that make a confusion table (own, said), in any order."""
    table = np.asarray(table)
    own, said = (np.repeat(part.ravel(), table.ravel()) for part in np.indices(table.shape))
    order = np.random.default_rng(0).permutation(len(own))
    return count_answers(own[order], said[order], len(table))


def pairs(table):
    return confused(answers(table)).tolist()


def test_counts_and_shares_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    own, said = rng.integers(0, 6, 200), rng.integers(0, 7, 200)
    own[:9], said[5:14] = -1, -1  # not labelled; not judged
    found = count_answers(own, said, 7)
    known = (own >= 0) & (said >= 0)
    assert found.photos.sum() == known.sum()
    assert found.accuracy() == accuracy_score(own[known], said[known])
    assert found.commonest() == np.bincount(own[known]).max() / known.sum()
    expected = recall_score(own[known], said[known], labels=range(6), average=None)
    np.testing.assert_allclose(found.recall()[:6], expected)
    assert np.isnan(found.recall()[6])  # no photo
    asked = np.array([[0, 1], [3, 3], [6, 0]]).T
    np.testing.assert_array_equal(found.taken(*asked), [np.sum((own == a) & (said == b)) for a, b in asked.T])


def test_no_answers():
    none = count_answers(np.array([-1, 0]), np.array([0, -1]), 3)
    assert np.isnan(none.accuracy())
    assert np.isnan(none.commonest())
    assert np.isnan(none.recall()).all()
    assert confused(none).shape == (0, 2)
    assert none.taken(np.array([0]), np.array([1])).tolist() == [0]


@pytest.mark.parametrize("seed", range(5))
def test_two_species_are_confused_where_fishers_test_is_not_significant(seed):
    from scipy.stats import fisher_exact

    rng = np.random.default_rng(seed)
    for _ in range(40):
        a, b = rng.integers(5, 40, 2)
        right = rng.integers(a // 2, a), rng.integers(b // 2, b)
        table = [[right[0], a - right[0]], [b - right[1], right[1]]]
        assert (pairs(table) != []) == (fisher_exact(table, "greater").pvalue >= 0.1)


def test_sisters_are_confused_though_both_are_told_from_all_others():
    """Against all other photos 15 of 30 is far above chance; against its sister's it is chance."""
    table = np.diag([30, 30, 15, 30, 16])
    table[2, 4], table[4, 2] = 15, 14
    assert pairs(table) == [[2, 4]]  # once, by the less recognised


def test_a_species_never_recognised_is_named_with_what_it_is_taken_for():
    table = [[9, 0, 0], [1, 0, 11], [0, 0, 12]]
    assert pairs(table) == [[1, 2]]
    said = name_confused(answers(table), np.array(["Rubra", "Alba", "Nigra"]))
    assert (
        "does not reliably tell 1 species from another: 'Alba' (recognised in 0 of 12 photos, 11 taken for 'Nigra')."
        in said
    )


def test_few_photos_are_no_evidence():
    assert pairs([[30, 0, 0], [0, 30, 0], [4, 0, 0]]) == []  # 4 photos: named as few
    assert pairs([[30, 0, 0], [0, 30, 0], [5, 0, 0]]) == [[2, 0]]
    assert pairs([[2, 1, 3], [0, 6, 0], [0, 0, 6]]) == [[0, 2]]  # 2 of 6 against 0 of 6: p = .23
    assert pairs([[3, 1, 2], [0, 6, 0], [0, 0, 6]]) == []  # 3 of 6 against 0 of 6: p = .09
    assert pairs([[10, 2, 0], [1, 0, 0], [0, 0, 30]]) == []  # taken for a rare one, but known from the others


def test_some_mistakes_are_no_news():
    assert pairs([[5, 1], [1, 5]]) == []
    assert pairs([[7, 3], [3, 7]]) == []  # p = .09
    assert pairs([[40, 60], [2, 98]]) == []  # cautious, yet the answer says much


def test_noise_is_found_out_and_signal_is_not_accused():
    rng = np.random.default_rng(0)
    noise, signal = [], []
    for _ in range(300):
        right = rng.binomial(30, 0.5, 2)
        noise.append(pairs([[right[0], 30 - right[0]], [30 - right[1], right[1]]]) != [])
        right = rng.binomial(30, 0.85, 2)
        signal.append(pairs([[right[0], 30 - right[0]], [30 - right[1], right[1]]]) != [])
    assert np.mean(noise) > 0.88
    assert np.mean(signal) < 0.01


def test_ten_thousand_species_take_no_square_table():
    import tracemalloc

    n = 10_000
    rng = np.random.default_rng(0)
    own = np.repeat(np.arange(n), 5)
    said = np.where(rng.random(5 * n) < 0.8, own, rng.integers(0, n, 5 * n))
    said[own == 77] = 78
    names = np.array([f"Genus species{i}" for i in range(n)], object)
    tracemalloc.start()
    found = count_answers(positions(names[own], names), said, n)
    text = name_confused(found, names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    assert "'Genus species77' (recognised in 0 of 5 photos, 5 taken for 'Genus species78')" in text
    assert re.search(r" and \d+ more\. Maps", text)
    assert len(text) < 1200


# --- in a study ---


def planted(folder, embedding, labels, kind="nearest_mean", **options):
    """A finished study of these embeddings."""
    columns = {"species": labels.astype(object), "status": np.array(["ok"] * len(labels), object)}
    for name in ("path", "width", "height"):
        columns[name] = np.array([""] * len(labels), object) if name == "path" else np.ones(len(labels), int)
    images = xr.Dataset(
        {k: ("image", v) for k, v in columns.items()}, {"image": [f"{i}.jpg" for i in range(len(labels))]}
    )
    path = folder / "s.zarr"
    disk.commit(path)
    disk.write_group(path, "images", images)
    predictions.write_tables(path, images, predictions.trained(embedding, images, kind, **options), {})
    made_by = {"study_id": "planted", "network_id": "planted", "head_id": "planted"}
    disk.commit(path, "images", "species", "predictions", **made_by)
    return fk.open_study(path)


def blobs(kinds=4, each=15, features=8, seed=0):
    rng = np.random.default_rng(seed)
    X = np.repeat(8 * rng.normal(size=(kinds, features)), each, 0) + rng.normal(size=(kinds * each, features))
    return X.astype(np.float32), np.repeat([f"species {i}" for i in range(kinds)], each)


@pytest.mark.parametrize("kind", ["linear", "nearest_mean"])
def test_twins_are_named_and_their_recall_is_kept(tmp_path, kind):
    X, y = blobs()
    X[y == "species 3"] = X[y == "species 1"] + np.random.default_rng(1).normal(size=(15, 8)) * 0.5
    study = planted(tmp_path, X, y, kind)
    with pytest.warns(
        fk.SpeciesWarning, match=r"not reliably tell 1 species from another: 'species [13]' \(recogn"
    ) as seen:
        predictions.warn_indistinct(study)
    assert "'species 0'" not in str(seen[0].message)
    recall = study["species"]["recall"]
    said = study["predictions"]["predicted"].values
    for name in recall["species"].values:
        assert float(recall.sel(species=name)) == pytest.approx(np.mean(said[y == name] == name))
    assert study["species"].attrs["accuracy"] == np.mean(said == y)
    assert recall.dtype == np.float32
    assert list(recall.sel(species=["species 0", "species 2"])) == [1, 1]


@pytest.mark.filterwarnings("error")
def test_species_that_are_told_apart_give_no_warning(tmp_path):
    X, y = blobs()
    X[:, 3] = 2.5  # networks have silent channels: counted, no warning
    study = planted(tmp_path, X, y)
    predictions.warn_indistinct(study)
    assert study["species"].attrs["constant_features"] == 1


@pytest.mark.parametrize("kind", ["linear", "nearest_mean"])
def test_constant_features_are_said_in_one_warning(tmp_path, kind):
    _, y = blobs()
    study = planted(tmp_path, np.full((len(y), 8), 3.5, np.float32), y, kind)
    with pytest.warns(fk.SpeciesWarning) as seen:
        predictions.warn_indistinct(study)
    assert len(seen) == 1
    assert "says the same of every photo: all 8 features are constant" in str(seen[0].message)


class Deaf(nn.Module):
    """A network that says the same of every photo."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 8, 8, stride=8)
        nn.init.zeros_(self.features.weight)

    def forward(self, x):
        return self.features(x).mean((2, 3))


def test_analyze_says_that_nothing_differs_once_the_study_is_complete(tmp_path):
    from samples import write_photos

    images = fk.read_images(write_photos(tmp_path / "photos"), progress=False)
    model = fk.load_model(Deaf(), 32, split=fk.Split("features"))
    with pytest.warns(fk.SpeciesWarning, match="all 8 features are constant") as seen:
        study = fk.analyze(images, model, tmp_path / "s.zarr", progress=False)
    assert [w.filename for w in seen] == [__file__]  # the line that called it
    assert (study["species"]["weight"] == 0).all()
    fk.analyze(images, model, tmp_path / "s.zarr", progress=False)  # complete: opened, and nothing said again


def test_a_study_interrupted_while_its_head_is_fitted_goes_on_from_its_features(tmp_path, monkeypatch):
    from samples import write_photos

    images = fk.read_images(write_photos(tmp_path / "photos"), progress=False)
    model = fk.load_model("test_resnet", 32, "cpu", pretrained=False)

    def impatient(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(predictions, "held_out_heads", impatient)
        with pytest.raises(KeyboardInterrupt):
            fk.analyze(images, model, tmp_path / "s.zarr", progress=False)
    monkeypatch.setattr(model.module, "forward_features", None)  # not needed again
    study = fk.analyze(images, model, tmp_path / "s.zarr", progress=False)
    assert set(study["species"].data_vars) == {"prototype", "n_photos", "weight", "bias", "recall"}


# --- progress ---


def shown(capfd, monkeypatch, long, progress):
    X, y = blobs()
    monkeypatch.setattr(predictions, "_LONG", 0 if long else 2**30)
    images = xr.Dataset(
        {"species": ("image", y.astype(object)), "status": ("image", np.array(["ok"] * len(y), object))},
        {"image": [f"{i}" for i in range(len(y))]},
    )
    predictions.trained(X, images, "linear", folds=3, progress=progress)
    return capfd.readouterr().err


def test_long_fits_show_their_progress(capfd, monkeypatch):
    text = shown(capfd, monkeypatch, long=True, progress=True)
    assert "fitting the species head:   0%" in text  # at once, not after the first fit
    assert "4/4" in text  # three folds and the head itself


@pytest.mark.parametrize(("long", "progress"), [(False, True), (True, False)])
def test_quick_fits_and_silence_show_none(capfd, monkeypatch, long, progress):
    assert shown(capfd, monkeypatch, long, progress) == ""
