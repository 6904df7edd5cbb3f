"""Count and crop the traits of a guide, with background kept apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from finerkit.output.figures.trait_sheet import Crop, exemplar_crops
from finerkit.output.guide.species import picture, size_of, with_files

if TYPE_CHECKING:
    import xarray as xr

    from finerkit.output.guide.topic import Topic

_PIXELS = 300  # longest side of a crop
_CROPS = 6


def trait_cards(topic: Topic) -> dict[str, Any]:
    """All traits: ``marks`` and what looks like ``background``, each with the largest share of the margin first."""
    order = np.argsort(-np.nan_to_num(topic.traits["share_of_margin"].values), kind="stable")
    doubtful = topic.traits["background"].values.astype(bool)
    return {
        "marks": [_card(topic, int(k)) for k in order if not doubtful[k]],
        "background": [_card(topic, int(k)) for k in order if doubtful[k]],
        "unnamed": any(str(name).startswith("trait ") for name in topic.traits["trait"].values),
    }


def _card(topic: Topic, k: int) -> dict[str, Any]:
    """One trait; ``share`` and ``stability`` may be NaN."""
    one, photos = topic.traits.isel(trait=k), topic.photos
    seen = [_seen(one, name) for name in topic.species]
    best = topic.traits["exemplar"].where(topic.traits["exemplar"].isin(photos["image"].values), "")
    crops = exemplar_crops(topic.traits.assign(exemplar=best), photos, k, best.sizes["exemplar_rank"])[:_CROPS]
    there = with_files(photos, [crop.image for crop in crops])
    return {
        "name": str(one["trait"].item()),
        "share": float(one["share_of_margin"]),
        "stability": float(one["stability"]),
        "seen": seen,
        # a look-alike shows it at least half as often as the target does
        "is_shared": any(s["share"] > 0 and s["share"] >= 0.5 * seen[0]["share"] for s in seen[1:]),
        "parts": [_part(photos.sel(image=crop.image), crop) for crop in crops if crop.image in there],
    }


def _seen(one: xr.Dataset, species: str) -> dict[str, Any]:
    """In how many photos of a species a trait was seen; photos that could not be explained do not count."""
    mine = (one["true_species"].values.astype(str) == species) & np.isfinite(one["trait_evidence"].values)
    number, of = int((mine & one["shows"].values.astype(bool)).sum()), int(mine.sum())
    return {"species": species, "photos": number, "of": of, "share": number / of if of else 0.0}


def _part(one: xr.Dataset, crop: Crop) -> dict[str, Any]:
    """What `crop` shows of a photo, which may end before it does; ``rings`` are in the photo's pixels, too."""
    left, top, right, bottom = np.clip(crop.box, 0, size_of(one) * 2).tolist()
    rings = [" ".join(f"{x:.1f},{y:.1f}" for x, y in ring) for ring in crop.outlines]
    view = f"{left:.1f} {top:.1f} {right - left:.1f} {bottom - top:.1f}"
    return picture(one, (left, top, right, bottom), _PIXELS) | {"view": view, "rings": rings}
