"""Test whether a trait goes with sex, site, season or any other column of the user's table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from finerkit.columns import column_of
from finerkit.derived import origin_attrs
from finerkit.names import resolve
from finerkit.roles import target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr


def test_traits(
    traits: xr.Dataset, by: str, *, species: str | None = None, permutations: int = 9999, seed: int = 0
) -> pd.DataFrame:
    """Test each trait's evidence against a metadata column, by permutation.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    by
        Column of the study's table, by its name there. Text and booleans are groups; numbers (or dates) are correlated.
    species
        Photos of which species to use; default: the target's.
    permutations
        Number of random permutations of the column.
    seed
        Of the permutations.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``trait``: ``effect`` and what it is in ``measure`` (for two groups Hedges' g, the second group in
        alphabetical order less the first; for more eta squared; for numbers Spearman's rho), ``p`` (two-sided, with
        the observed value counted among the permutations), ``p_holm`` (Holm-Bonferroni over the traits), ``n`` photos,
        and each group's mean in logits.

    Raises
    ------
    ValueError
        If there is no such column, or it does not vary.
    """
    column = column_of(traits, by)
    wanted = target_of(traits) if species is None else resolve(species, traits["species"].values)
    rows = (traits["true_species"].values == wanted) & traits["trait_evidence"].notnull().all("trait").values
    values, known = _column(traits[column].values)
    rows &= known
    evidence, values = traits["trait_evidence"].values[rows], values[rows]
    groups = np.unique(values)
    if len(groups) < 2:
        raise ValueError(f"{by!r} does not vary over the {rows.sum()} photos of {wanted!r} that have it.")
    numeric = values.dtype.kind == "f"
    if numeric:
        measure, effect = "Spearman's rho", _spearman
    elif len(groups) == 2:
        measure, effect = "Hedges' g", _hedges
    else:
        measure, effect = "eta squared", _eta_squared
    observed = effect(evidence, values)
    p = _permutation_p(evidence, values, effect, observed, permutations, seed)
    table = pd.DataFrame(
        {"effect": observed, "measure": measure, "p": p, "p_holm": _holm(p), "n": int(rows.sum())},
        index=pd.Index(traits["trait"].values.astype(str), name="trait"),
    )
    if not numeric:
        for g in groups:
            table[f"mean: {g}"] = evidence[values == g].mean(0)
    table.attrs = origin_attrs(traits)
    return table


test_traits.__test__ = False  # its name is the contract; it is not a test of ours


def _column(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A column as numbers or text, and where it is known."""
    if values.dtype.kind in "iuf":
        return values.astype(float), np.isfinite(values.astype(float))
    if values.dtype.kind == "M":
        return values.astype("datetime64[s]").astype(float), ~np.isnat(values)
    text = values.astype(str)
    return text, text != ""


def _hedges(evidence: np.ndarray, groups: np.ndarray) -> np.ndarray:
    first, second = (evidence[groups == g] for g in np.unique(groups))
    n = len(evidence)
    pooled = (((first - first.mean(0)) ** 2).sum(0) + ((second - second.mean(0)) ** 2).sum(0)) / max(n - 2, 1)
    correction = 1 - 3 / (4 * n - 9) if n > 3 else 1.0
    return correction * _ratio(second.mean(0) - first.mean(0), np.sqrt(pooled))


def _eta_squared(evidence: np.ndarray, groups: np.ndarray) -> np.ndarray:
    mean = evidence.mean(0)
    between = sum((groups == g).sum() * (evidence[groups == g].mean(0) - mean) ** 2 for g in np.unique(groups))
    return _ratio(between, ((evidence - mean) ** 2).sum(0))


def _spearman(evidence: np.ndarray, values: np.ndarray) -> np.ndarray:
    a = pd.DataFrame(evidence).rank().to_numpy()
    b = pd.Series(values).rank().to_numpy()[:, None]
    a, b = a - a.mean(0), b - b.mean(0)
    return _ratio((a * b).sum(0), np.sqrt((a**2).sum(0) * (b**2).sum(0)))


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros_like(a, dtype=float), where=b > 0)


def _permutation_p(
    evidence: np.ndarray, values: np.ndarray, effect: Callable, observed: np.ndarray, permutations: int, seed: int
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    beyond = np.ones(len(observed))
    for _ in range(permutations):
        beyond += np.abs(effect(evidence, rng.permutation(values))) >= np.abs(observed) - 1e-12
    return beyond / (permutations + 1)


def _holm(p: np.ndarray) -> np.ndarray:
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted
