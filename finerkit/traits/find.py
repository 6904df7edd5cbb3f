"""Find the traits of a species, regions that argue for it, clustered across its photos; and find them in photos."""

from __future__ import annotations

import uuid
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from finerkit.base.checks import whole
from finerkit.base.names import resolve
from finerkit.base.provenance import origin_attrs
from finerkit.base.roles import references_of, species_coords, target_of
from finerkit.base.user_columns import MARK, derived_name
from finerkit.photos.read import usable
from finerkit.photos.tables import RESERVED
from finerkit.species.heads import Head
from finerkit.store import groups as disk
from finerkit.store.location import text
from finerkit.store.lock import writing
from finerkit.store.photo_paths import cell_places, photo_coords
from finerkit.store.study import study_of
from finerkit.traits.cells import Cells, Question, check_additive, discriminative_cells
from finerkit.traits.clusters import (
    Clusters,
    Space,
    bootstrap_stability,
    centres,
    choose_number,
    cluster,
    counts_clusters,
    find_space,
)
from finerkit.traits.place import cell_where
from finerkit.traits.regions import find_regions
from finerkit.traits.regroup import count
from finerkit.traits.saving import group_of, put, stored

if TYPE_CHECKING:
    from finerkit.networks import Model
    from finerkit.photos.masks import Masks


class Fit(NamedTuple):
    """What was learned from the target's photos: enough to find its traits in any photo."""

    question: Question
    space: Space
    clusters: Clusters
    share: float


