"""Test whether a trait goes with sex, site, season or any other column of the user's table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import permutation_test

from finerkit.base.checks import whole
from finerkit.base.names import resolve
from finerkit.base.provenance import origin_attrs
from finerkit.base.roles import target_of
from finerkit.base.user_columns import column_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

#: Permuted numbers in memory at once.
_AT_ONCE = 2**20


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
        Number of random permutations of the column; where there are fewer in all, each is taken once.
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
    evidence = pd.DataFrame(traits["trait_evidence"].values[rows], columns=traits["trait"].values.astype(str))
    values = values[rows]
    if len(np.unique(values)) < 2:
        raise ValueError(f"{by!r} does not vary over the {rows.sum()} photos of {wanted!r} that have it.")
    if values.dtype.kind == "f":
        measure, means = "Spearman's rho", evidence.iloc[:0]
        design, outcome = _unit(pd.Series(values).rank().to_numpy()[:, None]), _unit(evidence.rank().to_numpy())
        effect = (design.T @ outcome)[0]
    else:
        measure, means = "eta squared", evidence.groupby(values).mean()
        one_hot = values[:, None] == means.index.to_numpy()
        design, outcome = one_hot / np.sqrt(one_hot.sum(0)), _unit(evidence.to_numpy())
        effect = _explained(design, outcome)
        if len(means) == 2:
            measure, effect = "Hedges' g", _hedges(evidence - evidence.groupby(values).transform("mean"), means)
    p = permutation_p(lambda order: _explained(design[order], outcome), design.shape, permutations, seed)
    table = pd.DataFrame(
        {"effect": effect, "measure": measure, "p": p, "p_holm": _holm(p), "n": len(values)},
        index=evidence.columns.rename("trait"),
    )
    for group, mean in means.iterrows():
        table[f"mean: {group}"] = mean
    table.attrs = origin_attrs(traits)
    return table


test_traits.__test__ = False  # its name is the contract; it is not a test of ours


def permutation_p(
    statistic: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], permutations: int, seed: int
) -> np.ndarray:
    """P-values, of each trait, of statistics that are large where the order of the photos matters.

    Parameters
    ----------
    statistic
        Takes orders of the photos, positions (..., photo); returns (..., trait).
    shape
        Of what is permuted: (photo, ...).
    permutations
        Number of random orders. Where there are no more than that in all, each is taken once.
    seed
        Of the orders.
    """
    return permutation_test(
        (np.arange(shape[0]),),
        lambda order, **_: statistic(order).round(12),  # orders that differ in nothing are equal
        permutation_type="pairings",
        vectorized=True,
        n_resamples=whole(permutations, "permutations"),
        batch=max(1, _AT_ONCE // math.prod(shape)),
        alternative="greater",
        rng=np.random.default_rng(seed),
    ).pvalue


def _column(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A column as numbers or text, and where it is known."""
    if values.dtype.kind in "iuf":
        return values.astype(float), np.isfinite(values.astype(float))
    if values.dtype.kind == "M":
        return values.astype("datetime64[s]").astype(float), ~np.isnat(values)
    text = values.astype(str)
    return text, text != ""


def _unit(values: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and length 1; 0 where a column does not vary."""
    centred = values - values.mean(0)
    return _ratio(centred, np.linalg.norm(centred, axis=0))


def _explained(design: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Share of the outcome's variance (..., trait) that a design (..., photo, column) of unit columns explains."""
    return ((np.swapaxes(design, -1, -2) @ outcome) ** 2).sum(-2)


def _hedges(residual: pd.DataFrame, means: pd.DataFrame) -> np.ndarray:
    """Hedges' g: the second group's mean less the first's, in standard deviations within groups."""
    n = len(residual)
    deviation = np.sqrt((residual.to_numpy() ** 2).sum(0) / max(n - 2, 1))
    correction = 1 - 3 / (4 * n - 9) if n > 3 else 1.0
    return correction * _ratio(means.iloc[1].to_numpy() - means.iloc[0].to_numpy(), deviation)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros_like(a, dtype=float), where=b > 0)


def _holm(p: np.ndarray) -> np.ndarray:
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted
