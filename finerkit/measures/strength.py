"""Suggest the comparison strength with the largest relative drop, and test it on held-out photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from finerkit.base.roles import target_of
from finerkit.measures.scoring import score

if TYPE_CHECKING:
    from collections.abc import Iterable

    from finerkit.networks import Model

#: Strengths that are tried by default.
TRIED = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0)


def suggest_strength(
    comparison: xr.Dataset,
    strength: Iterable[float] = TRIED,
    *,
    study: xr.DataTree | None = None,
    model: Model | None = None,
    top: float = 0.05,
    fill: str = "mean",
    objective: str | None = None,
    references: Iterable[str] | None = None,
    images: str | Iterable[str] | xr.DataArray | None = None,
    seed: int = 0,
    progress: bool = True,
) -> xr.Dataset:
    """Choose the comparison strength by the relative drop on one half of the photos, and test it on the other.

    Parameters
    ----------
    comparison
        From `finerkit.compare`.
    strength
        Strengths to try. 0, an ordinary class activation map, is always among them.
    study, model, fill, objective, references, images
        See `finerkit.score`.
    top
        Share of the pixels that is hidden.
    seed
        Of the split of the photos, and of the random baseline.
    progress
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        ``mean_drop(half, strength)`` and ``standard_error(half, strength)`` of the relative drop, where ``half`` is
        "choose" or "evaluate"; ``n_photos(half)``. Scalars: ``suggested``, the strength with the largest mean over the
        half "choose" (the smallest of equals); ``held_out`` and ``held_out_at_0``, means over the half "evaluate" at
        that strength and at 0; ``gain``, their difference, with ``gain_standard_error`` (paired by photo).
        ``baseline(map_kind)``: held-out means of "random" and "edge". Per photo: ``relative_drop(image, strength)``,
        ``half_of(image)``. Attrs as in `finerkit.score`.

    Raises
    ------
    ValueError
        If fewer than two photos can be used, or as `finerkit.score`.

    Notes
    -----
    Only photos of the target count, if the comparison has any. A map without positive evidence points at nothing: its
    drop counts as 0. The curve is often flat: look at it, and at the standard errors, before preferring one strength.
    """
    tried = np.unique([0.0, *np.atleast_1d(np.asarray(strength, float))])
    scores = score(
        comparison, tried, "relative_drop", study=study, model=model, top=float(top), fill=fill,
        objective=objective, references=references, images=images, seed=seed, progress=progress,
    )  # fmt: skip
    scores = scores.isel(image=scores["status"].values == "ok").isel(top=0, drop=True)
    own = scores["true_species"].values == target_of(scores)
    scores = scores.isel(image=own) if own.any() else scores
    if scores.sizes["image"] < 2:
        raise ValueError(
            f"At least two photos are needed, one to choose by and one to evaluate on. Got {scores.sizes['image']} "
            "that can be used: compare more photos, with fk.compare(..., images=...)."
        )
    drops = scores["relative_drop"].where(scores["empty"] == 0, 0)
    roles = {name: scores[name] for name in ("species", "role")}
    attrs = scores.attrs | {"top": float(top), "seed": seed}
    return _summary(drops, _halves(scores["image"].values, seed), attrs).assign_coords(roles)


def _halves(images: np.ndarray, seed: int) -> np.ndarray:
    """Half of each photo, whatever their order; the larger half, if one is, evaluates."""
    order = np.argsort(images.astype(str))
    half = np.full(len(images), "evaluate", object)
    half[order[np.random.default_rng(seed).permutation(len(images))[: len(images) // 2]]] = "choose"
    return half


def _summary(drops: xr.DataArray, half: np.ndarray, attrs: dict) -> xr.Dataset:
    own = drops.sel(map_kind="contrast", drop=True)
    halves = own.assign_coords(half=("image", half)).groupby("half")
    mean = halves.mean("image")
    best = mean.sel(half="choose").argmax("strength").item()
    held = own.isel(image=half == "evaluate")
    gain = held.isel(strength=best, drop=True) - held.sel(strength=0, drop=True)
    baselines = drops.sel(map_kind=["random", "edge"]).isel(strength=0, drop=True, image=half == "evaluate")
    probabilities = {
        "mean_drop": mean,
        "standard_error": halves.map(_standard_error),
        "held_out": held.isel(strength=best, drop=True).mean(),
        "held_out_at_0": held.sel(strength=0, drop=True).mean(),
        "gain": gain.mean(),
        "gain_standard_error": _standard_error(gain),
        "baseline": baselines.mean("image"),
    }
    return xr.Dataset(
        {
            **{name: values.assign_attrs(units="probability") for name, values in probabilities.items()},
            "n_photos": ("half", [(half == name).sum() for name in mean["half"].values]),
            "suggested": float(own["strength"][best]),
            "relative_drop": own.assign_attrs(drops.attrs),
            "half_of": ("image", half),
        },
        attrs=attrs,
    )


def _standard_error(values: xr.DataArray) -> xr.DataArray:
    """Of the mean over photos; NaN for a single one."""
    n = values.sizes["image"]
    return values.std("image", ddof=1) / n**0.5 if n > 1 else values.mean("image") * np.nan
