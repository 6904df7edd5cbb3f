"""Rename, merge and split traits, and mark them as background: what a person makes of them, counted again.

Pure functions: the dataset that is given is not changed. What was done stands in ``edit(edit)``, one JSON text for each
edit, and the attr ``edited`` says how often.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from sklearn.cluster import KMeans

from finerkit.base.names import fold, resolve
from finerkit.base.text import typed_names
from finerkit.base.user_columns import columns_of
from finerkit.traits.regroup import as_traits, regroup

if TYPE_CHECKING:
    from collections.abc import Iterable

_HINT = "traits.trait lists all."


def rename(traits: xr.Dataset, old: str, new: str) -> xr.Dataset:
    """Give a trait another name.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    old, new
        Its name, and the one it gets.

    Returns
    -------
    xarray.Dataset
        The same, but for the name.
    """
    traits = as_traits(traits)
    k = _index(traits, old)
    names = names_of(traits)
    before, names[k] = names[k], _new_name(traits, new, but=k)
    return _noted(traits.assign_coords(trait=np.array(names, object)), "rename", trait=before, name=names[k])


def merge(traits: xr.Dataset, names: Iterable[str], name: str | None = None) -> xr.Dataset:
    """Make one trait of several.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    names
        Two or more traits.
    name
        Of the new one; by default the old names with "+" between them.

    Returns
    -------
    xarray.Dataset
        All numbers counted again; regions that touch are joined. The merged trait stands where the first stood. Its
        stability is unknown (NaN): it was not found by clustering.
    """
    traits = as_traits(traits)
    wanted = typed_names(names)
    chosen = sorted({_index(traits, w) for w in wanted or []})
    if len(chosen) < 2:
        raise ValueError(f"Merging needs two traits or more. Got {names!r} instead. {_HINT}")
    before = names_of(traits)
    made = _new_name(traits, name if name is not None else " + ".join(before[k] for k in chosen), but=chosen)
    loose = np.where(np.isin(np.arange(len(before)), chosen), chosen[0], np.arange(len(before)))
    new = {k: name for k, name in enumerate(before) if k not in chosen} | {chosen[0]: made}
    found = regroup(traits, dict(sorted(new.items())), loose[traits["region_trait"].values], loose)
    return _noted(found, "merge", traits=[before[k] for k in chosen], name=made)


def split(
    traits: xr.Dataset,
    trait: str | None = None,
    regions: Any = None,
    *,
    name: str | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Make a new trait of some regions.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    trait
        The trait to split. None takes `regions` out of whatever traits they are in; a trait that is left with none is
        gone.
    regions
        Positions along ``region``, or a selection such as `finerkit.TraitExplorer.selection`. By default the trait's
        regions are parted in two by k-means on their contribution vectors; the part with less evidence becomes the
        new trait.
    name
        Of the new trait; by default the old one's with a number.
    seed
        Of k-means.

    Returns
    -------
    xarray.Dataset
        All numbers counted again. The new trait stands after the one it was taken from. The stability of the traits
        that changed is unknown (NaN).
    """
    traits = as_traits(traits)
    of_region = traits["region_trait"].values
    k = None if trait is None else _index(traits, trait)
    taken = _halved(traits, k, seed) if regions is None else _positions(traits, regions, k)
    sources = np.unique(of_region[taken]).tolist()
    if len(sources) == 1 and (of_region == sources[0]).sum() == len(taken):
        whole = names_of(traits)[sources[0]]
        raise ValueError(f"These are all the regions of {whole!r}: leave some with it, or rename it with rename(...).")
    before = names_of(traits)
    moved = np.isin(np.arange(len(of_region)), taken)
    emptied = [s for s in sources if moved[of_region == s].all()]
    made = _new_name(traits, name if name is not None else _numbered(before, before[sources[0]]), but=emptied)
    new, old = len(before), np.arange(len(before))
    order = [j for k in range(new) for j in ([k] * (k not in emptied) + [new] * (k == sources[0]))]
    found = regroup(
        traits,
        {k: made if k == new else before[k] for k in order},
        np.where(moved, new, of_region),
        np.where(np.isin(old, emptied), new, old),
    )
    how = "k-means" if regions is None else "regions"
    return _noted(found, "split", traits=[before[s] for s in sources], name=made, by=how, regions=taken.tolist())


