"""Join labelled cells to connected regions, with outlines in original pixels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import shapely
import xarray as xr
from skimage.measure import label as connected

from finerkit.traits.numbers import summed

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_regions(
    label: np.ndarray, maps: np.ndarray, place: np.ndarray, size: np.ndarray, images: np.ndarray
) -> xr.Dataset:
    """Join cells of one trait that touch, corners included.

    Parameters
    ----------
    label
        (image, y, x) index of the trait of each cell, -1 for none.
    maps
        (image, y, x) contrast in logits.
    place
        (image, 4): left, top, cell width and cell height in pixels of the upright original.
    size
        (image, 2): width and height of the original.
    images
        Ids of the photos.

    Returns
    -------
    xarray.Dataset
        Over ``region``, photo by photo, trait by trait: ``region_image``, ``region_trait``, ``region_evidence``,
        ``region_cells``, ``region_box`` and ``region_outline`` (JSON: a list of polygons, each a list of [x, y]),
        clipped to the photo. Cells wholly outside the photo are in no region. ``cell_region`` (image, y, x) is each
        cell's.
    """
    part = _parts(label)
    photo, y, x = np.nonzero(part >= 0)
    first, of_cell = np.unique(part[photo, y, x], return_index=True, return_inverse=True)[1:]
    cells = shapely.box(x, y, x + 1, y + 1)
    groups = np.split(cells[np.argsort(of_cell, kind="stable")], np.cumsum(np.bincount(of_cell))[:-1])
    shapes = np.array([shapely.coverage_union_all(group) for group in groups if len(group)], object)
    corners, of_corner = shapely.get_coordinates(shapes, return_index=True)
    at = place[photo[first]][of_corner]
    shapes = shapely.set_coordinates(shapes, at[:, :2] + corners * at[:, 2:])
    shapes = shapely.intersection(shapes, shapely.box(0, 0, *size[photo[first]].T))
    trait = label[photo, y, x][first]
    seen = np.flatnonzero(~shapely.is_empty(shapes))
    order = seen[np.lexsort((trait[seen], photo[first][seen]))]
    number = np.full(len(first) + 1, -1, np.int32)
    number[order] = np.arange(len(order))
    cell_region = np.full(label.shape, -1, np.int32)
    cell_region[photo, y, x] = region = number[of_cell]
    pixel = {"units": "pixel", "comment": "of the upright original photo"}
    evidence, count = summed(np.stack([maps[photo, y, x], np.ones(len(y))], 1), region, len(order)).T
    outlines = [json.dumps(polygons(shapes[i])) for i in order]
    return xr.Dataset(
        {
            "region_image": ("region", images[photo[first][order]].astype(object)),
            "region_trait": ("region", trait[order].astype(np.int64)),
            "region_evidence": ("region", evidence, {"units": "logit"}),
            "region_cells": ("region", count.astype(np.int64)),
            "region_box": (("region", "side"), shapely.bounds(shapes[order]).reshape(-1, 4), pixel),
            "region_outline": ("region", np.array(outlines, object), pixel),
            "cell_region": (("image", "y", "x"), cell_region, {"comment": "region of each cell, -1 none"}),
        },
        {"side": np.array(["left", "top", "right", "bottom"], object)},
    )


def _parts(label: np.ndarray) -> np.ndarray:
    """Number of the connected cells of one trait that each cell is of, over all photos; -1 for none."""
    stacked = np.pad(label.astype(np.int32) + 1, ((0, 0), (0, 1), (0, 0)))  # with a row between photos: none touch
    found = connected(stacked.reshape(-1, label.shape[2]), background=0, connectivity=2)
    return found.reshape(stacked.shape)[:, :-1] - 1


def polygons(shape: shapely.Geometry) -> list[list[list[float]]]:
    """Outer rings of a shape, as lists of [x, y]; holes are cut open first, so that no ring holds foreign cells."""
    return [[[round(x, 2), round(y, 2)] for x, y in ring.exterior.coords] for ring in _without_holes(shape)]


def _without_holes(shape: shapely.Geometry) -> Iterator[shapely.Polygon]:
    """Polygons that cover the shape; one with a hole is split through the hole's middle."""
    for part in getattr(shape, "geoms", [shape]):
        if not isinstance(part, shapely.Polygon) or part.is_empty:
            continue
        if not part.interiors:
            yield part
            continue
        x = part.interiors[0].centroid.x
        left, bottom, right, top = part.bounds
        yield from _without_holes(part.intersection(shapely.box(left, bottom, x, top)))
        yield from _without_holes(part.intersection(shapely.box(x, bottom, right, top)))
