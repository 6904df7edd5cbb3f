"""Read maps between the centres of their cells."""

from __future__ import annotations

import numpy as np


def upsample(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Enlarge maps bilinearly, cell by cell aligned: as figures draw them.

    Parameters
    ----------
    maps
        (..., y, x), of floats.
    shape
        (height, width) wanted.

    Returns
    -------
    numpy.ndarray
        (..., height, width): ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)``.
    """
    y, x = ((np.arange(n) + 0.5) * cells / n - 0.5 for n, cells in zip(shape, maps.shape[-2:], strict=True))
    return sample(maps, y, x)


def sample(maps: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Read maps (..., y, x) bilinearly at rows `y` and columns `x`, counted in cells from the centre of the first one.

    Beyond the centres of the outermost cells, a map goes on with their values.
    """
    return between(between(maps, y, -2), x, -1)


def between(values: np.ndarray, position: np.ndarray, axis: int) -> np.ndarray:
    """Read values linearly at positions along an axis, which is counted from the last; beyond the ends they go on."""
    last = values.shape[axis] - 1
    position = np.clip(position, 0, last)
    first = np.floor(position).astype(int)
    part = np.expand_dims((position - first).astype(values.dtype), tuple(range(axis + 1, 0)))
    return values.take(first, axis) * (1 - part) + values.take(np.minimum(first + 1, last), axis) * part
