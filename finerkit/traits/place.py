"""Say where traits lie: on the animal, or where background is suspected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from finerkit.preprocess import Preprocess

if TYPE_CHECKING:
    from finerkit.traits.cells import Cells

#: Animal masks: a function or mapping from image id to a boolean (height, width) array; None where there are none.
Masks = Callable[[str], np.ndarray] | Mapping[str, np.ndarray] | None

#: Coordinates that say where the grid of cells lies on a photo.
PLACES = ("cell_left", "cell_top", "cell_width", "cell_height")

#: A trait is called background if more than this share of its evidence lies off the animal (or, without masks, in the
#: outermost ring of cells).
BACKGROUND = 0.5

#: A cell is off the animal if no pixel of the animal lies in it or within this many cells of it. A cell sees beyond its
#: borders, so that evidence of the animal spills into the cells around it; and a thin part (a tail, an antenna) covers
#: little of any cell, so that the share of a cell's area that is animal would call it background.
MARGIN = 1.0


def trait_places(
    cells: Cells,
    labels: np.ndarray,
    photos: xr.Dataset,
    place: np.ndarray,
    own: np.ndarray,
    masks: Masks,
    n_traits: int,
) -> xr.Dataset:
    """Say where each trait lies, over the target's photos, weighted by evidence.

    Parameters
    ----------
    cells, labels
        Discriminative cells and the trait of each (-1 for none).
    photos
        Like ``/images``.
    place
        (image, 4): left, top, cell width and cell height in pixels of the upright original.
    own
        Boolean (image): photos of the target.
    masks
        See `Masks`.
    n_traits
        Number of traits.

    Returns
    -------
    xarray.Dataset
        Over ``trait``: ``off_animal``, ``border``, ``background``, ``position_x``, ``position_y``. ``cell_where``, the
        same cell by cell, from which `summarise` gets them again.
    """
    label = np.full(cells.maps.shape, -1)
    label[cells.photo, cells.y, cells.x] = labels
    where = cell_where(cells, photos, place, own, masks)
    return summarise(label, cells.maps, own, where, n_traits).assign(cell_where=where)


def cell_where(cells: Cells, photos: xr.Dataset, place: np.ndarray, own: np.ndarray, masks: Masks) -> xr.DataArray:
    """Where each discriminative cell lies: (image, y, x, cell_measure), NaN for other cells; see `trait_places`."""
    maps = np.full((*cells.maps.shape, 3), np.nan, np.float32)
    maps[cells.photo, cells.y, cells.x] = np.stack(_on_animal(cells, photos, place, own, masks), 1)
    frame = "the animal's bounding box" if masks is not None else "the photo"
    comment = f"1 if the cell is farther than {MARGIN:g} cells from the animal, else 0; centre, 0 to 1 over {frame}"
    return xr.DataArray(
        maps,
        {"cell_measure": np.array(["off_animal", "x", "y"], object)},
        ("image", "y", "x", "cell_measure"),
        attrs={"comment": comment, "frame": frame},
    )


def summarise(label: np.ndarray, maps: np.ndarray, own: np.ndarray, where: xr.DataArray, n_traits: int) -> xr.Dataset:
    """Say where each trait lies, from the trait (-1 for none), contrast and place of every cell; see `trait_places`."""
    label = np.where(own[:, None, None], label, -1)
    photo, y, x = np.nonzero(label >= 0)
    trait, evidence = label[photo, y, x], np.maximum(maps[photo, y, x], 0).astype(np.float64)
    rows, columns = maps.shape[1:]
    on_edge = (y == 0) | (x == 0) | (y == rows - 1) | (x == columns - 1)
    off, across, down = where.values[photo, y, x].T.astype(np.float64)
    values = {"off_animal": off, "border": on_edge, "position_x": across, "position_y": down}
    out = {name: _means(v.astype(np.float64), trait, evidence, n_traits) for name, v in values.items()}
    background = np.where(np.isnan(out["off_animal"]), out["border"], out["off_animal"]) > BACKGROUND
    frame = where.attrs["frame"]
    comments = {
        "off_animal": f"share of the evidence in cells farther than {MARGIN:g} cells from the animal",
        "border": "share of the evidence in the outermost ring of cells",
        "position_x": f"mean position, 0 left to 1 right of {frame}",
        "position_y": f"mean position, 0 top to 1 bottom of {frame}",
    }
    data = xr.Dataset({name: ("trait", value, {"comment": comments[name]}) for name, value in out.items()})
    data["background"] = ("trait", background)
    return data


def _means(values: np.ndarray, trait: np.ndarray, weight: np.ndarray, n_traits: int) -> np.ndarray:
    """Weighted mean over the cells of each trait whose value is known; NaN where there are none."""
    known = ~np.isnan(values)
    total = np.bincount(trait[known], (values * weight)[known], n_traits)
    weights = np.bincount(trait[known], weight[known], n_traits)
    return np.divide(total, weights, out=np.full(n_traits, np.nan), where=weights > 0)


def cell_places(study: xr.DataTree, photos: xr.Dataset) -> np.ndarray:
    """(image, 4): left, top, cell width and height, in pixels of the upright original."""
    fitted = Preprocess.from_attrs(study.attrs)
    return np.stack(fitted.placement(photos["width"].values, photos["height"].values, study.finerkit.grid), 1)


def _on_animal(
    cells: Cells, photos: xr.Dataset, place: np.ndarray, own: np.ndarray, masks: Masks
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each cell: whether it is off the animal (1, 0; NaN without mask), and its centre's position, 0 to 1."""
    left, top, width, height = place[cells.photo].T
    centre_x, centre_y = left + (cells.x + 0.5) * width, top + (cells.y + 0.5) * height
    x, y = centre_x / photos["width"].values[cells.photo], centre_y / photos["height"].values[cells.photo]
    off = np.full(len(x), np.nan)
    if masks is None:
        return off, x, y
    for i in np.unique(cells.photo[own[cells.photo]]):
        mask = mask_of(masks, str(photos["image"].values[i]), photos.isel(image=i))
        if mask is None or not mask.any():
            continue
        mine = cells.photo == i
        off[mine] = off_cells(mask, place[i], cells.x[mine], cells.y[mine])
        across, down = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        x[mine] = (centre_x[mine] - across[0]) / (across[-1] + 1 - across[0])
        y[mine] = (centre_y[mine] - down[0]) / (down[-1] + 1 - down[0])
    return off, x, y


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


def mask_of(masks: Masks, image: str, photo: xr.Dataset) -> np.ndarray | None:
    """The mask of one photo, checked; None where there is none."""
    try:
        mask = masks[image] if isinstance(masks, Mapping) else masks(image)
    except KeyError:
        return None
    if mask is None:
        return None
    mask = np.asarray(mask).astype(bool)
    expected = int(photo["height"]), int(photo["width"])
    if mask.shape != expected:
        raise ValueError(
            f"The mask of {str(image)!r} must be (height, width) = {expected}. Got shape {mask.shape} instead."
        )
    return mask
