"""Count what traits hold, from the trait of each cell and the contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from finerkit.roles import species_coords

if TYPE_CHECKING:
    from collections.abc import Iterable

EXEMPLARS = 8

#: Shares are of a margin that is at least this part of all that argues for the target; near zero they mean nothing.
LEAST_MARGIN = 0.1


def trait_numbers(
    label: np.ndarray,
    maps: np.ndarray,
    remainder: np.ndarray,
    images: np.ndarray,
    species: np.ndarray,
    target: str,
    presence: float,
    n_traits: int,
    references: Iterable[str] = (),
) -> xr.Dataset:
    """Count what traits hold, per photo and over species.

    Parameters
    ----------
    label
        (image, y, x) index of the trait of each cell, -1 for none.
    maps
        (image, y, x) signed contrast in logits; NaN in photos that failed.
    remainder
        (image,) what the other cells and the bias add, in logits.
    images, species
        (image,) ids, and the species of each.
    target
        Whose traits they are.
    presence
        See `finerkit.find_traits`.
    n_traits
        Number of traits.
    references
        Species that the target is compared with.

    Returns
    -------
    xarray.Dataset
        ``trait_evidence``, ``shows``, ``share_of_margin``, ``prevalence``, ``prevalence_by_species``,
        ``evidence_by_species``, ``label``, ``exemplar``. Along ``species``: the target, the references, others.
    """
    failed = np.isnan(maps).any((1, 2))
    evidence = _evidence(label, maps, n_traits)
    evidence[failed] = np.nan
    own = (species == target) & ~failed
    shows = _shows(evidence, own, presence)
    references = list(references)
    others = sorted({str(s) for s in species} - {target, *references, ""})
    groups = [(species == s) & ~failed for s in (target, *references, *others)]
    return xr.Dataset(
        {
            "trait_evidence": (("image", "trait"), evidence, {"units": "logit", "comment": "the phenotype table"}),
            "shows": (("image", "trait"), shows),
            "share_of_margin": ("trait", _shares(evidence[own], remainder[own]), {"comment": _SHARE}),
            "prevalence": ("trait", _mean(shows[own])),
            "prevalence_by_species": (("species", "trait"), np.array([_mean(shows[g]) for g in groups])),
            "evidence_by_species": (
                ("species", "trait"),
                np.array([_mean(evidence[g]) for g in groups]),
                {"units": "logit", "comment": "mean"},
            ),
            "label": (("image", "y", "x"), label.astype(np.int16)),
            "exemplar": (("trait", "exemplar_rank"), _exemplars(images, evidence, own)),
        },
        species_coords(target, references, others),
    )


_SHARE = (
    f"of the target's photos; NaN where their margin is less than {LEAST_MARGIN:.0%} of the positive evidence of "
    "traits and remainder: shares of a margin near zero, or below, mean nothing"
)


def _shares(evidence: np.ndarray, remainder: np.ndarray) -> np.ndarray:
    """Share of the whole margin of some photos that each trait holds: (trait,)."""
    margin = evidence.sum() + remainder.sum()
    for_target = np.maximum(evidence, 0).sum() + np.maximum(remainder, 0).sum()
    if not margin > 0 or margin < LEAST_MARGIN * for_target:
        return np.full(evidence.shape[1], np.nan)
    return evidence.sum(0) / margin


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over photos; NaN where there is none."""
    return values.mean(0) if len(values) else np.full(values.shape[1], np.nan)


def _evidence(label: np.ndarray, maps: np.ndarray, n_traits: int) -> np.ndarray:
    """Contrast summed over the cells of each trait: (image, trait)."""
    photo, y, x = np.nonzero(label >= 0)
    place = photo * n_traits + label[photo, y, x]
    return np.bincount(place, maps[photo, y, x].astype(np.float64), len(label) * n_traits).reshape(-1, n_traits)


def _shows(evidence: np.ndarray, own: np.ndarray, presence: float) -> np.ndarray:
    positive = np.where((evidence > 0) & own[:, None], evidence, np.nan)
    typical = np.array([np.nanmedian(c) if np.isfinite(c).any() else np.inf for c in positive.T])
    return np.nan_to_num(evidence) >= np.maximum(presence * typical, 1e-12)


def _exemplars(images: np.ndarray, evidence: np.ndarray, own: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(own)
    best = [rows[np.argsort(-evidence[rows, k], kind="stable")[:EXEMPLARS]] for k in range(evidence.shape[1])]
    return np.array([images[b] for b in best], object).reshape(evidence.shape[1], -1)
