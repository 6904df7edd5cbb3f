"""Count traits again after regions went to other traits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from finerkit.pairs import plain_text
from finerkit.roles import references_of, target_of
from finerkit.traits.numbers import trait_numbers
from finerkit.traits.place import PLACES, summarise
from finerkit.traits.regions import Region, find_regions, region_table

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What counting again needs; all of it is in what `finerkit.find_traits` returns.
NEEDED = (
    *("label", "contrast", "cell_where", "cell_region", "region_vector", "cluster_trait", "remainder", "true_species"),
    *("role", "width", "height", *PLACES),
)


class Plan(NamedTuple):
    """How regions are grouped anew.

    ``region`` (region,) is the new trait of each region, ``loose`` (trait,) that of a trait's cells outside the photo,
    which belong to no region. ``names`` are those of the new traits; ``same`` (new trait,) says which trait each was
    before if it is the same, else -1.
    """

    region: np.ndarray
    loose: np.ndarray
    names: list[str]
    same: np.ndarray


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


def regroup(traits: xr.Dataset, plan: Plan) -> xr.Dataset:
    """Count everything again for regions in other groups.

    Parameters
    ----------
    traits
        From `as_traits`.
    plan
        How.

    Returns
    -------
    xarray.Dataset
        As `finerkit.find_traits` would give it, had it put the cells into these groups. Traits and remainder still add
        up to the margin. What cannot be counted for a new group, such as its stability, is NaN.
    """
    old_label, region_of = traits["label"].values, traits["cell_region"].values
    label = np.where(old_label >= 0, plan.loose[old_label], -1)
    label = np.where(region_of >= 0, np.append(plan.region, -1)[region_of], label)
    maps, n = traits["contrast"].values, len(plan.names)
    ids, species = traits["image"].values, traits["true_species"].values
    target, presence = target_of(traits), float(traits.attrs["presence"])
    counted = trait_numbers(
        label, maps, traits["remainder"].values, ids, species, target, presence, n, references_of(traits)
    )
    places = summarise(label, maps, _own(traits), traits["cell_where"], n)
    places["background"] = ("trait", _background(traits, plan, label, places["background"].values))
    regions, vectors = _regions(traits, plan, label)
    table = region_table(regions, ids, vectors, label.shape[1:])
    kept = traits.drop_dims(["trait", "region", "cluster"]).drop_vars(
        [*counted.data_vars, "cell_region"], errors="ignore"
    )
    kept = kept.assign_coords(trait=np.array(plan.names, object))
    made = xr.merge([kept, counted, places, table, _clusters(traits, plan)], compat="override", join="exact")
    for name, values in traits.drop_dims("cluster").data_vars.items():
        if "trait" in values.dims and name not in made:
            made[name] = _carried(values, plan.same)
    return made.assign_attrs(traits.attrs)


def _own(traits: xr.Dataset) -> np.ndarray:
    """Photos of the target that could be scored."""
    return (traits["true_species"].values == target_of(traits)) & traits["margin"].notnull().values


def _carried(values: xr.DataArray, same: np.ndarray) -> xr.DataArray:
    """Values of the traits that are as they were; unknown (NaN, False or nothing) for the others."""
    taken = values.isel(trait=same).drop_vars("trait")
    known = xr.DataArray(same >= 0, dims="trait")
    return taken.where(known) if values.dtype.kind == "f" else taken.where(known, np.zeros((), values.dtype)[()])


def _background(traits: xr.Dataset, plan: Plan, label: np.ndarray, by_rule: np.ndarray) -> np.ndarray:
    """The rule's answer, unless a person decided otherwise for what the trait is made of, or all of that agrees."""
    before = traits["background"].values
    rule = summarise(
        traits["label"].values, traits["contrast"].values, _own(traits), traits["cell_where"], len(before)
    )["background"].values
    out = by_rule.copy()
    for k, old in enumerate(plan.same):
        sources = [old] if old >= 0 else np.unique(traits["label"].values[label == k])
        flags = before[sources]
        if flags.all() == flags.any() and (len(sources) > 1 or old >= 0 or flags[0] != rule[sources[0]]):
            out[k] = flags[0]
    return out


