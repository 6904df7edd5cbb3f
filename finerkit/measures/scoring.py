"""Measure how good the maps of a comparison are, with masks where there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finerkit.evidence import chosen_references, contrast
from finerkit.images import warn_unusable
from finerkit.measures.definitions import MASK_METRICS, METRICS, NETWORK_METRICS, TRAIT_METRICS
from finerkit.measures.fills import FILLS
from finerkit.measures.gathering import gathered
from finerkit.measures.masking import Asked
from finerkit.measures.network import judge_of
from finerkit.measures.photo_scores import Plan, measure
from finerkit.names import choice, resolve
from finerkit.pairs import as_pair
from finerkit.preprocess import Preprocess
from finerkit.roles import species_coords, target_of
from finerkit.study import study_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr

    from finerkit.models import Model
    from finerkit.traits.place import Masks


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
    plan = _plan(comparison, metrics, top, steps, fill, seed, masks, trait_masks)
    if set(plan.metrics) & set(NETWORK_METRICS):
        plan = _with_network(plan, comparison, chosen[0], study, model, judge)
    photos = comparison.drop_vars("evidence").load()
    values, status = measure(photos, maps.values.astype(np.float64), plan, progress)
    scores = gathered(photos, maps, plan, values, status).assign_coords(species_coords(target_of(comparison), chosen))
    scores.attrs["nearest_reference"] = chosen[0]
    warn_unusable(scores, "could not be scored")
    return scores


def _chosen(comparison: xr.Dataset, images: str | Iterable[str] | xr.DataArray | None) -> xr.Dataset:
    comparison = as_pair(comparison)
    if images is None:
        return comparison
    known = [str(i) for i in comparison["image"].values]
    wanted = [images] if isinstance(images, str) else [str(i) for i in np.atleast_1d(getattr(images, "values", images))]
    if not wanted:
        raise ValueError("images is empty: name at least one photo, or leave it out for all of the comparison.")
    return comparison.sel(image=[resolve(w, known, "photo in this comparison") for w in dict.fromkeys(wanted)])


def _plan(
    comparison: xr.Dataset,
    metrics: str | Iterable[str],
    top: float | Iterable[float],
    steps: int,
    fill: str,
    seed: int,
    masks: Masks,
    trait_masks: Masks,
) -> Plan:
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
    shares = tuple(float(t) for t in np.atleast_1d(np.asarray(top, float)))
    if not shares or not all(0 < t <= 1 for t in shares):
        raise ValueError(f"top must be one or more shares in the range (0, 1]. Got {top!r} instead.")
    if not isinstance(steps, int | np.integer) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"steps must be an int in the range [1, inf). Got {steps!r} instead.")
    choice(fill, FILLS, "fill")
    curve = tuple(np.linspace(0, 1, int(steps) + 1))
    preprocess = Preprocess.from_attrs(comparison.attrs)
    return Plan(wanted, shares, curve, fill, seed, masks, trait_masks, preprocess)


def _with_network(
    plan: Plan,
    comparison: xr.Dataset,
    nearest: str,
    study: xr.DataTree | None,
    model: Model | None,
    judge_name: str,
) -> Plan:
    from finerkit.study_model import model_of

    wanted = frozenset(plan.metrics) & set(NETWORK_METRICS)
    study = study_of(comparison, study)
    model = model_of(study, model)
    judge = judge_of(study, held_out=judge_name == "held_out")
    positions = [judge.species.index(n) for n in (target_of(comparison), nearest)]
    asked = Asked(wanted, plan.top, plan.steps, *positions)
    return plan._replace(judge=judge, asked=asked, model=model)
