"""Order pixels by maps, average pixels over cells, and make baseline maps."""

from __future__ import annotations

import hashlib

import numpy as np

#: Rec. 601 luma of red, green and blue.
_LUMA = np.array([0.299, 0.587, 0.114])


def cell_means(pixels: np.ndarray, top: float, left: float, height: float, width: float, grid: tuple) -> np.ndarray:
    """Mean of pixels (height, width) over each cell of a grid; what lies outside of the pixels counts as zero.

    Parameters
    ----------
    pixels
        (height, width).
    top, left
        Corner of the first cell, in pixels; may lie outside.
    height, width
        Of a cell, in pixels; fractions count.
    grid
        (rows, columns).

    Returns
    -------
    numpy.ndarray
        float64 (rows, columns).
    """
    down = _overlap(top, height, grid[0], pixels.shape[0])
    across = _overlap(left, width, grid[1], pixels.shape[1])
    return down @ np.asarray(pixels, np.float64) @ across.T


def _overlap(start: float, length: float, cells: int, pixels: int) -> np.ndarray:
    """Share (cell, pixel) of each cell's side that lies in each pixel."""
    begin = start + np.arange(cells)[:, None] * length
    pixel = np.arange(pixels)
    return np.maximum(0, np.minimum(begin + length, pixel + 1) - np.maximum(begin, pixel)) / length


def random_map(image: str, grid: tuple[int, int], seed: int) -> np.ndarray:
    """Baseline: independent uniform cells, (rows, columns); the same for a photo whatever the others."""
    digest = hashlib.sha256(image.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, np.uint32)]).uniform(size=grid)


def edge_map(pixels: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Baseline: mean gradient magnitude of the brightness of pixels (S, S, 3) in every cell, (rows, columns)."""
    down, across = np.gradient(pixels @ _LUMA)
    side = pixels.shape[0]
    return cell_means(np.hypot(down, across), 0, 0, side / grid[0], side / grid[1], grid)


def ranking(shown: np.ndarray, signed: np.ndarray) -> np.ndarray:
    """What pixels are ordered by: the map as shown, and where that is zero, the signed evidence.

    Without it, all pixels that a relu set to zero would be tied, and their order an accident of their position.
    """
    return np.where(shown > 0, shown, np.minimum(signed, 0))


def strongest_first(key: np.ndarray) -> np.ndarray:
    """Flat indices of pixels (height, width), strongest first; ties go row by row."""
    return np.argsort(-key.ravel(), kind="stable")


def count_of(share: float, pixels: int) -> int:
    """How many pixels a share is; a share above zero is at least one pixel."""
    return min(pixels, max(1, round(share * pixels))) if share > 0 else 0
