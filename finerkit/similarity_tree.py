"""Order of species: a similarity matrix enters; a tree, and an order in which neighbours are alike, leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

if TYPE_CHECKING:
    import xarray as xr

#: With more species than this the leaves stay as the clustering leaves them: the best order takes time n^3 and more.
MOST_ORDERED = 1000


class SimilarityTree(NamedTuple):
    """A tree of species.

    Attributes
    ----------
    order
        (leaf,) positions of the species in the matrix, in leaf order. Species without numbers are not in it.
    merges
        (leaf - 1, 2) nodes joined at each step, the one that comes first in the order first. Nodes below the number of
        leaves are places in `order`; node ``leaves + i`` is what step i made.
    similarity
        (leaf - 1,) mean similarity between the members of the two nodes joined; never rises from step to step.
    """

    order: np.ndarray
    merges: np.ndarray
    similarity: np.ndarray


class Branch(NamedTuple):
    """One fork of the drawn tree: a line at `similarity` from place `first` to `last`, and its two stems' far ends.

    Places are in leaf order, 0 the first leaf; stems end at the similarities `first_stem` and `last_stem` (NaN: at a
    leaf). `leaves` are the first and the last leaf below it.
    """

    similarity: float
    first: float
    last: float
    first_stem: float
    last_stem: float
    leaves: tuple[int, int]


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
        return SimilarityTree(kept, np.zeros((0, 2), np.int64), np.zeros(0))
    both = both[np.ix_(kept, kept)]
    top = both[~np.eye(len(kept), dtype=bool)].max()
    distance = squareform(np.where(np.eye(len(kept), dtype=bool), 0, top - both), checks=False)
    steps = linkage(distance, "average")
    if len(kept) <= MOST_ORDERED:
        steps = optimal_leaf_ordering(steps, distance)
    leaves = leaves_list(steps)
    return SimilarityTree(kept[leaves], _merges(steps, leaves), top - steps[:, 2])


def branches(tree: SimilarityTree) -> list[Branch]:
    """Lay out the tree for drawing, one branch per merge, in the order of the merges."""
    n = len(tree.order)
    place = [float(i) for i in range(n)]
    stem = [np.nan] * n
    span = [(i, i) for i in range(n)]
    drawn = []
    for (a, b), similarity in zip(tree.merges, tree.similarity, strict=True):
        drawn.append(Branch(float(similarity), place[a], place[b], stem[a], stem[b], (span[a][0], span[b][1])))
        place.append((place[a] + place[b]) / 2)
        stem.append(float(similarity))
        span.append((span[a][0], span[b][1]))
    return drawn


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


def _merges(steps: np.ndarray, leaves: np.ndarray) -> np.ndarray:
    """SciPy's steps with leaves named by their places in the order, the upper node first."""
    n = len(leaves)
    place = np.empty(n, np.int64)
    place[leaves] = np.arange(n)
    first = list(place)  # leaf of every node
    merges = np.empty((n - 1, 2), np.int64)
    for i, joined in enumerate(steps[:, :2].astype(int)):
        upper, lower = sorted(joined, key=lambda node: first[node])
        merges[i] = [place[node] if node < n else node for node in (upper, lower)]
        first.append(first[upper])
    return merges
