"""What is to be drawn over a photo, by SciPy's interpolation and the figures' colours."""

import numpy as np
from scipy.ndimage import map_coordinates

from finerkit.output.figures.colours import colours


def painted(values, size, place, cmap, top, *, signed=False, smooth=True, opacity=1.0):
    """Red, green, blue, alpha in 0 to 255, (height, width, 4); alpha 0 outside the grid and where values are NaN."""
    at = [
        (np.arange(length) + 0.5 - start) / step
        for length, start, step in ((size[1], place.top, place.cell_height), (size[0], place.left, place.cell_width))
    ]
    if smooth:  # between the centres of cells
        grid = np.meshgrid(*(a - 0.5 for a in at), indexing="ij")
        found = map_coordinates(values, grid, order=1, mode="nearest")
    else:
        found = values[
            np.ix_(*(np.clip(np.floor(a).astype(int), 0, n - 1) for a, n in zip(at, values.shape, strict=True)))
        ]
    position = np.nan_to_num((found / top + 1) / 2 if signed else found / top)
    rgba = 255 * colours(cmap, signed, opacity)[np.rint(255 * np.clip(position, 0, 1) - 1e-9).astype(int)]
    outside = [(a < 0) | (a > n) for a, n in zip(at, values.shape, strict=True)]
    rgba[outside[0][:, None] | outside[1] | np.isnan(found), 3] = 0
    return rgba
