"""Say where traits lie: on the animal, or where background is suspected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from finerkit.photos.masks import mask_of
from finerkit.traits.numbers import means, own_photos

if TYPE_CHECKING:
    from finerkit.photos.masks import Masks
    from finerkit.traits.cells import Cells

#: A trait is called background if more than this share of its evidence lies off the animal (or, without masks, in the
#: outermost ring of cells).
BACKGROUND = 0.5

#: A cell is off the animal if no pixel of the animal lies in it or within this many cells of it. A cell sees beyond its
#: borders, so that evidence of the animal spills into the cells around it; and a thin part (a tail, an antenna) covers
#: little of any cell, so that the share of a cell's area that is animal would call it background.
MARGIN = 1.0


def cell_where(cells: Cells, photos: xr.Dataset, place: np.ndarray, own: np.ndarray, masks: Masks) -> xr.DataArray:
    """Say where each discriminative cell lies.

    Parameters
    ----------
    cells
        Discriminative cells.
    photos
        Like ``/images``.
    place
        (image, 4): left, top, cell width and cell height in pixels of the upright original.
    own
        Boolean (image): photos of the target, whose masks are looked at.
    masks
        See `Masks`.

    Returns
    -------
    xarray.DataArray
        (image, y, x, cell_measure): whether it is off the animal (1, 0; NaN without mask), and its centre, 0 to 1. NaN
        for other cells.
    """
    left, top, width, height = place[cells.photo].T
    centre = np.stack([left + (cells.x + 0.5) * width, top + (cells.y + 0.5) * height], 1)
    off = np.full(len(centre), np.nan)
    corner, side = np.zeros((len(place), 2)), np.stack([photos["width"].values, photos["height"].values], 1)
    for i in [] if masks is None else np.unique(cells.photo[own[cells.photo]]):
        mask = mask_of(masks, str(photos["image"].values[i]), photos.isel(image=i))
        if mask is None or not mask.any():
            continue
        mine = cells.photo == i
        off[mine] = off_cells(mask, place[i], cells.x[mine], cells.y[mine])
        across, down = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        corner[i] = across[0], down[0]
        side[i] = across[-1] + 1 - across[0], down[-1] + 1 - down[0]
    maps = np.full((*cells.maps.shape, 3), np.nan, np.float32)
    position = (centre - corner[cells.photo]) / side[cells.photo]
    maps[cells.photo, cells.y, cells.x] = np.column_stack([off, position])
    frame = "the animal's bounding box" if masks is not None else "the photo"
    comment = f"1 if the cell is farther than {MARGIN:g} cells from the animal, else 0; centre, 0 to 1 over {frame}"
    return xr.DataArray(
        maps,
        {"cell_measure": np.array(["off_animal", "x", "y"], object)},
        ("image", "y", "x", "cell_measure"),
        attrs={"comment": comment, "frame": frame},
    )


def summarise(photos: xr.Dataset, label: np.ndarray, n_traits: int) -> xr.Dataset:
    """Say where each trait lies over the target's photos, weighted by evidence.

    Parameters
    ----------
    photos
        ``contrast`` (image, y, x), in logits; ``cell_where``, from the function of that name; labels and roles.
    label
        (image, y, x) index of the trait of each cell, -1 for none.
    n_traits
        Number of traits.

    Returns
    -------
    xarray.Dataset
        Over ``trait``: ``off_animal``, ``border``, ``background``, ``position_x``, ``position_y``.
    """
    where = photos["cell_where"]
    photo, y, x = np.nonzero((label >= 0) & own_photos(photos)[:, None, None])
    border = np.isin(y, (0, label.shape[1] - 1)) | np.isin(x, (0, label.shape[2] - 1))
    values = np.column_stack([where.values[photo, y, x], border]).astype(np.float64)
    weight = np.maximum(photos["contrast"].values[photo, y, x], 0).astype(np.float64)
    off, across, down, border = means(values, label[photo, y, x], n_traits, weight).T
    frame = where.attrs["frame"]
    comments = {
        "off_animal": (off, f"share of the evidence in cells farther than {MARGIN:g} cells from the animal"),
        "border": (border, "share of the evidence in the outermost ring of cells"),
        "position_x": (across, f"mean position, 0 left to 1 right of {frame}"),
        "position_y": (down, f"mean position, 0 top to 1 bottom of {frame}"),
    }
    data = xr.Dataset({name: ("trait", value, {"comment": text}) for name, (value, text) in comments.items()})
    return data.assign(background=("trait", np.where(np.isnan(off), border, off) > BACKGROUND))


def off_cells(mask: np.ndarray, place: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether cells lie off the animal: no pixel of it in the cell, or within `MARGIN` cells of it.

    Parameters
    ----------
    mask
        Boolean (height, width) of the upright photo.
    place
        Left, top, cell width and cell height, in its pixels.
    x, y
        Column and row of each cell.
    """
    left, top, width, height = place
    total = np.pad(mask.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    side = (-MARGIN, 1 + MARGIN)
    x0, x1 = (np.clip(np.rint(left + (x + d) * width), 0, mask.shape[1]).astype(int) for d in side)
    y0, y1 = (np.clip(np.rint(top + (y + d) * height), 0, mask.shape[0]).astype(int) for d in side)
    return total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0] == 0
