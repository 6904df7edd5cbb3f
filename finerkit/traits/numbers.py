"""Count what traits hold, from the trait of each cell and the contrast."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy.sparse import csr_array

from finerkit.base.roles import references_of, species_coords, target_of

EXEMPLARS = 8

#: Shares are of a margin that is at least this part of all that argues for the target; near zero they mean nothing.
LEAST_MARGIN = 0.1

_SHARE = (
    f"of the target's photos; NaN where their margin is less than {LEAST_MARGIN:.0%} of the positive evidence of "
    "traits and remainder: shares of a margin near zero, or below, mean nothing"
)


def summed(values: np.ndarray, group: np.ndarray, n: int) -> np.ndarray:
    """Sum values (cell, ...) over the cells of each of `n` groups; a cell of group -1 counts in none."""
    cell = np.flatnonzero(group >= 0)
    return csr_array((np.ones(len(cell)), (group[cell], cell)), (n, len(group))) @ np.asarray(values, np.float64)


def means(values: np.ndarray, group: np.ndarray, n: int, weight: np.ndarray | float = 1.0) -> np.ndarray:
    """Weighted means of what is known of values (cell, number), over the cells of each of `n` groups; NaN for none."""
    weights = np.where(np.isnan(values), 0, np.reshape(weight, (-1, 1)))
    total, whole = (summed(v, group, n) for v in (np.nan_to_num(values) * weights, weights))
    return np.divide(total, whole, out=np.full(total.shape, np.nan), where=whole > 0)


def own_photos(photos: xr.Dataset) -> np.ndarray:
    """Photos of the target that could be scored, as booleans."""
    own = photos["true_species"].values == target_of(photos)
    return own & np.isfinite(photos["contrast"].values).all((1, 2))


def trait_numbers(photos: xr.Dataset, label: np.ndarray, n_traits: int) -> xr.Dataset:
    """Count what traits hold, per photo and over species.

    Parameters
    ----------
    photos
        ``contrast`` (image, y, x), signed, in logits, NaN in photos that failed; ``remainder`` (image), what other
        cells and the bias add; ``true_species``; ``species`` and ``role``. Attr "presence": see `finerkit.find_traits`.
    label
        (image, y, x) index of the trait of each cell, -1 for none.
    n_traits
        Number of traits.

    Returns
    -------
    xarray.Dataset
        ``trait_evidence``, ``shows``, ``share_of_margin``, ``prevalence``, ``prevalence_by_species``,
        ``evidence_by_species``, ``label``, ``exemplar``. Along ``species``: the target, the references, others.
    """
    maps, remainder, species = (photos[v].values for v in ("contrast", "remainder", "true_species"))
    target, references = target_of(photos), references_of(photos)
    known = ~np.isnan(maps).any((1, 2))
    own = own_photos(photos)
    photo = np.arange(len(label))[:, None, None]
    place = np.where(label >= 0, photo * n_traits + label, -1)
    evidence = summed(maps.ravel(), place.ravel(), len(label) * n_traits).reshape(-1, n_traits)
    evidence[~known] = np.nan
    shows = _shows(evidence, own, float(photos.attrs["presence"]))
    others = sorted({str(s) for s in species} - {target, *references, ""})

    def by_species(values: np.ndarray) -> np.ndarray:
        """Mean over photos; NaN for a species without any."""
        mean = pd.DataFrame(values[known], dtype=float).groupby(species[known]).mean()
        return mean.reindex([target, *references, *others]).to_numpy()

    prevalence = by_species(shows)
    return xr.Dataset(
        {
            "trait_evidence": (("image", "trait"), evidence, {"units": "logit", "comment": "the phenotype table"}),
            "shows": (("image", "trait"), shows),
            "share_of_margin": ("trait", _shares(evidence[own], remainder[own]), {"comment": _SHARE}),
            "prevalence": ("trait", prevalence[0]),
            "prevalence_by_species": (("species", "trait"), prevalence),
            "evidence_by_species": (
                ("species", "trait"),
                by_species(evidence),
                {"units": "logit", "comment": "mean"},
            ),
            "label": (("image", "y", "x"), label.astype(np.int16)),
            "exemplar": (("trait", "exemplar_rank"), _exemplars(photos["image"].values, evidence, own)),
        },
        species_coords(target, references, others),
    )


def _shares(evidence: np.ndarray, remainder: np.ndarray) -> np.ndarray:
    """Share of the whole margin of some photos that each trait holds: (trait,)."""
    margin = evidence.sum() + remainder.sum()
    for_target = np.maximum(evidence, 0).sum() + np.maximum(remainder, 0).sum()
    if not margin > 0 or margin < LEAST_MARGIN * for_target:
        return np.full(evidence.shape[1], np.nan)
    return evidence.sum(0) / margin


def _shows(evidence: np.ndarray, own: np.ndarray, presence: float) -> np.ndarray:
    positive = pd.DataFrame(evidence[own])
    typical = positive.where(positive > 0).median().fillna(np.inf).to_numpy()
    return np.nan_to_num(evidence) >= np.maximum(presence * typical, 1e-12)


def _exemplars(images: np.ndarray, evidence: np.ndarray, own: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(own)
    best = rows[np.argsort(-evidence[rows], axis=0, kind="stable")[:EXEMPLARS]]
    return images[best.T].astype(object)