def _regions(traits: xr.Dataset, plan: Plan, label: np.ndarray) -> tuple[list[Region], np.ndarray]:
    """Regions in the order of `find_regions`; those of traits that came together in a photo are joined anew."""
    mixed = _mixed(label, traits["label"].values)
    stale = np.array([pair in mixed for pair in zip(_photos(traits), plan.region, strict=True)], bool)
    vectors = traits["region_vector"].values
    parts = [(r, vectors[i]) for i, r in zip(np.flatnonzero(~stale), _kept(traits, plan, ~stale), strict=True)]
    of_cell = traits["cell_region"].values.reshape(len(label), -1)
    for region in _joined(traits, label, mixed):
        inside = of_cell[region.photo, region.where]
        parts.append((region, vectors[inside[inside >= 0]].mean(0)))
    parts.sort(key=lambda p: (p[0].photo, p[0].trait, p[0].where[0]))
    regions = [p[0] for p in parts]
    return regions, np.array([p[1] for p in parts], np.float32).reshape(-1, vectors.shape[1])


def _photos(traits: xr.Dataset) -> np.ndarray:
    """Position of each region's photo."""
    return traits.indexes["image"].get_indexer(traits["region_image"].values)


def _mixed(label: np.ndarray, old_label: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of photo and new trait in which cells of several former traits meet."""
    photo, y, x = np.nonzero(label >= 0)
    triples = np.unique(np.stack([photo, label[photo, y, x], old_label[photo, y, x]], 1), axis=0)
    pairs, count = np.unique(triples[:, :2], axis=0, return_counts=True)
    return {(int(i), int(k)) for i, k in pairs[count > 1]}


def _kept(traits: xr.Dataset, plan: Plan, which: np.ndarray) -> Iterable[Region]:
    """Regions that are as they were, but for the number of their trait."""
    flat = traits["cell_region"].values.reshape(traits.sizes["image"], -1)
    photo = _photos(traits)
    evidence, cells = traits["region_evidence"].values, traits["region_cells"].values
    boxes, outlines = traits["region_box"].values, traits["region_outline"].values
    for i in np.flatnonzero(which):
        where = np.flatnonzero(flat[photo[i]] == i)
        yield Region(
            int(photo[i]), int(plan.region[i]), float(evidence[i]), int(cells[i]), *boxes[i], str(outlines[i]), where
        )


def _joined(traits: xr.Dataset, label: np.ndarray, mixed: set[tuple[int, int]]) -> Iterable[Region]:
    place, size = (np.stack([traits[n].values for n in names], 1) for names in (PLACES, ("width", "height")))
    maps = traits["contrast"].values
    for photo, trait in sorted(mixed):
        one = slice(photo, photo + 1)
        only = np.where(label[one] == trait, 0, -1)
        for region in find_regions(only, maps[one], place[one], size[one], 1):
            yield region._replace(photo=photo, trait=trait)


def _clusters(traits: xr.Dataset, plan: Plan) -> xr.Dataset:
    """Centres that tell the new traits in other photos: those of its parts; where one was cut, a centre of its own."""
    centre, radius, trait = (traits[v].values for v in ("centre", "radius", "cluster_trait"))
    old_trait, vectors, cells = (traits[v].values for v in ("region_trait", "region_vector", "region_cells"))
    own = _own(traits)[_photos(traits)]
    centres, radii, owners = [], [], []
    for k in range(len(plan.names)):
        mine = plan.region == k
        sources = [plan.same[k]] if plan.same[k] >= 0 else np.unique(old_trait[mine])
        parts = np.flatnonzero(np.isin(trait, sources))
        if plan.same[k] >= 0 or not (np.isin(old_trait, sources) & ~mine).any():
            centres += list(centre[parts])
            radii += list(radius[parts])
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
