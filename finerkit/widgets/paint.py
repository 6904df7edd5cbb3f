"""Paint maps as coloured pixels, as ``static/paint.js`` does, for snapshots."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from finerkit.figures.colours import DIVERGING, SEQUENTIAL, colours


class Place(NamedTuple):
    """Where a grid lies, in output pixels: corner of cell (0, 0) and size of a cell."""

    left: float
    top: float
    cell_width: float
    cell_height: float

    def scaled(self, across: float, down: float) -> Place:
        """On a picture `across` times as wide and `down` times as high."""
        return Place(self.left * across, self.top * down, self.cell_width * across, self.cell_height * down)


def tables() -> dict[str, np.ndarray]:
    """Every colour map that is offered, as 256 x 4 bytes (red, green, blue, alpha) at full opacity."""
    named = {name: colours(name, signed=False, opacity=1) for name in SEQUENTIAL}
    named |= {name: colours(name, signed=True, opacity=1) for name in DIVERGING}
    return {name: np.rint(255 * rgba).astype(np.uint8) for name, rgba in named.items()}


def paint(
    values: np.ndarray,
    size: tuple[int, int],
    place: Place,
    table: np.ndarray,
    top: float,
    *,
    signed: bool = False,
    smooth: bool = True,
    opacity: float = 1.0,
) -> np.ndarray:
    """Paint a map over a photo.

    Parameters
    ----------
    values
        (y, x) in logits; NaN is left transparent.
    size
        Width and height of the result in pixels.
    place
        Where the grid lies on it.
    table
        From `tables`.
    top
        Value at full colour, in logits.
    signed
        Put zero in the middle of the table.
    smooth
        Interpolate values (not colours) between cell centres; otherwise cells are drawn as they are.
    opacity
        Factor of the table's alpha.

    Returns
    -------
    numpy.ndarray
        uint8 (height, width, 4), transparent outside the grid.
    """
    rows, columns = values.shape
    x, across = _samples(size[0], place.left, place.cell_width, columns, smooth)
    y, down = _samples(size[1], place.top, place.cell_height, rows, smooth)
    painted = _between(_between(values.astype(np.float64), y, 0), x, 1)
    gain = (127.5 if signed else 255) / top if top > 0 else 0.0
    level = np.clip(np.nan_to_num(painted * gain) + (127.5 if signed else 0) + 0.5, 0, 255).astype(np.uint8)
    pixels = table[level].copy()
    seen = across[None] & down[:, None] & ~np.isnan(painted)
    pixels[..., 3] = np.rint(np.where(seen, pixels[..., 3] * opacity, 0))
    return pixels


def _samples(length: int, start: float, step: float, cells: int, smooth: bool) -> tuple[np.ndarray, np.ndarray]:
    at = (np.arange(length) + 0.5 - start) / step
    centred = at - 0.5 if smooth else np.floor(at)
    return np.clip(centred, 0, cells - 1), (at >= 0) & (at <= cells)


def _between(values: np.ndarray, position: np.ndarray, axis: int) -> np.ndarray:
    first = np.floor(position).astype(int)
    second = np.minimum(first + 1, values.shape[axis] - 1)
    part = (position - first).reshape(-1, *[1] * (values.ndim - axis - 1))
    return values.take(first, axis) * (1 - part) + values.take(second, axis) * part
