"""A head for two species is fitted to the objective that heads for more are."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from finerkit.species.heads import fit_head


@pytest.fixture
def planted():
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (60, 400)).astype(np.float32)
    return X, np.array(["A", "B"])[(X[:, 0] + rng.normal(0, 1, 60) > 0).astype(int)]


def margin(head, X):
    logits = head.logits(X.astype(np.float64))
    return logits[:, 1] - logits[:, 0]


@pytest.mark.parametrize("C", [0.1, 1.0])
def test_margins_are_those_of_the_softmax_objective(planted, C):
    X, y = planted
    Z = (X - X.mean(0, dtype=float)) / np.maximum(X.std(0, dtype=float), np.median(X.std(0, dtype=float)))
    # |w_A|^2 + |w_B|^2 is half of |w_B - w_A|^2, which is what scikit-learn penalises for two classes.
    exact = LogisticRegression(C=2 * C, tol=1e-12, max_iter=10_000).fit(Z, y).decision_function(Z)
    np.testing.assert_allclose(margin(fit_head(X, y, C=C), X), exact, atol=1e-5 * exact.std())
