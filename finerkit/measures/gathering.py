"""Gather each photo's values as a Dataset of scores, with dims, units and sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from finerkit.derived import origin_attrs
from finerkit.measures.definitions import MAPS, MASK_METRICS, PER_IMAGE, PER_MAP, TRAIT_METRICS
from finerkit.measures.fills import FILLS
from finerkit.store import provenance

if TYPE_CHECKING:
    from finerkit.measures.photo_scores import Plan


def gathered(
    photos: xr.Dataset, maps: xr.DataArray, plan: Plan, values: list[dict[str, np.ndarray]], status: np.ndarray
) -> xr.Dataset:
    """Scores of all photos, NaN where there are none.

    Parameters
    ----------
    photos
        The comparison without its evidence.
    maps
        Its contrasts (image, strength, y, x).
    plan
        What was measured.
    values, status
        From `finerkit.measures.photo_scores.measure`.
    """
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
    for name in _per_image(plan):
        data[name] = ("image", np.array([float(v.get(name, np.nan)) for v in values]), PER_IMAGE[name].attrs())
    used = {d for variable in data.values() for d in variable[0] if isinstance(variable[0], tuple)}
    coords = {"image": photos["image"].values, "map_kind": np.array(list(MAPS), object), "strength": strengths}
    coords |= {"true_species": ("image", photos["true_species"].values), "status": ("image", status)}
    coords |= {dim: list(values) for dim, values in shares.items() if dim in used}
    return xr.Dataset(data, coords, _attrs(photos, maps, plan))


def _per_image(plan: Plan) -> list[str]:
    asked = set(plan.metrics)
    names = [] if plan.judge is None else ["probability", "probability_reference"]
    names += ["mask_share"] if asked & set(MASK_METRICS) else []
    return names + (["trait_share"] if asked & set(TRAIT_METRICS) else [])


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
