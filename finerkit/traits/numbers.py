"""Numbers of traits: the trait of each cell and the contrast enter; all that is counted from them leaves."""

from __future__ import annotations

import numpy as np
import xarray as xr

EXEMPLARS = 8


def trait_numbers(
    label: np.ndarray,
    maps: np.ndarray,
    remainder: np.ndarray,
    images: np.ndarray,
    species: np.ndarray,
    target: str,
    presence: float,
    n_traits: int,
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

    Returns
    -------
    xarray.Dataset
        ``trait_evidence``, ``shows``, ``share_of_margin``, ``prevalence``, ``prevalence_by_species``,
        ``evidence_by_species``, ``label``, ``exemplar``.
    """
    failed = np.isnan(maps).any((1, 2))
    evidence = _evidence(label, maps, n_traits)
    evidence[failed] = np.nan
    own = (species == target) & ~failed
    shows = _shows(evidence, own, presence)
    names = np.unique(species.astype(str))
    by_species = [shows[(species == s) & ~failed].mean(0) for s in names]
    means = [evidence[(species == s) & ~failed].mean(0) for s in names]
    return xr.Dataset(
        {
            "trait_evidence": (("image", "trait"), evidence, {"units": "logit", "comment": "the phenotype table"}),
            "shows": (("image", "trait"), shows),
            "share_of_margin": ("trait", evidence[own].sum(0) / (evidence.sum(1) + remainder)[own].sum()),
            "prevalence": ("trait", shows[own].mean(0)),
            "prevalence_by_species": (("species", "trait"), np.array(by_species)),
            "evidence_by_species": (("species", "trait"), np.array(means), {"units": "logit", "comment": "mean"}),
            "label": (("image", "y", "x"), label.astype(np.int16)),
            "exemplar": (("trait", "rank"), _exemplars(images, evidence, own)),
        },
        {"species": names.astype(object)},
    )


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
    return np.array([images[b] for b in best], object)
