"""Place regions on a plane by their contribution vectors."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

PROJECTIONS = ("pca", "umap")


def available() -> list[str]:
    """Projections that this installation can compute."""
    return ["pca"] + ["umap"] * (find_spec("umap") is not None)


def project(vectors: np.ndarray, how: str) -> np.ndarray:
    """Lay out vectors on a plane.

    Parameters
    ----------
    vectors
        (region, component).
    how
        One of `PROJECTIONS`. Principal components keep distances as well as a plane can; UMAP keeps neighbours
        together and tells little of distances.

    Returns
    -------
    numpy.ndarray
        (region, 2), float64; the same input gives the same answer.

    Raises
    ------
    ImportError
        If UMAP is not installed.
    """
    vectors = np.asarray(vectors, np.float64)
    if how == "umap" and "umap" not in available():
        raise ImportError(
            "projection='umap' needs the package umap-learn: pip install umap-learn. 'pca' needs nothing."
        )
    if how == "umap" and len(vectors) > 4:
        from umap import UMAP

        plane = UMAP(n_neighbors=min(15, len(vectors) - 1), random_state=0, n_jobs=1)
        return plane.fit_transform(vectors).astype(np.float64)
    centred = vectors - vectors.mean(0) if len(vectors) else vectors
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = np.pad(axes[:2], ((0, max(2 - len(axes), 0)), (0, 0)))
    at = centred @ axes.T
    largest = at[np.abs(at).argmax(0), [0, 1]] if len(at) else np.ones(2)
    return at * np.where(largest < 0, -1, 1)


def follow(at: np.ndarray, before: xr.Dataset, now: xr.Dataset) -> np.ndarray:
    """Where regions are after editing: at the mean of the places of their cells, so that no other point moves.

    Parameters
    ----------
    at
        (region, 2) places of the regions of `before`.
    before, now
        Traits before and after editing.
    """
    old, new = before["cell_region"].values.ravel(), now["cell_region"].values.ravel()
    both = (old >= 0) & (new >= 0)
    n = now.sizes["region"]
    cells = np.bincount(new[both], minlength=n)
    total = np.stack([np.bincount(new[both], at[old[both], axis], n) for axis in (0, 1)], 1)
    return total / np.maximum(cells, 1)[:, None]
