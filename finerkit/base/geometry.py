"""Say where the grid of cells lies on a photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import xarray as xr

#: Coordinates of ``image`` that say where the grid lies, in pixels of the upright original: the corner of cell (0, 0),
#: and the size of a cell.
GRID = ("cell_left", "cell_top", "cell_width", "cell_height")


class GridPlace(NamedTuple):
    """Corner of cell (0, 0) and size of a cell, in pixels."""

    left: float
    top: float
    cell_width: float
    cell_height: float

    @classmethod
    def of(cls, photo: xr.Dataset) -> GridPlace:
        """Read the place from one photo of a comparison or of traits, such as ``comparison.isel(image=0)``."""
        return cls(*(float(photo[name]) for name in GRID))

    def scaled(self, across: float, down: float) -> GridPlace:
        """On a picture `across` times as wide and `down` times as high."""
        return GridPlace(self.left * across, self.top * down, self.cell_width * across, self.cell_height * down)

    def extent(self, rows: int, columns: int) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the whole grid, as matplotlib's ``imshow(extent=)`` takes them (y down)."""
        return (
            self.left,
            self.left + columns * self.cell_width,
            self.top + rows * self.cell_height,
            self.top,
        )
