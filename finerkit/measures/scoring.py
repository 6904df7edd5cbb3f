"""Measure how good the maps of a comparison are, with masks where there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from finerkit.base.checks import whole
from finerkit.base.names import choice, resolve
from finerkit.base.provenance import origin_attrs
from finerkit.base.roles import species_coords, target_of
from finerkit.base.text import typed_names
from finerkit.evidence.comparison import as_pair
from finerkit.evidence.contrast import chosen_references, contrast
from finerkit.measures.definitions import (
    MAPS,
    MASK_METRICS,
    METRICS,
    NETWORK_METRICS,
    PER_IMAGE,
    PER_MAP,
    TRAIT_METRICS,
)
from finerkit.measures.fills import FILLS
from finerkit.measures.masking import Plan, judge_of
from finerkit.measures.photo_scores import measure
from finerkit.photos.preprocess import Preprocess
from finerkit.photos.read import warn_unusable
from finerkit.store.groups import provenance
from finerkit.store.study import study_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from finerkit.networks import Model
    from finerkit.photos.masks import Masks


#: Which head gives the probabilities.
JUDGES = ("trained", "held_out")


def score(
    comparison: xr.Dataset,
    strength: float | Iterable[float] = (0.0, 0.6, 1.0),
    metrics: str | Iterable[str] = NETWORK_METRICS,
    *,
    study: xr.DataTree | None = None,
    model: Model | None = None,
    masks: Masks = None,
    trait_masks: Masks = None,
    top: float | Iterable[float] = (0.01, 0.05, 0.10),
    fill: str = "mean",
    judge: str = "trained",
    steps: int = 10,
    objective: str | None = None,
    references: Iterable[str] | None = None,
    images: str | Iterable[str] | xr.DataArray | None = None,
    seed: int = 0,
    progress: bool = True,
) -> xr.Dataset:
    """Measure the maps of a comparison, photo by photo, beside two baselines.

    Parameters
    ----------
    comparison
        From `finerkit.compare`.
    strength
        One or several comparison strengths.
    metrics
        Some of "relative_drop", "margin_drop" (the same in logits), "deletion", "insertion" (which run the network on
        masked photos: 1 forward pass per share in `top` for both drops, 9 each for a curve of 10 steps, for every
        strength and both baselines), "energy", "pointing"
        (which need `masks`), "trait_precision", "trait_recall", "average_precision" (which need `trait_masks`).
    study
        The study of the comparison (from `finerkit.open_study`), where the network runs. Default: where the comparison
        is kept.
    model
        The study's model, needed only if the network has to run and cannot be loaded by its name.
    masks
        Where the animal is: a function or a mapping from image id to a boolean (height, width) array of the upright
        photo. Photos without one (None, or no entry) are NaN.
    trait_masks
        Where the trait is that tells the target from its look-alikes; given like `masks`.
    top
        Shares of the pixels, in (0, 1], for the relative drop (of the network's input) and for precision and recall (of
        the photo).
    fill
        What stands in for hidden pixels: "mean", the network's mean colour; "blur", the blurred photo; "inpaint", a
        smooth surface through the pixels around, which adds no edge that the network could take for a trait.
    judge
        Whose probabilities: "trained", those of the head that is explained, which has seen the study's photos and may
        be so sure of them that little can move; "held_out", those of the study's cross-validated heads, fitted again,
        each asked only of photos that it has not seen (photos that have none are NaN).
    steps
        Number of steps of the deletion and insertion curves.
    objective, references
        See `finerkit.contrast`. The first reference is the one whose drop counts against the target's.
    images
        Ids of some of the comparison's photos; by default all.
    seed
        Of the random baseline.
    progress
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        The metrics, as (image, map_kind, strength), and where they need it ``top`` or ``step``; a curve comes with its
        area, such as ``deletion_area``. ``map_kind`` is "contrast", "random" or "edge" (the same at all strengths). Per
        image: ``probability`` and ``probability_reference`` (of the whole photo), ``mask_share``, ``trait_share``;
        coordinates are ``status`` and ``true_species``. ``empty(image, map_kind, strength)`` marks maps without
        positive evidence, which are NaN, as are photos that could not be used. Every variable says how it is defined
        (``definition``, ``units``); attrs say fill and seed, ``role(species)`` which species is the target and which
        are references. ``scores.mean("image")`` is the table to report.

    Raises
    ------
    TypeError
        If it is given no comparison.
    ValueError
        If a metric lacks what it needs (masks, or the study), or a parameter is out of range.

    Notes
    -----
    Pixels are ranked by the relu map, upsampled bilinearly, and among those where it is zero by the signed evidence;
    ties go row by row. Masked photos are no photos: a network may react to the masking itself, so report the fill and
    compare with the baselines, which are masked in the same way.

    Sources: Finer-CAM (relative drop; Zhang et al., CVPR 2025), RISE (deletion, insertion; Petsiuk et al., BMVC 2018),
    pointing game (Zhang et al., IJCV 2018), energy (Wang et al., CVPRW 2020).
    """
    comparison = _chosen(comparison, images)
    chosen = chosen_references(comparison, references)
    maps = contrast(comparison, np.atleast_1d(np.asarray(strength, float)), objective, references=chosen, relu=False)
    choice(judge, JUDGES, "judge")
    curve = tuple(np.linspace(0, 1, whole(steps, "steps") + 1))
    wanted, preprocess = _metrics(metrics, masks, trait_masks), Preprocess.from_attrs(comparison.attrs)
    plan = Plan(wanted, _shares(top), curve, choice(fill, FILLS, "fill"), seed, masks, trait_masks, preprocess)
    if set(wanted) & set(NETWORK_METRICS):
        from finerkit.networks.of_study import model_of  # imports torch

        study = study_of(comparison, study)
        asked = judge_of(study, held_out=judge == "held_out")
        both = tuple(asked.species.index(name) for name in (target_of(comparison), chosen[0]))
        plan = plan._replace(judge=asked, both=both, model=model_of(study, model))
    photos = comparison.drop_vars("evidence").load()
    values, status = measure(photos, maps.values.astype(np.float64), plan, progress)
    scores = _gathered(photos, maps, plan, values, status).assign_coords(species_coords(target_of(comparison), chosen))
    scores.attrs["nearest_reference"] = chosen[0]
    warn_unusable(scores, "could not be scored")
    return scores


def _chosen(comparison: xr.Dataset, images: str | Iterable[str] | xr.DataArray | None) -> xr.Dataset:
    comparison = as_pair(comparison)
    if images is None:
        return comparison
    known = [str(i) for i in comparison["image"].values]
    wanted = typed_names(images)
    if not wanted:
        raise ValueError("images is empty: name at least one photo, or leave it out for all of the comparison.")
    return comparison.sel(image=[resolve(w, known, "photo in this comparison") for w in dict.fromkeys(wanted)])


def _metrics(metrics: str | Iterable[str], masks: Masks, trait_masks: Masks) -> tuple[str, ...]:
    wanted = [metrics] if isinstance(metrics, str) else list(metrics)
    wanted = tuple(dict.fromkeys(choice(m, METRICS, "metrics") for m in wanted))
    if not wanted:
        raise ValueError(f"metrics is empty: name some of {', '.join(map(repr, METRICS))}.")
    for group, given, name in ((MASK_METRICS, masks, "masks"), (TRAIT_METRICS, trait_masks, "trait_masks")):
        lacking = [m for m in wanted if m in group]
        if lacking and given is None:
            raise ValueError(
                f"{lacking[0]!r} needs to know where to look: pass {name}=, a function or mapping from image id to a "
                "boolean (height, width) array."
            )
    return wanted


def _shares(top: float | Iterable[float]) -> tuple[float, ...]:
    shares = tuple(float(t) for t in np.atleast_1d(np.asarray(top, float)))
    if not shares or not all(0 < t <= 1 for t in shares):
        raise ValueError(f"top must be one or more shares in the range (0, 1]. Got {top!r} instead.")
    return shares


def _gathered(
    photos: xr.Dataset, maps: xr.DataArray, plan: Plan, values: list[dict[str, np.ndarray]], status: np.ndarray
) -> xr.Dataset:
    """Scores of all photos, NaN where there are none; `values` and `status` are from `measure`."""
    strengths = maps["strength"].values
    per_map = [*plan.metrics, *(f"{m}_area" for m in plan.metrics), "empty"]
    shares = {"top": plan.top, "step": plan.steps}
    data: dict[str, Any] = {}
    for name in (v for v in PER_MAP if v in per_map):
        dim = PER_MAP[name].dim
        more = {dim: len(shares[dim])} if dim else {}
        missing = np.full((len(strengths) + 2, *more.values()), np.nan)
        table = np.stack([_by_map(v.get(name, missing), len(strengths)) for v in values])
        data[name] = (("image", "map_kind", "strength", *more), table, PER_MAP[name].attrs())
    groups = (NETWORK_METRICS, NETWORK_METRICS, MASK_METRICS, TRAIT_METRICS)
    for (name, what), group in zip(PER_IMAGE.items(), groups, strict=True):
        if set(group) & set(plan.metrics):
            data[name] = ("image", np.array([float(v.get(name, np.nan)) for v in values]), what.attrs())
    coords = {"image": photos["image"].values, "map_kind": np.array(list(MAPS), object), "strength": strengths}
    coords |= {"true_species": ("image", photos["true_species"].values), "status": ("image", status)}
    coords |= {dim: [*share] for dim, share in shares.items() if any(dim in dims for dims, *_ in data.values())}
    return xr.Dataset(data, coords, _attrs(photos, maps, plan))


def _by_map(flat: np.ndarray, strengths: int) -> np.ndarray:
    """(strengths + random + edge, ...) as (map_kind, strength, ...): baselines are the same at every strength."""
    baselines = np.broadcast_to(flat[strengths:, None], (2, strengths, *flat.shape[1:]))
    return np.concatenate([flat[None, :strengths], baselines])


def _attrs(comparison: xr.Dataset, maps: xr.DataArray, plan: Plan) -> dict[str, Any]:
    kept = ("method", "layer", "additive", "model", "weights_hash", "head", "image_size", "fit")
    facts = {k: comparison.attrs[k] for k in kept if k in comparison.attrs}
    return provenance(
        **facts,
        **origin_attrs(comparison),
        objective=maps.attrs["objective"],
        **({} if plan.judge is None else {"judge": "trained" if plan.judge.held_out is None else "held_out"}),
        fill=plan.fill,
        fill_definition=FILLS[plan.fill],
        maps="; ".join(f"{name}: {what}" for name, what in MAPS.items()),
        seed=plan.seed,
    )
