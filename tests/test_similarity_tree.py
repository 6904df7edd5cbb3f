"""The order of species against SciPy's own, and trees that a person would draw by hand."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import cophenet, dendrogram, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from finerkit.similarity_tree import branches, similarity_tree


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
    assert tree.similarity == pytest.approx(1 - expected[:, 2])
    drawn = dendrogram(expected, no_plot=True)
    theirs = sorted(
        (1 - d[1], (i[0] - 5) / 10, (i[2] - 5) / 10) for i, d in zip(drawn["icoord"], drawn["dcoord"], strict=True)
    )
    ours = sorted((b.similarity, b.first, b.last) for b in branches(tree))
    assert np.array(ours) == pytest.approx(np.array(theirs))


def test_forks_say_the_mean_similarity_below_them(cosine):
    tree = similarity_tree(cosine)
    joined = squareform(cophenet(linkage(squareform(1 - cosine, checks=False), "average")))[
        np.ix_(tree.order, tree.order)
    ]
    for branch in branches(tree):
        first, last = branch.leaves
        assert 1 - joined[first, last] == pytest.approx(branch.similarity)
        assert first <= branch.first < branch.last <= last
    assert branches(tree)[-1].leaves == (0, 24)


def test_the_order_does_not_depend_on_zero_and_unit(cosine):
    assert list(similarity_tree(7 * cosine - 30).order) == list(similarity_tree(cosine).order)


def test_directions_are_averaged_and_species_without_numbers_left_out():
    nan = np.nan
    matrix = np.array([[0, -1, -9, nan], [-3, 0, -8, nan], [nan, nan, nan, nan], [nan, nan, nan, nan]])
    tree = similarity_tree(matrix)
    assert sorted(tree.order) == [0, 1, 2]
    assert tree.similarity == pytest.approx([-2, -8.5])
    assert [sorted(p) for p in tree.merges.tolist()][1][1] == 3
    assert len(similarity_tree(np.full((3, 3), nan)).order) == 0
    assert similarity_tree(np.ones((1, 1))).merges.shape == (0, 2)


def test_a_matrix_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match=r"square matrix.*\(2, 3\)"):
        similarity_tree(np.zeros((2, 3)))
