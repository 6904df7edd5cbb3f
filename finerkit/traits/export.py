"""Write traits for other programs: COCO-style JSON and label masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from finerkit.names import slug
from finerkit.roles import target_of
from finerkit.traits.place import PLACES

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
                "area": sum(_area(ring) for ring in rings),
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
    place = np.stack([traits[name].values for name in PLACES], 1)
    width, height = (traits[side].values.astype(int) for side in ("width", "height"))
    written = []
    for i, image in enumerate(traits["image"].values):
        label = paint(traits["label"].values[i], place[i], int(width[i]), int(height[i]))
        parts = [slug(p, 120) for p in str(image).split("/")]
        file = Path(folder, *parts[:-1], parts[-1] + ".png")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(label).save(file)
        written.append(file)
    return written


def paint(label: np.ndarray, place: np.ndarray, width: int, height: int) -> np.ndarray:
    """Trait numbers of cells (y, x), -1 for none, as pixels: uint8 (height, width), 0 for none."""
    left, top, cell_width, cell_height = place
    y = np.floor((np.arange(height) + 0.5 - top) / cell_height).astype(int)
    x = np.floor((np.arange(width) + 0.5 - left) / cell_width).astype(int)
    inside = ((y >= 0) & (y < label.shape[0]))[:, None] & ((x >= 0) & (x < label.shape[1]))[None]
    values = label[np.clip(y, 0, label.shape[0] - 1)][:, np.clip(x, 0, label.shape[1] - 1)]
    return np.where(inside, values + 1, 0).astype(np.uint8)


def _area(ring: list[list[float]]) -> float:
    x, y = np.array(ring).T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)
