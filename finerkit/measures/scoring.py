"""How good the maps of a comparison are: it enters, with masks where there are any; a Dataset of scores leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from finerkit.batches import run_photos
from finerkit.evidence import contrast
from finerkit.images import warn_unusable
from finerkit.measures.definitions import (
    MAPS,
    MASK_METRICS,
    METRICS,
    NETWORK_METRICS,
    PER_IMAGE,
    PER_MAP,
    TRAIT_METRICS,
)
from finerkit.measures.fills import FILLS, filler
from finerkit.measures.maps import edge_map, random_map, ranking, upsample
from finerkit.measures.masking import Asked, masking_scores
from finerkit.measures.network import Judge, judge_of, study_of
from finerkit.measures.places import Maps, animal_scores, trait_scores
from finerkit.names import choice, resolve
from finerkit.pairs import as_pair
from finerkit.preprocess import Placement, Preprocess
from finerkit.store import provenance
from finerkit.traits.place import mask_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from finerkit.models import Model
    from finerkit.traits.place import Masks


#: Which head gives the probabilities.
JUDGES = ("trained", "held_out")


class Plan(NamedTuple):
    """What is to be measured, checked."""

    metrics: tuple[str, ...]
    top: tuple[float, ...]
    steps: tuple[float, ...]
    fill: str
    seed: int
    masks: Masks
    trait_masks: Masks
    preprocess: Preprocess
    judge: Judge | None
    asked: Asked | None


def score(
    comparison: xr.Dataset,
    strength: float | Iterable[float] = (0.0, 0.6, 1.0),
    metrics: str | Iterable[str] = NETWORK_METRICS,
    *,
    study: xr.DataTree | str | os.PathLike[str] | None = None,
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
        The study of the comparison, or its path, where the network runs. Default: where the comparison is kept.
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
        The metrics, as (image, map, strength), and where they need it ``top`` or ``step``; a curve comes with its area,
        such as ``deletion_area``. ``map`` is "contrast", "random" or "edge" (the same at all strengths). Per image:
        ``status``, ``true_species``, ``probability`` and ``probability_reference`` (of the whole photo),
        ``mask_share``, ``trait_share``. ``empty(image, map, strength)`` marks maps without positive evidence, which are
        NaN, as are photos that could not be used. Every variable says how it is defined (``definition``, ``units``);
        attrs say target, references, fill and seed. ``scores.mean("image")`` is the table to report.

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
    maps = contrast(
        comparison, np.atleast_1d(np.asarray(strength, float)), objective, references=references, relu=False
    )
    choice(judge, JUDGES, "judge")
    plan = _plan(comparison, metrics, top, steps, fill, seed, masks, trait_masks)
    if set(plan.metrics) & set(NETWORK_METRICS):
        plan = _with_network(plan, comparison, maps.attrs["references"][0], study, model, judge)
    photos = comparison.drop_vars("evidence").load()
    values, status = _measure(photos, maps.values.astype(np.float64), plan, progress)
    scores = _dataset(photos, maps, plan, values, status)
    warn_unusable(scores, "could not be scored")
    return scores


# --- what is asked ---


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
    return Plan(wanted, shares, curve, fill, seed, masks, trait_masks, preprocess, None, None)


def _with_network(
    plan: Plan,
    comparison: xr.Dataset,
    nearest: str,
    study: xr.DataTree | str | os.PathLike[str] | None,
    model: Any,
    judge_name: str,
) -> Plan:
    wanted = frozenset(plan.metrics) & set(NETWORK_METRICS)
    judge = judge_of(study_of(comparison, study, repr(min(wanted))), model, held_out=judge_name == "held_out")
    positions = [judge.species.index(n) for n in (comparison.attrs["target"], nearest)]
    return plan._replace(judge=judge, asked=Asked(wanted, plan.top, plan.steps, *positions))


# --- measuring ---


def _measure(
    photos: xr.Dataset, signed: np.ndarray, plan: Plan, progress: bool
) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """For each photo its values by name, over (strengths, random, edge); and every photo's status."""
    ids = photos["image"].values.astype(str)
    status = photos["status"].values.astype(object)
    values: list[dict[str, np.ndarray]] = [{} for _ in ids]
    todo = np.flatnonzero((status == "ok") & np.isfinite(signed).all((1, 2, 3)))
    status[(status == "ok") & ~np.isfinite(signed).all((1, 2, 3))] = "its evidence is not finite"
    with tqdm(total=len(todo), desc="scores", unit="photo", disable=not progress, delay=1) as bar:
        for at, pixels, reason in _photos(photos["path"].values[todo], plan.preprocess):
            i = todo[at]
            if pixels is None:
                status[i] = reason
            else:
                values[i], status[i] = _one(pixels, signed[i], ids[i], photos.isel(image=i), plan)
            bar.update()
    return values, status


