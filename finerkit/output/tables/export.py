"""Write traits for other programs: COCO-style JSON and label masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from PIL import Image

from finerkit.base.geometry import GridPlace
from finerkit.base.names import slug
from finerkit.base.roles import target_of

if TYPE_CHECKING:
    import os

    import xarray as xr


def to_coco(traits: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write regions as COCO object-detection JSON, to train a segmenter on.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    path
        The .json file.

    Returns
    -------
    pathlib.Path
        The file: ``images`` (``file_name`` is the id), ``categories`` (the traits, from 1), ``annotations`` with
        ``segmentation`` polygons, ``bbox`` and ``area`` in pixels of the upright original, and ``evidence`` in logits.
    """
    number = {str(image): i + 1 for i, image in enumerate(traits["image"].values)}
    size = zip(traits["width"].values, traits["height"].values, strict=True)
    images = [
        {"id": i, "file_name": image, "width": int(w), "height": int(h)}
        for (image, i), (w, h) in zip(number.items(), size, strict=True)
    ]
    annotations = []
    for i in range(traits.sizes["region"]):
        left, top, right, bottom = (float(v) for v in traits["region_box"].values[i])
        rings = json.loads(str(traits["region_outline"].values[i]))
        annotations.append(
            {
                "id": i + 1,
                "image_id": number[str(traits["region_image"].values[i])],
                "category_id": int(traits["region_trait"].values[i]) + 1,
                "segmentation": [[c for point in ring for c in point] for ring in rings],
                "bbox": [left, top, right - left, bottom - top],
                "area": sum(shapely.Polygon(ring).area for ring in rings),
                "iscrowd": 0,
                "evidence": float(traits["region_evidence"].values[i]),
            }
        )
    names = [str(t) for t in traits["trait"].values]
    categories = [{"id": k + 1, "name": n, "supercategory": target_of(traits)} for k, n in enumerate(names)]
    path = Path(path)
    whole = {"info": {"description": f"Traits of {target_of(traits)}, by finerkit"}, "images": images}
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(whole | {"categories": categories, "annotations": annotations}), encoding="utf-8")
    return partial.replace(path)


def label_masks(traits: xr.Dataset, folder: str | os.PathLike[str]) -> list[Path]:
    """Write one PNG per photo, at the original's upright size, whose pixels hold 0 or the trait's number (from 1).

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    folder
        Where; the files are named after the image ids, species folders included.

    Returns
    -------
    list of pathlib.Path
    """
    written = []
    for i, image in enumerate(traits["image"].values):
        photo = traits.isel(image=i)
        label = paint(photo["label"].values, GridPlace.of(photo), (int(photo["width"]), int(photo["height"])))
        parts = [slug(p, 120) for p in str(image).split("/")]
        file = Path(folder, *parts[:-1], parts[-1] + ".png")
        file.parent.mkdir(parents=True, exist_ok=True)
        label.save(file)
        written.append(file)
    return written


def paint(label: np.ndarray, place: GridPlace, size: tuple[int, int]) -> Image.Image:
    """Trait numbers of cells (y, x), -1 for none, as pixels of a photo (width, height): from 1, 0 for none."""
    to_cells = (1 / place.cell_width, 0, -place.left / place.cell_width)
    to_cells += (0, 1 / place.cell_height, -place.top / place.cell_height)
    return Image.fromarray((label + 1).astype(np.uint8)).transform(size, Image.Transform.AFFINE, to_cells)