def mark_background(traits: xr.Dataset, trait: str, background: bool = True) -> xr.Dataset:
    """Say that a trait is background, not part of the animal, or that it is not.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    trait
        Its name.
    background
        Whether it is.

    Returns
    -------
    xarray.Dataset
        The same, but for ``background``. Its evidence stays in the margin: the network did use it.
    """
    traits = as_traits(traits)
    k = _index(traits, trait)
    flags = traits["background"].values.copy()
    flags[k] = bool(background)
    data = traits.assign(background=traits["background"].copy(data=flags))
    return _noted(data, "mark_background", trait=names_of(traits)[k], background=bool(background))


def history(traits: xr.Dataset) -> list[dict[str, Any]]:
    """What people did to these traits, first to last: ``edit``, ``date`` (UTC), and what it was about."""
    return [json.loads(str(e)) for e in _edits(traits)]


def _edits(traits: xr.Dataset) -> list[str]:
    return list(traits["edit"].values) if "edit" in traits.variables else []


def names_of(traits: xr.Dataset) -> list[str]:
    """Names of the traits, in order."""
    return [str(t) for t in traits["trait"].values]


def _noted(traits: xr.Dataset, edit: str, /, **what: Any) -> xr.Dataset:
    entry = {"edit": edit, "date": datetime.now(UTC).isoformat(timespec="seconds"), **what}
    edits = [*_edits(traits), json.dumps(entry, ensure_ascii=False)]
    kept = traits.drop_vars("edit", errors="ignore").assign_coords(edit=np.array(edits, object))
    return kept.assign_attrs(edited=len(edits))


def _index(traits: xr.Dataset, trait: str) -> int:
    names = names_of(traits)
    return names.index(resolve(trait, names, "trait", _HINT))


def _new_name(traits: xr.Dataset, name: str, but: int | Iterable[int]) -> str:
    """A name that no other trait, and no column of the phenotype table, has."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"A trait's name is text of at least one letter. Got {name!r} instead.")
    name = " ".join(name.split())
    others = [n for k, n in enumerate(names_of(traits)) if k not in np.atleast_1d(but)]
    if fold(name) in map(fold, others):
        raise ValueError(f"There is another trait named {name!r}: choose another name, or merge the two.")
    if {name, f"shows: {name}"} & {"true_species", "remainder", "margin", *columns_of(traits)}:
        raise ValueError(f"{name!r} is a column of the phenotype table already: choose another name.")
    return name


def _numbered(names: list[str], name: str) -> str:
    taken = set(map(fold, names))
    return next(n for n in (f"{name} ({i})" for i in range(2, len(names) + 3)) if fold(n) not in taken)


def _positions(traits: xr.Dataset, regions: Any, trait: int | None) -> np.ndarray:
    """Positions along ``region``, checked."""
    if isinstance(regions, xr.Dataset | xr.DataArray):
        if "region" not in regions.coords:
            raise ValueError("This selection does not say which regions it holds: take it from explorer.selection.")
        regions = regions["region"].values
    found = np.unique(np.atleast_1d(np.asarray(list(regions) if not np.ndim(regions) else regions)))
    n = traits.sizes["region"]
    if not found.size:
        raise ValueError("No region is selected: choose one or more, or leave regions out to split by k-means.")
    if found.dtype.kind not in "iu" or found[0] < 0 or found[-1] >= n:
        raise ValueError(f"regions must be positions in the range [0, {n}). Got {regions!r} instead.")
    if trait is not None:
        foreign = found[traits["region_trait"].values[found] != trait]
        if foreign.size:
            raise ValueError(
                f"{foreign.size} of these regions are not of {names_of(traits)[trait]!r}: to take them from any trait, "
                "call split(traits, None, regions)."
            )
    return found


def _halved(traits: xr.Dataset, trait: int | None, seed: int) -> np.ndarray:
    """The part with less evidence of two that k-means makes of a trait's regions."""
    if trait is None:
        raise ValueError("Nothing to split: name a trait, or pass regions.")
    mine = np.flatnonzero(traits["region_trait"].values == trait)
    vectors = traits["region_vector"].values[mine].astype(np.float64)
    if len(np.unique(vectors, axis=0)) < 2:
        raise ValueError(f"{names_of(traits)[trait]!r} has {len(mine)} region: there is nothing to split.")
    weight = traits["region_cells"].values[mine]
    half = KMeans(2, n_init=10, random_state=seed).fit(vectors, sample_weight=weight).labels_
    evidence = np.bincount(half, traits["region_evidence"].values[mine], 2)
    return mine[half == evidence.argmin()]
