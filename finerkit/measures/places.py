"""Measure whether a map points at the right place: energy, hits, precision, recall."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score

from finerkit.base.interpolation import sample
from finerkit.measures.maps import cell_means, count_of, ranking, strongest_first

if TYPE_CHECKING:
    from finerkit.base.geometry import GridPlace

#: Photos are compared with their trait masks on a lattice of at most this many pixels a side.
_LATTICE = 1024


class Maps(NamedTuple):
    """The maps of one photo, (map, y, x): as shown (not negative), signed, and where their grid lies on the photo."""

    shown: np.ndarray
    signed: np.ndarray
    place: GridPlace


def animal_scores(maps: Maps, mask: np.ndarray) -> dict[str, np.ndarray]:
    """Energy and pointing game in a mask.

    Parameters
    ----------
    maps
        Maps of NaN give NaN.
    mask
        Boolean (height, width), of the upright photo.

    Returns
    -------
    dict
        ``energy`` (map), ``pointing`` (map), ``mask_share`` (scalar).
    """
    at, grid = maps.place, maps.shown.shape[1:]
    covered = cell_means(mask, at.top, at.left, at.cell_height, at.cell_width, grid)
    total = maps.shown.sum((1, 2))
    known = total > 0  # False for NaN
    energy = (maps.shown * covered).sum((1, 2)) / np.where(known, total, 1)
    flat = np.nan_to_num(maps.shown).reshape(len(maps.shown), -1)
    row, column = np.divmod(flat.argmax(1), grid[1])
    y = np.floor(at.top + (row + 0.5) * at.cell_height).astype(int)
    x = np.floor(at.left + (column + 0.5) * at.cell_width).astype(int)
    on_photo = (y >= 0) & (y < mask.shape[0]) & (x >= 0) & (x < mask.shape[1])
    hit = on_photo & mask[np.clip(y, 0, mask.shape[0] - 1), np.clip(x, 0, mask.shape[1] - 1)]
    return {
        "energy": np.where(known, energy, np.nan),
        "pointing": np.where(known, hit, np.nan),
        "mask_share": mask.mean(),
    }


def trait_scores(maps: Maps, mask: np.ndarray, top: tuple[float, ...]) -> dict[str, np.ndarray]:
    """Precision, recall and average precision of maps against a trait, pixel by pixel.

    Parameters
    ----------
    maps
        Maps of NaN give NaN.
    mask
        Boolean (height, width), of the upright photo. An empty one gives NaN.
    top
        Shares of the photo's pixels.

    Returns
    -------
    dict
        ``trait_precision`` and ``trait_recall`` (map, top), ``average_precision`` (map), ``trait_share`` (scalar).
    """
    step = -(-max(mask.shape) // _LATTICE)
    ys, xs = (np.arange(step // 2, n, step) for n in mask.shape)
    truth = mask[np.ix_(ys, xs)].ravel()
    out = {
        "trait_precision": np.full((len(maps.shown), len(top)), np.nan),
        "trait_recall": np.full((len(maps.shown), len(top)), np.nan),
        "average_precision": np.full(len(maps.shown), np.nan),
        "trait_share": mask.mean(),
    }
    if not truth.any():
        return out
    for m in np.flatnonzero(maps.shown.sum((1, 2)) > 0):
        shown, key = _on_photo(maps, int(m), ys, xs)
        found = np.cumsum(truth[strongest_first(key)])
        counts = np.array([count_of(share, truth.size) for share in top])
        hits = found[counts - 1]
        out["trait_precision"][m], out["trait_recall"][m] = hits / counts, hits / truth.sum()
        out["average_precision"][m] = average_precision_score(truth, shown.ravel())
    return out


def _on_photo(maps: Maps, m: int, ys: np.ndarray, xs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Map as shown and what pixels are ordered by, (y, x) on the photo; pixels the network never saw come last."""
    at = maps.place
    rows, columns = maps.shown.shape[1:]
    y, x = (ys + 0.5 - at.top) / at.cell_height - 0.5, (xs + 0.5 - at.left) / at.cell_width - 0.5
    seen = ((y >= -0.5) & (y <= rows - 0.5))[:, None] & ((x >= -0.5) & (x <= columns - 0.5))
    shown, signed = sample(maps.shown[m], y, x), sample(maps.signed[m], y, x)
    key = ranking(shown, signed)
    return np.where(seen, shown, 0), np.where(seen, key, key.min() - 1)