def find_traits(
    comparison: xr.Dataset,
    strength: float = 1.0,
    n_traits: int | str = "auto",
    *,
    share: float = 0.5,
    method: str | Any = "kmeans",
    presence: float = 0.25,
    masks: Masks = None,
    study: xr.DataTree | None = None,
    model: Model | None = None,
    name: str | None = None,
    overwrite: bool = False,
    seed: int = 0,
) -> xr.Dataset:
    """Cluster the regions that argue for a species into its traits.

    In each photo the fewest cells that together hold `share` of the positive contrast are its discriminative cells.
    Their contribution vectors (``F[p] * (w_t - g sum_d r_d w_d) / P``, which add up to the contrast), at unit length
    and reduced to 32 principal components, are clustered over the target's photos: cells of one cluster argue for the
    target in the same way. Photos of the references, and of any other species in the comparison, are then scored in
    the same way: their discriminative cells go to the nearest cluster that reaches them.

    Parameters
    ----------
    comparison
        From `finerkit.compare`, with ``method="cam"``. Compare with ``images="all"`` for a trait-by-species matrix
        over all.
    strength
        Comparison strength. At 1 traits and remainder add up to the logit margin.
    n_traits
        How many; "auto" takes the most traits (up to 8) that are stable: the photos are halved ten times, each half is
        clustered on its own, and the two clusterings of all cells are compared (adjusted Rand index); the largest
        number whose mean index is within one standard error of the best is taken. The curve is in ``stability_curve``.
    share
        Share of a photo's positive evidence that its discriminative cells hold, in (0, 1].
    method
        "kmeans", "agglomerative", "hdbscan" (chooses the number itself), or a scikit-learn clustering estimator.
    presence
        A photo shows a trait if its evidence reaches this fraction of the median over the target's photos that have
        any.
    masks
        Animal masks, to tell background: a function or mapping from image id to a boolean (height, width) array, pixel
        by pixel with the upright original. Without them only the photo's border is looked at. They change no trait.
    study, model
        The comparison's study (from `finerkit.open_study`), where it cannot be found, and its model, where it cannot be
        loaded by name.
    name
        Of the group under ``/traits``. Default: made from the names of target and references.
    overwrite
        Replace traits of that name even if a person named, merged, split or marked some of them.
    seed
        Of clustering and resampling.

    Returns
    -------
    xarray.Dataset
        Per image and trait: ``trait_evidence`` (logits, the phenotype table), ``shows``. Per image: ``remainder``,
        ``margin`` (``trait_evidence.sum("trait") + remainder == margin``), the columns of the study's table (one whose
        name finerkit uses itself as ``table_<name>``), ``label`` (trait index of each cell, -1 none); coordinates are
        ``true_species``, ``path``, ``width``, ``height``, ``row`` (in the study) and where the grid lies:
        ``cell_left``, ``cell_top``, ``cell_width``, ``cell_height``. Per trait: ``share_of_margin`` (NaN
        where the margin is near zero or below), ``prevalence``,
        ``prevalence_by_species``, ``evidence_by_species`` (mean, in logits: what tells the species apart is what the
        target's photos have more of than the references'), ``stability``, ``off_animal`` (share of the evidence in
        cells farther than a cell from the animal; NaN without masks), ``border``, ``background`` (most of it lies off
        the animal, or at the border where there are no masks; see also `finerkit.test_background`),
        ``position_x``, ``position_y`` (0 to 1 over the animal's box, or over the photo without masks), ``exemplar``
        (ids, best first). ``species`` are the target, its references and the other species; ``role`` says which is
        which. Per region: ``region_image``, ``region_trait``, ``region_evidence``, ``region_cells``,
        ``region_box`` (left, top, right, bottom) and ``region_outline`` (JSON polygons), in pixels of the upright
        original; ``region_vector``, ``cell_region``. The coordinate ``trait`` holds the names; `finerkit.TraitExplorer`
        and `finerkit.traits.rename`, `merge`, `split` and `mark_background` change traits and count everything again.

    Raises
    ------
    ValueError
        If the comparison does not add up, has no positive evidence, is of another head than the study has now, or a
        parameter is out of range; or if traits of this name were edited by hand.

    Notes
    -----
    Writes ``/traits/<name>`` into the study. The order of the photos does not matter; the same seed gives the same
    answer.
    """
    _check(comparison, strength, n_traits, share, presence)
    study = study_of(comparison, study)
    named = comparison[["role"]].drop_attrs().assign_attrs({"name": name} if name else {})
    if not overwrite:
        _refuse_edited(study, named)
    question = question_of(study, comparison, float(strength))
    photos = _scored_photos(study, comparison)
    target = target_of(comparison)
    own = photos.isel(image=photos["species"].values == target)
    if not own.sizes["image"]:
        raise ValueError(f"There is no usable photo of {target!r} to find its traits in.")
    cells = discriminative_cells(study, own, question, share, model=model)
    if not len(cells.photo):
        raise ValueError(f"No cell argues for {target!r} at strength {strength:g}: try a smaller strength.")
    space = find_space(cells.vector)
    points = space.reduce(cells.vector)
    curve = None
    if n_traits == "auto" and counts_clusters(method):
        n_traits, curve = choose_number(points, cells.photo, method, seed)
    labels = cluster(points, method, None if n_traits == "auto" else n_traits, seed)
    if labels.max() < 0:
        raise ValueError("The clustering called every cell noise: try method='kmeans', or gentler settings.")
    fit = Fit(question, space, centres(points, labels, cells.evidence), share)
    stability = bootstrap_stability(points, cells.photo, fit.clusters, method, seed)
    found = _counted(study, comparison, photos, fit, masks, model, presence)
    found["stability"] = ("trait", stability, {"comment": "clusterwise Jaccard index over bootstraps of the photos"})
    if curve is not None:
        found["stability_curve"] = (("number", "statistic"), curve)
        found = found.assign_coords(statistic=np.array(["n_traits", "adjusted_rand", "standard_error"], object))
    found.attrs |= {
        **origin_attrs(comparison),
        **({"name": name} if name else {}),
        "strength": float(strength),
        "objective": question.objective,
        "share": share,
        "method": method if isinstance(method, str) else repr(method)[:500],
        "seed": seed,
        "found": uuid.uuid4().hex,  # tells these from others under the same name
    }
    return _keep(study, found, overwrite)


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
    if not photos.sizes["image"]:
        raise ValueError(
            "None of these photos can be searched: their 'status' says why. Pass images=fk.read_images(...)."
        )
    cells, label = score_photos(study, photos, fit_of(traits, study), model)
    size = np.stack([photos["width"].values, photos["height"].values], 1)
    ids = photos["image"].values
    found = find_regions(np.where(label == index, 0, -1), cells.maps, cell_places(study, photos), size, ids)
    species = photos["species"].values[photos.indexes["image"].get_indexer(found["region_image"].values)]
    table = pd.DataFrame(
        {
            "image": found["region_image"].values,
            "species": species,
            "evidence": found["region_evidence"].values,
            "cells": found["region_cells"].values,
            **dict(zip(found["side"].values, found["region_box"].values.T, strict=True)),
            "outline": found["region_outline"].values,
        }
    )
    table = table.sort_values("evidence", ascending=False, kind="stable", ignore_index=True)
    table.attrs = origin_attrs(traits)
    return table


def question_of(study: xr.DataTree, data: xr.Dataset, strength: float) -> Question:
    """What a comparison, or traits, contrast."""
    table = study["species"].to_dataset()
    head = Head(*(table[name].values for name in ("species", "weight", "bias")))
    return Question.of(head, [target_of(data), *references_of(data)], strength, data.attrs["objective"])


def score_photos(
    study: xr.DataTree, photos: xr.Dataset, fit: Fit, model: Model | None = None
) -> tuple[Cells, np.ndarray]:
    """Find the traits of a fit in photos: their discriminative cells, and the trait of every cell, -1 for none."""
    cells = discriminative_cells(study, photos, fit.question, fit.share, fit.space.reduce, model)
    label = np.full(cells.maps.shape, -1, np.int16)
    label[cells.photo, cells.y, cells.x] = fit.clusters.assign(cells.vector)
    return cells, label


def fit_of(traits: xr.Dataset, study: xr.DataTree) -> Fit:
    """Read back what `find_traits` learned."""
    space = Space(traits["axis_offset"].values, traits["axis"].values)
    clusters = Clusters(traits["centre"].values, traits["radius"].values, traits["cluster_trait"].values)
    return Fit(question_of(study, traits, traits.attrs["strength"]), space, clusters, traits.attrs["share"])


