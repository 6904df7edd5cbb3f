"""Join labelled cells to connected regions, with outlines in original pixels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import shapely
import xarray as xr
from skimage.measure import label as connected

if TYPE_CHECKING:
    from collections.abc import Iterator


class Region(NamedTuple):
    """Touching cells of one trait in one photo. Positions in pixels of the upright original, clipped to the photo."""

    photo: int
    trait: int
    evidence: float
    cells: int
    left: float
    top: float
    right: float
    bottom: float
    outline: str  # JSON: list of polygons, each a list of [x, y]
    where: np.ndarray  # its cells, as positions in the flat grid


def find_regions(
    labels: np.ndarray, maps: np.ndarray, place: np.ndarray, size: np.ndarray, n_traits: int
) -> list[Region]:
    """Join cells of one trait that touch, corners included.

    Parameters
    ----------
    labels
        (image, y, x) index of the trait of each cell, -1 for none.
    maps
        (image, y, x) contrast in logits.
    place
        (image, 4): left, top, cell width and cell height in pixels of the original.
    size
        (image, 2): width and height of the original.
    n_traits
        Number of traits.

    Returns
    -------
    list of Region
        Photo by photo, trait by trait.
    """
    found = []
    for photo in np.flatnonzero((labels >= 0).any((1, 2))):
        for trait in range(n_traits):
            parts = connected(labels[photo] == trait, connectivity=2)
            for k in range(1, parts.max() + 1):
                inside = parts == k
                shape = cells_shape(inside, *place[photo]).intersection(shapely.box(0, 0, *size[photo]))
                if shape.is_empty:
                    continue
                evidence = float(maps[photo][inside].sum())
                outline = json.dumps(polygons(shape))
                at = np.flatnonzero(inside)
                found.append(Region(int(photo), trait, evidence, len(at), *shape.bounds, outline, at))
    return found


def region_table(regions: list[Region], images: np.ndarray, vectors: np.ndarray, grid: tuple[int, int]) -> xr.Dataset:
    """Lay out regions as they are kept with traits.

    Parameters
    ----------
    regions
        From `find_regions`.
    images
        Ids of the photos.
    vectors
        (region, component): each region's mean contribution vector.
    grid
        Rows and columns of cells.
    """
    cell_region = np.full((len(images), grid[0] * grid[1]), -1, np.int32)
    for i, region in enumerate(regions):
        cell_region[region.photo, region.where] = i
    pixel = {"units": "pixel", "comment": "of the upright original photo"}
    return xr.Dataset(
        {
            "region_image": ("region", np.array([images[r.photo] for r in regions], object)),
            "region_trait": ("region", np.array([r.trait for r in regions], np.int64)),
            "region_evidence": ("region", np.array([r.evidence for r in regions], np.float64), {"units": "logit"}),
            "region_cells": ("region", np.array([r.cells for r in regions], np.int64)),
            "region_box": (("region", "side"), np.array([r[4:8] for r in regions], np.float64).reshape(-1, 4), pixel),
            "region_outline": ("region", np.array([r.outline for r in regions], object), pixel),
            "region_vector": (("region", "component"), vectors, {"comment": "mean contribution vector of its cells"}),
            "cell_region": (
                ("image", "y", "x"),
                cell_region.reshape(len(images), *grid),
                {"comment": "region of each cell, -1 none"},
            ),
        },
        {"side": np.array(["left", "top", "right", "bottom"], object)},
    )


def cells_shape(inside: np.ndarray, left: float, top: float, width: float, height: float) -> shapely.Geometry:
    """Outline of the marked cells (y, x), in pixels."""
    y, x = np.nonzero(inside)
    boxes = shapely.box(left + x * width, top + y * height, left + (x + 1) * width, top + (y + 1) * height)
    return shapely.union_all(boxes, grid_size=1e-6)


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
