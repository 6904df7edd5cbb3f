"""Prepare what of traits travels to the browser: small plain values."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from finerkit.base.roles import references_of, target_of
from finerkit.output.figures.colours import CATEGORIES
from finerkit.output.widgets.photos import LARGEST, crop_jpeg, jpeg
from finerkit.photos.display import gone
from finerkit.store.photo_paths import located
from finerkit.traits.crops import around, exemplar_regions
from finerkit.traits.edit import names_of

if TYPE_CHECKING:
    import xarray as xr

#: Pixels of a crop's side; it is shown at half of that or less, so that it is sharp on fine screens.
CROP = 224


class Photos:
    """Files and sizes of the photos of some traits.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    """

    def __init__(self, traits: xr.Dataset) -> None:
        ids = traits["image"].values.astype(str)
        sizes = np.stack([traits["width"].values, traits["height"].values], 1).astype(int)
        self.paths = dict(zip(ids, located(traits)["path"].values.astype(str), strict=True))
        self.sizes = {image: (int(w), int(h)) for image, (w, h) in zip(ids, sizes, strict=True)}
        self.species = dict(zip(ids, traits["true_species"].values.astype(str), strict=True))


def colour(k: int) -> str:
    """Colour of a trait's outlines and points; black, which a dark page hides, is left out."""
    usable = [c for c in CATEGORIES if c != "#000000"]
    return usable[k % len(usable)]


def row(traits: xr.Dataset, photos: Photos, k: int, count: int) -> dict[str, Any]:
    """One trait: its name and numbers, and crops of the photos that show it best."""
    one = traits.isel(trait=k)
    kin = np.isin(traits["true_species"].values.astype(str), references_of(traits))
    elsewhere = traits["shows"].values[kin & traits["margin"].notnull().values, k]
    return {
        "trait": k,
        "name": str(one["trait"].item()),
        "colour": colour(k),
        "share": known(one["share_of_margin"]),
        "prevalence": known(one["prevalence"]),
        "elsewhere": known(elsewhere.mean()) if len(elsewhere) else None,
        "stability": known(one["stability"]),
        "off_animal": known(one["off_animal"]),
        "border": known(one["border"]),
        "background": bool(one["background"]),
        "regions": int((traits["region_trait"].values == k).sum()),
        "crops": [crop(traits, photos, i) for i in exemplar_regions(traits, k, count)],
    }


def crop(traits: xr.Dataset, photos: Photos, i: int) -> dict[str, Any]:
    """One region: the square of its photo around it, as a picture, and the outlines of its trait there."""
    image = str(traits["region_image"].values[i])
    k = int(traits["region_trait"].values[i])
    box = around(traits["region_box"].values[i], *photos.sizes[image])
    there = (traits["region_image"].values == image) & (traits["region_trait"].values == k)
    within = _within(box, photos.sizes[image])
    return {
        "region": i,
        "image": image,
        "species": photos.species[image],
        "trait": k,
        "evidence": float(traits["region_evidence"].values[i]),
        "box": list(box),
        "place": list(within),
        "rings": [r for j in np.flatnonzero(there) for r in rings(traits, j)],
        "gone": gone(photos.paths[image]),
        "photo": crop_jpeg(photos.paths[image], photos.sizes[image], within, CROP),
    }


def rings(traits: xr.Dataset, i: int) -> list[list[list[float]]]:
    """Outlines of one region."""
    return json.loads(str(traits["region_outline"].values[i]))


def enlarged(traits: xr.Dataset, photos: Photos, image: str) -> dict[str, Any]:
    """A whole photo at its file's resolution, with all outlines and what each trait adds to its margin."""
    row = int(traits.indexes["image"].get_loc(image))
    size = photos.sizes[image]
    here = np.flatnonzero(traits["region_image"].values == image)
    return {
        "image": image,
        "species": photos.species[image],
        "size": list(size),
        "gone": gone(photos.paths[image]),
        "photo": jpeg(photos.paths[image], *size, min(max(size), LARGEST)),
        "regions": [
            {"region": int(i), "trait": int(traits["region_trait"].values[i]), "rings": rings(traits, i)} for i in here
        ],
        "evidence": [known(v) for v in traits["trait_evidence"].values[row]],
        "remainder": known(traits["remainder"][row]),
        "margin": known(traits["margin"][row]),
    }


def matrix(traits: xr.Dataset) -> dict[str, Any]:
    """Prevalence of each trait in each species: the target first, then the references, then others by name."""
    species = [str(s) for s in traits["species"].values]
    values = traits["prevalence_by_species"].transpose("trait", "species").values
    counts = [int((traits["true_species"].values == s).sum()) for s in species]
    return {
        "species": species,
        "photos": counts,
        "traits": names_of(traits),
        "values": [[known(v) for v in r] for r in values],
    }


def points(traits: xr.Dataset, at: np.ndarray) -> dict[str, Any]:
    """Regions as points, packed: 13 bytes each."""
    own = traits["true_species"].values == target_of(traits)
    of_target = own[traits.indexes["image"].get_indexer(traits["region_image"].values)]
    return {
        "xy": at.astype("<f4").tobytes(),
        "trait": traits["region_trait"].values.astype("<f4").tobytes(),
        "own": of_target.astype("<f4").tobytes(),
    }


def known(value: Any) -> float | None:
    """A number for JSON, which has no NaN."""
    return float(value) if math.isfinite(float(value)) else None


def _within(box: tuple[float, ...], size: tuple[int, int]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return max(left, 0.0), max(top, 0.0), min(right, float(size[0])), min(bottom, float(size[1]))
