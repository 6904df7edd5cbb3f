"""The order of species against SciPy's own, and trees that a person would draw by hand."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import cophenet, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from finerkit.species.tree import MOST_ORDERED, similarity_tree


@pytest.fixture
def cosine():
    vectors = np.random.default_rng(3).normal(size=(25, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors @ vectors.T


def test_order_and_tree_are_those_of_scipy(cosine):
    distance = squareform(1 - cosine, checks=False)
    expected = optimal_leaf_ordering(linkage(distance, "average"), distance)
    tree = similarity_tree(cosine)
    assert list(tree.order) == list(leaves_list(expected))
    assert sorted(tree.branches[:, 1, 1]) == pytest.approx(sorted(1 - expected[:, 2]))


def test_forks_say_the_mean_similarity_below_them(cosine):
    tree = similarity_tree(cosine)
    joined = 1 - squareform(cophenet(linkage(squareform(1 - cosine, checks=False), "average")))
    joined = joined[np.ix_(tree.order, tree.order)]
    below = {(float(i), None): (i, i) for i in range(25)}  # leaves under each end of a fork
    for fork in tree.branches:
        first, last = (below.pop((place, None if np.isnan(v) else v)) for place, v in (fork[0], fork[3]))
        assert first[1] + 1 == last[0]
        assert fork[0, 0] == fork[1, 0] < fork[2, 0] == fork[3, 0]
        assert fork[1, 1] == fork[2, 1] == pytest.approx(joined[first[0], last[1]])
        below[fork[1:3, 0].mean(), fork[1, 1]] = (first[0], last[1])
    assert list(below.values()) == [(0, 24)]


def test_long_chains_are_ordered_and_not_drawn():
    apart = np.arange(MOST_ORDERED, dtype=float)
    chain = -np.maximum(apart[:, None], apart)  # each joins all before it
    assert len(similarity_tree(chain[:300, :300]).branches) == 299
    tree = similarity_tree(chain)
    assert sorted(tree.order) == list(range(MOST_ORDERED))
    assert tree.branches.shape == (0, 4, 2)


def test_the_order_does_not_depend_on_zero_and_unit(cosine):
    assert list(similarity_tree(7 * cosine - 30).order) == list(similarity_tree(cosine).order)


def test_directions_are_averaged_and_species_without_numbers_left_out():
    nan = np.nan
    matrix = np.array([[0, -1, -9, nan], [-3, 0, -8, nan], [nan, nan, nan, nan], [nan, nan, nan, nan]])
    tree = similarity_tree(matrix)
    assert sorted(tree.order) == [0, 1, 2]
    assert tree.branches[:, 1, 1] == pytest.approx([-2, -8.5])
    assert len(similarity_tree(np.full((3, 3), nan)).order) == 0
    assert similarity_tree(np.ones((1, 1))).branches.shape == (0, 4, 2)


def test_a_matrix_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match=r"square matrix.*\(2, 3\)"):
        similarity_tree(np.zeros((2, 3)))
