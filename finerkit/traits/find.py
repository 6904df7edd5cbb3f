"""Find the traits of a species: regions that argue for it, clustered across its photos."""

from __future__ import annotations

import uuid
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from finerkit import store as disk
from finerkit.columns import MARK, derived_name
from finerkit.derived import origin_attrs
from finerkit.image_tables import RESERVED
from finerkit.images import usable
from finerkit.lock import writing
from finerkit.places import text
from finerkit.roles import references_of, target_of
from finerkit.study import study_of
from finerkit.traits.cells import Cells, Question, discriminative_cells
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
from finerkit.traits.numbers import trait_numbers
from finerkit.traits.place import PLACES, Masks, cell_places, trait_places
from finerkit.traits.regions import Region, find_regions, region_table
from finerkit.traits.saving import group_of, put, stored

if TYPE_CHECKING:
    import xarray as xr

    from finerkit.models import Model


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
    scored = score_photos(study, photos, fit, model)
    found = _assemble(study, photos, scored, fit, (target, *references_of(comparison)), presence, masks)
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
        "presence": presence,
        "method": method if isinstance(method, str) else repr(method)[:500],
        "seed": seed,
        "found": uuid.uuid4().hex,  # tells these from others under the same name
    }
    return _keep(study, found, overwrite)


def question_of(study: xr.DataTree, data: xr.Dataset, strength: float) -> Question:
    """What a comparison, or traits, contrast."""
    names = [target_of(data), *references_of(data)]
    head = study["species"].to_dataset().sel(species=names)
    weight, bias = head["weight"].values.astype(np.float64), head["bias"].values.astype(np.float64)
    return Question(weight[0], weight[1:], bias, strength, data.attrs["objective"])


def score_photos(
    study: xr.DataTree, photos: xr.Dataset, fit: Fit, model: Model | None = None
) -> tuple[Cells, np.ndarray]:
    """Find the traits of a fit in photos: their discriminative cells, and each cell's trait (-1 for none)."""
    cells = discriminative_cells(study, photos, fit.question, fit.share, fit.space.reduce, model)
    return cells, fit.clusters.assign(cells.vector)


def fit_of(traits: xr.Dataset, study: xr.DataTree) -> Fit:
    """Read back what `find_traits` learned."""
    space = Space(traits["axis_offset"].values, traits["axis"].values)
    clusters = Clusters(traits["centre"].values, traits["radius"].values, traits["cluster_trait"].values)
    return Fit(question_of(study, traits, traits.attrs["strength"]), space, clusters, traits.attrs["share"])


def _check(comparison: xr.Dataset, strength: float, n_traits: int | str, share: float, presence: float) -> None:
    if comparison.attrs.get("method") != "cam":
        raise ValueError(
            "find_traits needs a comparison whose evidence adds up, from compare(..., method='cam'). "
            f"Got method={comparison.attrs.get('method')!r} instead."
        )
    if not np.isfinite(strength) or strength < 0:
        raise ValueError(f"strength must be a number in the range [0, inf). Got {strength!r} instead.")
    if n_traits != "auto" and (
        not isinstance(n_traits, int | np.integer) or isinstance(n_traits, bool) or n_traits < 1
    ):
        raise ValueError(f"n_traits must be 'auto' or an int in the range [1, inf). Got {n_traits!r} instead.")
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


def _assemble(
    study: xr.DataTree,
    photos: xr.Dataset,
    scored: tuple[Cells, np.ndarray],
    fit: Fit,
    names: tuple[str, ...],
    presence: float,
    masks: Masks,
) -> xr.Dataset:
    """Put everything that is known of the traits into one dataset; `names` are the target and its references."""
    cells, labels = scored
    n = len(fit.clusters.centre)
    ids, species = photos["image"].values, photos["species"].values
    label = np.full(cells.maps.shape, -1, np.int16)
    label[cells.photo, cells.y, cells.x] = labels
    rest = np.where(label < 0, cells.maps.astype(np.float64), 0).sum((1, 2)) + cells.constant
    own = (species == names[0]) & ~np.isnan(cells.maps).any((1, 2))
    place = cell_places(study, photos)
    size = np.stack([photos["width"].values, photos["height"].values], 1)
    data = trait_numbers(label, cells.maps, rest, ids, species, names[0], presence, n, names[1:]).assign(
        {
            "remainder": ("image", rest, {"units": "logit", "comment": "other cells, and the bias"}),
            "margin": ("image", _margins(study, photos, fit.question), {"units": "logit"}),
            "contrast": (("image", "y", "x"), cells.maps, {"units": "logit", "comment": "signed, at this strength"}),
            "centre": (("cluster", "component"), fit.clusters.centre),
            "radius": ("cluster", fit.clusters.radius),
            "cluster_trait": ("cluster", np.arange(n), {"comment": "trait whose cells lie near this centre"}),
            "axis": (("component", "feature"), fit.space.axes),
            "axis_offset": ("feature", fit.space.offset),
        }
    )
    data = data.assign_coords(
        image=ids, trait=np.array([f"trait {k + 1}" for k in range(n)], object), **_of_photos(photos, place)
    )
    data = data.assign(_columns(photos, [str(t) for t in data["trait"].values]))
    data = data.merge(trait_places(cells, labels, photos, place, own, masks, n))
    regions = find_regions(label, cells.maps, place, size, n)
    return data.merge(region_table(regions, ids, _region_vectors(cells, regions), label.shape[1:]))


def _of_photos(photos: xr.Dataset, place: np.ndarray) -> dict[str, tuple]:
    """Coordinates along ``image``: label, file, size, row in the study, and where the grid lies."""
    pixel = {"units": "pixel", "comment": "of the upright original photo"}
    found: dict[str, tuple] = {
        "true_species": ("image", photos["species"].values),
        "path": ("image", photos["path"].values),
        "row": ("image", photos["row"].values),
    }
    found |= {name: ("image", photos[name].values, pixel) for name in ("width", "height")}
    return found | {name: ("image", place[:, i], pixel) for i, name in enumerate(PLACES)}


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


def _region_vectors(cells: Cells, regions: list[Region]) -> np.ndarray:
    """Mean contribution vector of each region: (region, component)."""
    row = np.full(cells.maps.shape, -1)
    row[cells.photo, cells.y, cells.x] = np.arange(len(cells.photo))
    flat = row.reshape(len(row), -1)
    means = [cells.vector[flat[r.photo, r.where]].mean(0) for r in regions]
    return np.array(means, np.float32).reshape(-1, cells.vector.shape[1])


def _margins(study: xr.DataTree, photos: xr.Dataset, question: Question) -> np.ndarray:
    """Margin from the stored embeddings, independently of the maps: (image,)."""
    stored = study["features"].to_dataset()
    rows = stored["embedding"].isel(image=stored.indexes["image"].get_indexer(photos["image"].values)).values
    rows = rows.astype(np.float64)
    direction, constant = question.directions(rows)
    return (rows * direction).sum(1) + constant


def _keep(study: xr.DataTree, found: xr.Dataset, overwrite: bool) -> xr.Dataset:
    """Write the traits into the study, where it has a store that can be written."""
    path = study.finerkit.store
    found = found.assign_attrs(disk.provenance(**found.attrs))
    if path is None:
        return found
    found.attrs["store"] = text(path)
    try:
        with writing(path):
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