def _check(comparison: xr.Dataset, strength: float, n_traits: int | str, share: float, presence: float) -> None:
    check_additive(comparison, "find_traits")
    if not np.isfinite(strength) or strength < 0:
        raise ValueError(f"strength must be a number in the range [0, inf). Got {strength!r} instead.")
    if n_traits != "auto":
        whole(n_traits, "n_traits", hint="Or 'auto', which takes the most that are stable.")
    if not 0 < share <= 1:
        raise ValueError(f"share must be in the range (0, 1]. Got {share!r} instead.")
    if not presence > 0:
        raise ValueError(f"presence must be in the range (0, inf). Got {presence!r} instead.")


def _scored_photos(study: xr.DataTree, comparison: xr.Dataset) -> xr.Dataset:
    """Photos of the comparison and of its target and references, ordered by id, so that input order cannot matter."""
    images = study["images"].to_dataset()
    asked = np.isin(images["row"].values, comparison["row"].values)
    others = np.isin(images["species"].values, references_of(comparison))
    if not asked.any():
        raise ValueError("The comparison's photos are not part of the study: find traits of the study's own photos.")
    chosen = images.isel(image=usable(images) & (asked | others))
    return chosen.sortby("image")


def _counted(
    study: xr.DataTree,
    comparison: xr.Dataset,
    photos: xr.Dataset,
    fit: Fit,
    masks: Masks,
    model: Model | None,
    presence: float,
) -> xr.Dataset:
    """Find the traits in photos and count them."""
    cells, label = score_photos(study, photos, fit, model)
    roles = species_coords(target_of(comparison), references_of(comparison))
    place = cell_places(study, photos)
    rest = np.where(label < 0, cells.maps.astype(np.float64), 0).sum((1, 2)) + cells.constant
    signed = {"units": "logit", "comment": "signed, at this strength"}
    own = photos["species"].values == target_of(comparison)
    data = xr.Dataset(
        {
            "remainder": ("image", rest, {"units": "logit", "comment": "other cells, and the bias"}),
            "margin": ("image", cells.margin, {"units": "logit"}),
            "contrast": (("image", "y", "x"), cells.maps, signed),
            "cell_where": cell_where(cells, photos, place, own, masks),
        },
        {**photo_coords(study, photos, study.finerkit.grid), **roles},
        {"presence": presence},
    )
    source = np.full(label.shape, -1)
    source[cells.photo, cells.y, cells.x] = np.arange(len(cells.photo))
    traits = [f"trait {k + 1}" for k in range(len(fit.clusters.centre))]
    return count(data, label, traits, source, cells.vector).assign(
        {
            "centre": (("cluster", "component"), fit.clusters.centre),
            "radius": ("cluster", fit.clusters.radius),
            "cluster_trait": ("cluster", np.arange(len(traits)), {"comment": "trait whose cells lie near this centre"}),
            "axis": (("component", "feature"), fit.space.axes),
            "axis_offset": ("feature", fit.space.offset),
            **_columns(photos, traits),
        }
    )


def _columns(photos: xr.Dataset, traits: list[str]) -> dict[str, xr.Variable]:
    """The user's columns, by names that neither finerkit nor a column of the phenotype table has."""
    columns = [str(c) for c in photos.data_vars if c not in RESERVED and photos[c].dims == ("image",)]
    found: dict[str, xr.Variable] = {}
    for column in columns:
        taken = [*found, *(c for c in columns if c != column), *traits, *(f"shows: {t}" for t in traits)]
        variable = photos[column].variable.copy(deep=False)
        variable.attrs = {MARK: column}
        found[derived_name(column, taken)] = variable
    return found


def _keep(study: xr.DataTree, found: xr.Dataset, overwrite: bool) -> xr.Dataset:
    """Write the traits into the study, where it has a store that can be written."""
    path = study.finerkit.store
    found = found.assign_attrs(disk.provenance(**found.attrs))
    if path is None:
        return found
    found.attrs["store"] = text(path)
    try:
        with writing(path):
            disk.finish_replacing(path)
            if not overwrite:
                _refuse_edited(study, found)  # again: somebody may have named some meanwhile
            return put(path, found)
    except OSError as error:  # read-only, full, or another process is at it
        warnings.warn(f"The traits are kept in memory only, since the store cannot be written: {error}", stacklevel=3)
        return found


def _refuse_edited(study: xr.DataTree, attrs: xr.Dataset) -> None:
    """Raise ValueError if traits that a person worked on lie where these would be written."""
    path = study.finerkit.store
    there = stored(path, group_of(attrs)) if path is not None else None
    if there is None or not there.attrs.get("edited"):
        return
    name = group_of(attrs).partition("/")[2]
    raise ValueError(
        f"The traits {name!r} were named or changed by hand ({there.attrs['edited']} edits). Read them with "
        f"study.finerkit.trait({name!r}), choose another name=, or replace them with overwrite=True."
    )
