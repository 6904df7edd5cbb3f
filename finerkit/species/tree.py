"""Cluster species by similarity, and order them so that neighbours are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.cluster.hierarchy import dendrogram, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

if TYPE_CHECKING:
    import xarray as xr

#: With more species than this the leaves stay as the clustering leaves them, since the best order takes time n^3 and
#: more; and no tree is drawn, since SciPy draws it by recursion.
MOST_ORDERED = 1000

_NO_BRANCHES = np.zeros((0, 4, 2))


class SimilarityTree(NamedTuple):
    """A tree of species.

    Attributes
    ----------
    order
        (leaf,) positions of the species in the matrix, in leaf order. Species without numbers are not in it.
    branches
        (fork, 4, 2) each fork as a line through four points, ready to draw; a fork comes after those below it. A point
        is a place in leaf order (0 the first leaf) and a similarity (NaN where the line begins at a leaf); the two
        middle points are at the mean similarity between the members that the fork joins. Empty above `MOST_ORDERED`
        species, and where a chain of forks is too long for SciPy.
    """

    order: np.ndarray
    branches: np.ndarray


def similarity_tree(similarity: xr.DataArray | np.ndarray) -> SimilarityTree:
    """Cluster species by mean similarity (average linkage), and order the leaves so that neighbours are most alike.

    Parameters
    ----------
    similarity
        (target, species), larger is more similar, as ``finerkit.similar_species(study)`` gives it. Both directions are
        averaged where they differ; the diagonal does not count. Species with NaN are left out, as few as need be.

    Returns
    -------
    SimilarityTree
        Empty where no species has numbers.

    Notes
    -----
    Average linkage (UPGMA) of ``largest similarity - similarity``; then the order of Bar-Joseph et al. 2001 (doi
    10.1093/bioinformatics/17.suppl_1.S22), which turns forks so that the sum of similarities between neighbouring
    leaves is as large as it can be; skipped above `MOST_ORDERED` species.
    """
    values = np.asarray(similarity, np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise ValueError(
            f"Expected a square matrix, as fk.similar_species(study) gives it. Got shape {values.shape} instead."
        )
    both = _both_ways(values)
    kept = _complete(both)
    if len(kept) < 2:
        return SimilarityTree(kept, _NO_BRANCHES)
    both = both[np.ix_(kept, kept)]
    top = both[~np.eye(len(kept), dtype=bool)].max()
    distance = squareform(np.where(np.eye(len(kept), dtype=bool), 0, top - both), checks=False)
    steps = linkage(distance, "average")
    if len(kept) > MOST_ORDERED:
        return SimilarityTree(kept[leaves_list(steps)], _NO_BRANCHES)
    steps = optimal_leaf_ordering(steps, distance)
    return SimilarityTree(kept[leaves_list(steps)], _branches(steps, top))


def _branches(steps: np.ndarray, top: float) -> np.ndarray:
    """SciPy's drawing of the tree, which puts leaves at 5, 15, 25 ... and at distance 0."""
    steps = np.add(steps, [0, 0, 1, 0])  # the most similar pair is at distance 0, too: tell it from the leaves
    try:
        drawn = dendrogram(steps, no_plot=True)
    except RecursionError:
        return _NO_BRANCHES
    distance = np.array(drawn["dcoord"])
    similarity = np.where(distance > 0, top + 1 - distance, np.nan)
    return np.stack([(np.array(drawn["icoord"]) - 5) / 10, similarity], -1)


def _both_ways(values: np.ndarray) -> np.ndarray:
    """Mean of the two directions, of the one that is known, or NaN."""
    pair = np.stack([values, values.T])
    known = ~np.isnan(pair)
    return np.where(known.any(0), np.where(known, pair, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)


def _complete(both: np.ndarray) -> np.ndarray:
    """Positions of species that all have numbers with each other: those with most gaps go, one by one."""
    gaps = np.isnan(both)
    np.fill_diagonal(gaps, val=False)
    kept = np.ones(len(both), bool)
    missing = gaps.sum(1)
    while missing.max(initial=0) > 0:
        worst = len(missing) - 1 - int(missing[::-1].argmax())
        kept[worst] = False
        missing = np.where(kept, missing - gaps[worst], 0)
    if kept.sum() == 1 and len(both) > 1:
        kept[:] = False
    return np.flatnonzero(kept)
