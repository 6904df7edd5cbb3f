"""Count traits, also again after regions went to other traits."""

from __future__ import annotations

import numpy as np
import xarray as xr

from finerkit.base.geometry import GRID
from finerkit.base.text import plain_text
from finerkit.traits.numbers import means, own_photos, trait_numbers
from finerkit.traits.place import summarise
from finerkit.traits.regions import find_regions

#: What counting again needs; all of it is in what `finerkit.find_traits` returns.
NEEDED = (
    *("label", "contrast", "cell_where", "cell_region", "region_vector", "cluster_trait", "remainder", "true_species"),
    *("role", "width", "height", *GRID),
)


def as_traits(traits: xr.Dataset) -> xr.Dataset:
    """Take traits as `finerkit.find_traits` returns them, whole; in memory.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If a part was left out, or was not kept yet when they were found.
    """
    if isinstance(traits, xr.DataTree):
        traits = traits.to_dataset()
    if not isinstance(traits, xr.Dataset) or not {"trait_evidence", "region_trait"} <= set(traits.variables):
        raise TypeError(f"Expected traits, as fk.find_traits(...) returns them. Got a {type(traits).__name__} instead.")
    missing = [v for v in NEEDED if v not in traits.variables] + ["presence"] * ("presence" not in traits.attrs)
    if missing or not {"image", "trait", "region"} <= set(traits.dims):
        what = ", ".join(map(repr, missing)) or "a whole dimension"
        raise ValueError(
            f"These traits hold no {what}: pass all that fk.find_traits(...) returned, or find them again with it."
        )
    return plain_text(traits).load()


def count(
    photos: xr.Dataset, label: np.ndarray, names: list[str], source: np.ndarray, vectors: np.ndarray
) -> xr.Dataset:
    """Count all that follows from the trait of each cell.

    Parameters
    ----------
    photos
        ``contrast``, ``remainder``, ``margin`` and ``cell_where`` of each, its label, size and where its grid lies;
        which species are target and references; the attr "presence".
    label
        (image, y, x) index of the trait of each cell, -1 for none.
    names
        Of the traits.
    source
        (image, y, x) position, in `vectors`, of each cell's contribution vector; -1 for none.
    vectors
        (..., component).

    Returns
    -------
    xarray.Dataset
        The same with traits and regions.
    """
    maps = photos["contrast"].values
    numbers = trait_numbers(photos, label, len(names))
    places = summarise(photos, label, len(names))
    place, size = (np.stack([photos[v].values for v in of], 1) for of in (GRID, ("width", "height")))
    regions = find_regions(label, maps, place, size, photos["image"].values)
    of_cell = np.where(source >= 0, regions["cell_region"].values, -1)
    mean = means(vectors[source[of_cell >= 0]], of_cell[of_cell >= 0], regions.sizes["region"]).astype(np.float32)
    comment = {"comment": "mean contribution vector of its cells"}
    regions["region_vector"] = (("region", "component"), mean, comment)
    photos = photos.drop_vars(["species", "role"])  # counted, too: there may be others
    found = xr.merge([photos, numbers, places, regions], compat="override", join="exact")
    return found.assign_coords(trait=np.array(names, object))


def regroup(traits: xr.Dataset, names: dict[int, str], region: np.ndarray, loose: np.ndarray) -> xr.Dataset:
    """Count everything again for regions in other groups.

    Parameters
    ----------
    traits
        From `as_traits`.
    names
        Of the new traits, in order, each under a number of its own.
    region
        (region,) number of the new trait of each region.
    loose
        (trait,) number of the new trait of a trait's cells outside the photo, which belong to no region.

    Returns
    -------
    xarray.Dataset
        As `finerkit.find_traits` would give it, had it put the cells into these groups. Traits and remainder still add
        up to the margin. What cannot be counted for a new group, such as its stability, is NaN.
    """
    region, loose = (np.array([*map(list(names).index, v)], int) for v in (region, loose))
    same = _same(traits, region, loose, len(names))
    old_label, old_region = traits["label"].values, traits["cell_region"].values
    label = np.append(loose, -1)[old_label]
    label = np.where(old_region >= 0, np.append(region, -1)[old_region], label)
    kept = traits.drop_dims(["trait", "region", "cluster"]).drop_vars(["label", "cell_region"])
    made = count(kept, label, [*names.values()], old_region, traits["region_vector"].values)
    made["background"] = ("trait", _background(traits, label, made["background"].values))
    made = made.merge(_clusters(traits, region, same))
    for name, values in traits.drop_dims("cluster").data_vars.items():
        if "trait" in values.dims and name not in made:
            made[name] = _carried(values, same)
    return made


def _same(traits: xr.Dataset, region: np.ndarray, loose: np.ndarray, n: int) -> np.ndarray:
    """Which trait each new one was before, if it has the very regions and other cells of one; else -1."""
    before, same = traits["region_trait"].values, np.full(n, -1)
    for k in range(n):
        old = np.flatnonzero(loose == k)
        if len(old) == 1 and ((region == k) == (before == old)).all():
            same[k] = old[0]
    return same


def _carried(values: xr.DataArray, same: np.ndarray) -> xr.DataArray:
    """Values of the traits that are as they were; unknown (NaN, False or nothing) for the others."""
    taken = values.isel(trait=same).drop_vars("trait")
    known = xr.DataArray(same >= 0, dims="trait")
    return taken.where(known) if values.dtype.kind == "f" else taken.where(known, np.zeros((), values.dtype)[()])


def _background(traits: xr.Dataset, label: np.ndarray, by_rule: np.ndarray) -> np.ndarray:
    """The rule's answer, unless a person decided otherwise for what the trait is made of, or all of that agrees."""
    old_label, before = traits["label"].values, traits["background"].values
    by_hand = before != summarise(traits, old_label, len(before))["background"].values
    out = by_rule.copy()
    for k in range(len(out)):
        sources = np.unique(old_label[label == k])
        flags = np.unique(before[sources])
        if len(flags) == 1 and (len(sources) > 1 or by_hand[sources[0]]):
            out[k] = flags[0]
    return out


def _clusters(traits: xr.Dataset, region: np.ndarray, same: np.ndarray) -> xr.Dataset:
    """Centres that tell the new traits in other photos: those of its parts; where one was cut, a centre of its own."""
    centre, radius, trait = (traits[v].values for v in ("centre", "radius", "cluster_trait"))
    old_trait, vectors, cells = (traits[v].values for v in ("region_trait", "region_vector", "region_cells"))
    own = own_photos(traits)[traits.indexes["image"].get_indexer(traits["region_image"].values)]
    centres, radii, owners = [], [], []
    for k, was in enumerate(same):
        mine = region == k
        sources = [was] if was >= 0 else np.unique(old_trait[mine])
        parts = np.flatnonzero(np.isin(trait, sources))
        if was >= 0 or not (np.isin(old_trait, sources) & ~mine).any():
            centres += [*centre[parts]]
            radii += [*radius[parts]]
        else:
            rows = mine & own if (mine & own).any() else mine
            centres.append(np.average(vectors[rows], axis=0, weights=cells[rows]))
            radii.append(radius[parts].max())
        owners += [k] * (len(centres) - len(owners))
    return xr.Dataset(
        {
            "centre": (("cluster", "component"), np.array(centres, centre.dtype)),
            "radius": ("cluster", np.array(radii, radius.dtype)),
            "cluster_trait": ("cluster", np.array(owners), traits["cluster_trait"].attrs),
        }
    )
