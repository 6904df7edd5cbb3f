"""Find the regions of photos that show a named trait, best first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from finerkit.derived import origin_attrs
from finerkit.images import usable
from finerkit.names import resolve
from finerkit.study import study_of
from finerkit.traits.find import fit_of, score_photos
from finerkit.traits.place import cell_places
from finerkit.traits.regions import find_regions

if TYPE_CHECKING:
    import xarray as xr

    from finerkit.models import Model


def match_trait(
    traits: xr.Dataset,
    trait: str,
    images: xr.Dataset | None = None,
    *,
    study: xr.DataTree | None = None,
    model: Model | None = None,
) -> pd.DataFrame:
    """Find the photos and regions that show a trait.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    trait
        Its name.
    images
        Photos to search, from `finerkit.read_images`; default: every usable photo of the study, of all species.
    study, model
        See `finerkit.find_traits`.

    Returns
    -------
    pandas.DataFrame
        One row per region, most evidence first: ``image``, ``species``, ``evidence`` (logits, of the region),
        ``cells``, ``left``, ``top``, ``right``, ``bottom`` (pixels of the upright original), ``outline`` (JSON
        polygons).
    """
    study = study_of(traits, study)
    index = [str(t) for t in traits["trait"].values].index(
        resolve(trait, traits["trait"].values, "trait", "traits.trait lists all.")
    )
    photos = study["images"].to_dataset() if images is None else images
    photos = photos.isel(image=usable(photos))
    cells, labels = score_photos(study, photos, fit_of(traits, study), model)
    label = np.full(cells.maps.shape, -1)
    label[cells.photo, cells.y, cells.x] = np.where(labels == index, 0, -1)
    size = np.stack([photos["width"].values, photos["height"].values], 1)
    regions = find_regions(label, cells.maps, cell_places(study, photos), size, 1)
    table = pd.DataFrame(
        [
            (
                photos["image"].values[r.photo],
                photos["species"].values[r.photo],
                r.evidence,
                r.cells,
                *r[4:8],
                r.outline,
            )
            for r in regions
        ],
        columns=["image", "species", "evidence", "cells", "left", "top", "right", "bottom", "outline"],
    )
    table = table.sort_values("evidence", ascending=False, kind="stable", ignore_index=True)
    table.attrs = origin_attrs(traits)
    return table