def _photos(paths: np.ndarray, preprocess: Preprocess) -> Iterator[tuple[int, np.ndarray | None, str]]:
    """Position, pixels and, if there are none, the reason why."""
    for indices, pixels, failed, _ in run_photos([paths], preprocess):
        for i, reason in failed.items():
            yield i, None, reason
        for i, one in zip(indices, pixels, strict=True):
            yield i, one, ""


def _one(
    pixels: np.ndarray, signed: np.ndarray, image: str, photo: xr.Dataset, plan: Plan
) -> tuple[dict[str, np.ndarray], str]:
    """All values of one photo, and its status: "ok", or what is wrong with its masks."""
    baselines = np.stack([random_map(image, signed.shape[1:], plan.seed), edge_map(pixels, signed.shape[1:])])
    signed = np.concatenate([signed, baselines])
    shown = np.maximum(signed, 0)
    empty = ~(shown.sum((1, 2)) > 0)
    shown[empty] = np.nan
    out: dict[str, np.ndarray] = {"empty": empty.astype(float)}
    judge = None if plan.judge is None else plan.judge.of(image)
    if judge is not None and plan.asked is not None:
        keys = ranking(upsample(shown, pixels.shape[:2]), upsample(signed, pixels.shape[:2]))
        keys[empty] = np.nan
        hide = filler(pixels, plan.fill, plan.preprocess.mean)
        out |= masking_scores(pixels, keys, plan.asked, judge, hide)
    maps = Maps(shown, signed, Placement(*(photo[f"cell_{n.removeprefix('cell_')}"].item() for n in Placement._fields)))
    problems = []
    if plan.judge is not None and judge is None:
        problems.append("no cross-validated head of the study knows all species but not this photo")
    for masks, group in ((plan.masks, MASK_METRICS), (plan.trait_masks, TRAIT_METRICS)):
        if not set(group) & set(plan.metrics):
            continue
        try:
            mask = mask_of(masks, image, photo)
        except (ValueError, OSError) as error:
            problems.append(str(error))
            continue
        if mask is not None:
            out |= animal_scores(maps, mask) if group is MASK_METRICS else trait_scores(maps, mask, plan.top)
    return out, "; ".join(problems) or "ok"


# --- gathering ---


def _dataset(
    photos: xr.Dataset, maps: xr.DataArray, plan: Plan, values: list[dict[str, np.ndarray]], status: np.ndarray
) -> xr.Dataset:
    strengths = maps["strength"].values
    per_map = [*plan.metrics, *(f"{m}_area" for m in plan.metrics), "empty"]
    shares = {"top": plan.top, "step": plan.steps}
    data: dict[str, Any] = {}
    for name in (v for v in PER_MAP if v in per_map):
        dim = PER_MAP[name].dim
        more = {dim: len(shares[dim])} if dim else {}
        missing = np.full((len(strengths) + 2, *more.values()), np.nan)
        table = np.stack([_by_map(v.get(name, missing), len(strengths)) for v in values])
        data[name] = (("image", "map", "strength", *more), table, PER_MAP[name].attrs())
    for name in _per_image(plan):
        data[name] = ("image", np.array([float(v.get(name, np.nan)) for v in values]), PER_IMAGE[name].attrs())
    data["true_species"] = ("image", photos["true_species"].values)
    data["status"] = ("image", status)
    used = {d for variable in data.values() for d in variable[0] if isinstance(variable[0], tuple)}
    coords = {"image": photos["image"].values, "map": list(MAPS), "strength": strengths}
    coords |= {dim: list(values) for dim, values in shares.items() if dim in used}
    return xr.Dataset(data, coords, _attrs(photos, maps, plan))


def _per_image(plan: Plan) -> list[str]:
    asked = set(plan.metrics)
    names = [] if plan.judge is None else ["probability", "probability_reference"]
    names += ["mask_share"] if asked & set(MASK_METRICS) else []
    return names + (["trait_share"] if asked & set(TRAIT_METRICS) else [])


def _by_map(flat: np.ndarray, strengths: int) -> np.ndarray:
    """(strengths + random + edge, ...) as (map, strength, ...): baselines are the same at every strength."""
    baselines = np.broadcast_to(flat[strengths:, None], (2, strengths, *flat.shape[1:]))
    return np.concatenate([flat[None, :strengths], baselines])


def _attrs(comparison: xr.Dataset, maps: xr.DataArray, plan: Plan) -> dict[str, Any]:
    kept = ("target", "method", "layer", "additive", "model", "weights_hash", "head", "image_size", "fit")
    facts = {k: comparison.attrs[k] for k in kept if k in comparison.attrs}
    return provenance(
        **facts,
        references=maps.attrs["references"],
        nearest_reference=maps.attrs["references"][0],
        objective=maps.attrs["objective"],
        **({} if plan.judge is None else {"judge": "trained" if plan.judge.held_out is None else "held_out"}),
        fill=plan.fill,
        fill_definition=FILLS[plan.fill],
        maps=[f"{name}: {what}" for name, what in MAPS.items()],
        seed=plan.seed,
    )
