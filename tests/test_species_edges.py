"""Species heads on embeddings that say nothing: finite numbers, no crash, no weight where there is nothing to weigh."""

import numpy as np
import pytest

from finerkit.species.cross_validation import split
from finerkit.species.heads import fit_head, held_out_heads


@pytest.mark.parametrize("kind", ["linear", "nearest_mean"])
@pytest.mark.parametrize("value", [0.0, 7.25, -1e4])
def test_features_that_are_all_constant(kind, value):
    labels = np.repeat(["a", "b", "c"], [8, 6, 6])
    head = fit_head(np.full((20, 5), value, np.float32), labels, kind)
    assert (head.weight == 0).all()
    assert np.isfinite(head.bias).all()
    fold = split(labels, 5, np.arange(20), 0)
    heads = [head for _, head in held_out_heads(np.full((20, 5), value, np.float32), labels, fold, kind)]
    assert len(heads) == 5
    assert all((head.weight == 0).all() and np.isfinite(head.bias).all() for head in heads)


@pytest.mark.parametrize("kind", ["linear", "nearest_mean"])
def test_species_with_the_same_photos_cannot_be_told_apart(kind):
    X = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    labels = np.repeat(["a", "b"], 20)
    head = fit_head(np.concatenate([X, X]), labels, kind)
    logits = head.logits(X)
    np.testing.assert_allclose(logits[:, 0], logits[:, 1], atol=1e-3)
