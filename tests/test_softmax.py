"""Heads of many photos of many species are those of scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from test_predictions import collection

from finerkit.species import heads as species
from finerkit.species import softmax
from finerkit.species.softmax import fit_softmax


@pytest.fixture
def uneven():
    """Embeddings that vary a hundred times as much along some directions as along others, as networks' do."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    classes = np.repeat(np.arange(30), 20)
    X = rng.normal(size=(30, 40))[classes] + 1.5 * rng.normal(size=(600, 40))
    return standardised(X * np.geomspace(1, 0.01, 40) @ turn), classes


def standardised(X):
    X = X.astype(np.float32).astype(np.float64)
    return (X - X.mean(0)) / X.std(0)


def centred(Z, weight, bias):
    logits = Z @ weight.T + bias
    return logits - logits.mean(1, keepdims=True)


def apart(Z, classes, C):
    """Logits by `fit_softmax`, less those of scikit-learn, in standard deviations of the latter."""
    peer = LogisticRegression(C=C, tol=1e-8, max_iter=5000).fit(Z, classes)
    expected = centred(Z, peer.coef_, peer.intercept_)
    weight, bias, settled = fit_softmax(Z, classes, C)
    assert settled
    return (centred(Z, weight, bias) - expected) / expected.std()


def test_the_head_in_blocks_is_that_of_scikit_learn(monkeypatch):
    X, images = collection(kinds=6, each=20)
    _, classes = np.unique(images.species.values.astype(str), return_inverse=True)
    monkeypatch.setattr(softmax, "_AT_ONCE", 64)
    assert np.abs(apart(standardised(X), classes, 0.5)).max() < 0.003


@pytest.mark.parametrize("C", [0.01, 1.0])
def test_large_heads_are_those_of_scikit_learn(uneven, C):
    assert np.sqrt((apart(*uneven, C) ** 2).mean()) < 0.002


def test_large_heads_are_those_of_scikit_learn_where_few_species_have_most_photos():
    rng = np.random.default_rng(1)
    classes = np.repeat(np.arange(30), [600, *[8] * 29])
    X = rng.normal(size=(30, 40))[classes] + 1.5 * rng.normal(size=(len(classes), 40))
    X = X * np.geomspace(1, 0.01, 40) @ np.linalg.qr(rng.normal(size=(40, 40)))[0]
    assert np.sqrt((apart(standardised(X), classes, 1.0) ** 2).mean()) < 0.001


def test_embeddings_that_do_not_vary_give_a_head_without_weights(monkeypatch):
    monkeypatch.setattr(species, "_QUICK", 0)
    head = species.fit_head(np.ones((40, 6), np.float32), np.repeat(["a", "b", "c", "d"], 10))
    assert not head.weight.any()
    assert np.ptp(head.bias) == 0


def test_large_problems_are_fitted_in_blocks(monkeypatch):
    X, images = collection(each=20)
    at_once = species.fit_head(X, images.species.values)
    monkeypatch.setattr(species, "_QUICK", 0)
    in_blocks = species.fit_head(X, images.species.values)
    apart = at_once.logits(X) - in_blocks.logits(X)
    assert np.abs(apart - apart.mean(1, keepdims=True)).max() < 0.005 * at_once.logits(X).std()
