"""Cluster contribution vectors of cells to a few ways of arguing for the target, and judge their stability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from finerkit.base.names import choice
from finerkit.traits.numbers import means, summed

if TYPE_CHECKING:
    from collections.abc import Callable

#: Estimators by name; the number of clusters and the seed are filled in where the estimator takes them.
ESTIMATORS: dict[str, Callable[[], Any]] = {
    "kmeans": lambda: KMeans(n_init=4),
    "agglomerative": AgglomerativeClustering,
    "hdbscan": lambda: HDBSCAN(min_cluster_size=10, copy=True),
}
COMPONENTS = 32
MOST_TRAITS = 8


class Space(NamedTuple):
    """Principal axes of unit contribution vectors: ``(vector - offset) @ axes.T``."""

    offset: np.ndarray  # (feature,)
    axes: np.ndarray  # (component, feature)

    def reduce(self, vector: np.ndarray) -> np.ndarray:
        """Coordinates (cell, component), float32."""
        return ((vector - self.offset) @ self.axes.T).astype(np.float32)


class Clusters(NamedTuple):
    """Centres (cluster, component), how far a member may lie from its centre (cluster,), and the trait of each.

    One cluster is one trait, unless `trait` says which, since traits can be merged.
    """

    centre: np.ndarray
    radius: np.ndarray
    trait: np.ndarray | None = None

    def assign(self, points: np.ndarray) -> np.ndarray:
        """Trait of the nearest centre for each point (cell,), -1 where none is near enough to its members."""
        distance = cdist(points, self.centre)
        nearest = distance.argmin(1)
        trait = nearest if self.trait is None else self.trait[nearest]
        return np.where(distance.min(1) <= self.radius[nearest], trait, -1)


def find_space(vector: np.ndarray) -> Space:
    """Principal axes of unit vectors (cell, feature), at most 32; signs fixed so that the answer is unique."""
    count = min(COMPONENTS, *vector.shape)
    fitted = PCA(count, svd_solver="covariance_eigh" if len(vector) > vector.shape[1] else "full").fit(vector)
    return Space(fitted.mean_.astype(np.float32), fitted.components_.astype(np.float32))


def make_estimator(method: str | Any, n_traits: int | None, seed: int) -> Any:
    """Build a scikit-learn estimator by name, or a copy of the one given, with number of clusters and seed set."""
    if isinstance(method, str):
        estimator = ESTIMATORS[choice(method, ESTIMATORS, "method")]()
    elif hasattr(method, "fit_predict"):
        estimator = clone(method)
    else:
        raise TypeError(
            f"method must be one of {', '.join(map(repr, ESTIMATORS))} or a scikit-learn clustering estimator. "
            f"Got {method!r} instead."
        )
    settings = {"n_clusters": n_traits, "n_components": n_traits, "random_state": seed}
    takes = estimator.get_params()
    return estimator.set_params(**{k: v for k, v in settings.items() if k in takes and v is not None})


def counts_clusters(method: str | Any) -> bool:
    """Whether an estimator is told the number of clusters."""
    return bool({"n_clusters", "n_components"} & set(make_estimator(method, None, 0).get_params()))


def cluster(points: np.ndarray, method: str | Any, n_traits: int | None, seed: int) -> np.ndarray:
    """Labels (cell,) from 0; -1 for noise, where the estimator knows such."""
    if n_traits == 1:
        return np.zeros(len(points), np.int64)
    labels = make_estimator(method, n_traits, seed).fit_predict(points.astype(np.float64))
    found = np.unique(labels[labels >= 0])
    return np.where(labels >= 0, np.searchsorted(found, labels), -1)


def centres(points: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> Clusters:
    """Centres of labelled points, those with the most `weight` (evidence) first; a radius holds 99 % of the members."""
    n = labels.max(initial=-1) + 1
    order = np.argsort(-summed(weight, labels, n), kind="stable")
    centre = means(points, labels, n).astype(points.dtype)
    away = pd.Series(np.linalg.norm(points - centre[labels], axis=1)).where(labels >= 0)
    radius = away.groupby(labels).quantile(0.99, interpolation="higher").loc[order]
    return Clusters(centre[order], radius.to_numpy(points.dtype) * (1 + 1e-6))


def choose_number(
    points: np.ndarray, photo: np.ndarray, method: str | Any, seed: int, resamples: int = 10
) -> tuple[int, np.ndarray]:
    """Choose the number of traits by stability.

    The photos are split in two halves, `resamples` times; each half is clustered on its own, all cells are given to the
    nearest centre of each, and the two answers are compared with the adjusted Rand index (1: the same, 0: chance). The
    most traits whose mean index is within one standard error of the best are taken.

    Returns
    -------
    n_traits : int
    curve : numpy.ndarray
        (number, 3): number of traits, mean index, standard error.
    """
    photos = np.unique(photo)
    most = min(MOST_TRAITS, len(photos) // 2, len(points) // 4)
    if most < 2:
        return 1, np.array([[1.0, np.nan, np.nan]])
    rng = np.random.default_rng(seed)
    halves = [rng.permutation(len(photos)) < len(photos) // 2 for _ in range(resamples)]
    curve = []
    for n in range(2, most + 1):
        scores = []
        for half in halves:
            inside = np.isin(photo, photos[half])
            answers = [_nearest(points, part, method, n, seed) for part in (inside, ~inside)]
            scores.append(adjusted_rand_score(*answers))
        curve.append((n, np.mean(scores), np.std(scores) / np.sqrt(resamples)))
    curve = np.array(curve)
    best = curve[curve[:, 1].argmax()]
    return int(curve[curve[:, 1] >= best[1] - best[2], 0].max()), curve


def _nearest(points: np.ndarray, part: np.ndarray, method: str | Any, n: int, seed: int) -> np.ndarray:
    labels = cluster(points[part], method, n, seed)
    return cdist(points, means(points[part], labels, labels.max() + 1)).argmin(1)


def bootstrap_stability(
    points: np.ndarray, photo: np.ndarray, clusters: Clusters, method: str | Any, seed: int, resamples: int = 20
) -> np.ndarray:
    """Clusterwise stability (Hennig 2007): mean over bootstraps of photos of the best Jaccard index with each trait.

    Returns
    -------
    numpy.ndarray
        (trait,), 0 to 1; above 0.75 a trait is commonly called stable, below 0.5 dissolved.
    """
    photos = np.unique(photo)
    ours = clusters.assign(points)
    n = len(clusters.centre)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = rng.choice(photos, len(photos))
        rows = np.concatenate([np.flatnonzero(photo == p) for p in drawn])
        labels = cluster(points[rows], method, n, seed)
        mine, theirs = ours[rows, None] == np.arange(n), labels[:, None] == np.arange(max(labels.max() + 1, 1))
        both = mine.T.astype(float) @ theirs
        union = mine.sum(0)[:, None] + theirs.sum(0) - both
        found.append((both / np.maximum(union, 1)).max(1))
    return np.mean(found, 0)
