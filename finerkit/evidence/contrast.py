"""Compute evidence and contrasts, in logits, from features or stored evidence. No torch, no disk.

Evidence of class k at grid cell p, for features F just before a mean pool over P cells (Zhou et al. 2016, CAM)::

    E_k[p] = w_k . F[p] / P          sum_p E_k[p] + b_k = y_k, the logit, exactly

Contrast (Finer-CAM, Zhang et al., CVPR 2025, arXiv 2501.11309) of target t with references R, weights r, strength g::

    M_g[p] = E_t[p] - g * sum_d r_d E_d[p]          linear before the relu
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.special import softmax

from finerkit.base.names import choice, resolve
from finerkit.base.roles import references_of, target_of
from finerkit.base.text import typed_names
from finerkit.evidence.comparison import as_pair

if TYPE_CHECKING:
    from collections.abc import Iterable

OBJECTIVES = ("mean", "softmax", "official")

#: The paper's default comparison strength.
DEFAULT_STRENGTH = 0.6


def cam_evidence(features: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Evidence of classes whose logits are linear in the mean of the cells.

    Parameters
    ----------
    features
        (image, y, x, feature), any float type.
    weight
        (class, feature).

    Returns
    -------
    numpy.ndarray
        float32 (image, class, y, x), in logits: summed over the cells it is the logit without its bias.
    """
    images, rows, columns, channels = features.shape
    cells = features.reshape(images, rows * columns, channels).astype(np.float32)
    scaled = (weight / (rows * columns)).astype(np.float32)
    return np.matmul(scaled, cells.transpose(0, 2, 1)).reshape(images, len(weight), rows, columns)


def reference_weights(
    pair: xr.Dataset, objective: str | None = None, references: Iterable[str] | None = None
) -> xr.DataArray:
    """Weight of each reference class in the contrast, per image.

    Parameters
    ----------
    pair
        A comparison, from `finerkit.compare`.
    objective
        "mean": 1 / number of references (the paper). "softmax": the softmax over the references' logits, held constant.
        "official": what the authors' code and the package grad-cam differentiate, the softmax included; its gradient is
        that of ``sum_d r_d y_d``, hence weights ``r_d (1 + y_d - sum_e r_e y_e)``, which also sum to 1. Default: the
        comparison's own.
    references
        Some of the comparison's references; by default all.

    Returns
    -------
    xarray.DataArray
        (image, species) over the chosen references; sums to 1 over ``species``. What the comparison knows of its
        photos stays as coordinates along ``image``.
    """
    pair = as_pair(pair)
    objective = choice(objective or pair.attrs.get("objective", "mean"), OBJECTIVES, "objective")
    names = chosen_references(pair, references)
    logit = pair["logit"].sel(species=names).transpose("image", "species").astype(np.float64)
    return logit.copy(data=objective_weights(logit.values, objective)).rename("reference_weight").drop_attrs()


def objective_weights(logits: np.ndarray, objective: str) -> np.ndarray:
    """Weights of the references, from their logits (image, reference), same shape; see `reference_weights`."""
    if objective == "mean":
        return np.full(logits.shape, 1 / logits.shape[1])
    r = softmax(logits, axis=1)
    if objective == "softmax":
        return r
    return r * (1 + logits - (r * logits).sum(1, keepdims=True))


def contrast(
    pair: xr.Dataset,
    strength: float | Iterable[float] = DEFAULT_STRENGTH,
    objective: str | None = None,
    *,
    references: Iterable[str] | None = None,
    relu: bool = True,
    normalize: bool = False,
) -> xr.DataArray:
    """Contrast the target with its references at one or several comparison strengths.

    Lazy where the evidence is; linear in the strength before the relu, so no forward pass is needed.

    Parameters
    ----------
    pair
        A comparison, from `finerkit.compare`.
    strength
        Comparison strength, 0 (ordinary class activation map) or more. At 1 with ``relu=False`` and the objective
        "mean", an additive comparison's cells add up to the logit margin, less the bias difference.
    objective
        How the references are weighted, see `reference_weights`. Default: the comparison's own.
    references
        Some of the comparison's references; by default all.
    relu
        Keep only what argues for the target. False keeps the sign.
    normalize
        Divide each map by its own largest absolute value (a map of zeros stays zeros). Scaled maps can no longer be
        added or compared.

    Returns
    -------
    xarray.DataArray
        (image, strength, y, x) in logits, or (image, y, x) for a single number. What the comparison knows of its photos
        stays as coordinates along ``image``. The attrs say target and references in words.

    Raises
    ------
    ValueError
        If a strength is negative or not finite, or a reference is not part of the comparison.
    """
    pair = as_pair(pair)
    strengths = _strengths(strength)
    if strengths.ndim != 1 or not strengths.size or not np.all(np.isfinite(strengths)) or strengths.min() < 0:
        raise ValueError(f"strength must be one or more numbers in the range [0, inf). Got {strength!r} instead.")
    names = chosen_references(pair, references)
    evidence = pair["evidence"].sel(species=[target_of(pair), *names])
    weights = reference_weights(pair, objective, names).values
    against = -strengths[None, :, None] * weights[:, None]
    coefficient = np.concatenate([np.ones((*against.shape[:2], 1)), against], -1).astype(evidence.dtype)
    coefficient = xr.DataArray(coefficient, {"strength": strengths}, ("image", "strength", "species"))
    maps = xr.dot(evidence, coefficient, dim="species").transpose("image", "strength", "y", "x")
    if relu:
        maps = maps.clip(min=0)
    if normalize:
        top = np.abs(maps).max(("y", "x"))
        maps = maps / top.where(top > 0, 1)
    if np.ndim(strength) == 0:
        maps = maps.isel(strength=0)
    maps.name = "contrast"
    maps.attrs = {
        "long_name": "contrast of evidence",
        "units": "share of the map's maximum" if normalize else "logit",
        "target": target_of(pair),
        "references": ", ".join(names),
        "objective": objective or pair.attrs.get("objective", "mean"),
        "relu": int(relu),
        "normalized": int(normalize),
    }
    return maps


def _strengths(strength: float | Iterable[float]) -> np.ndarray:
    try:
        listed = strength if hasattr(strength, "dtype") or np.isscalar(strength) else list(strength)
        return np.atleast_1d(np.asarray(listed, np.float64))
    except (TypeError, ValueError):
        raise ValueError(f"strength must be one or more numbers. Got {strength!r} instead.") from None


def chosen_references(pair: xr.Dataset, references: Iterable[str] | None) -> list[str]:
    """Return names of the comparison's references: all of them, or those that are asked for."""
    known = references_of(pair)
    if references is None:
        return known
    wanted = typed_names(references)
    if wanted is None:
        raise TypeError(
            f"references are names of species in this comparison, or None for all. Got {references!r} instead."
        )
    if not wanted:
        raise ValueError(f"At least one reference is needed. This comparison holds {', '.join(map(repr, known))}.")
    hint = "Others need their own fk.compare(...)."
    return list(dict.fromkeys(resolve(r, known, "reference in this comparison", hint) for r in wanted))
