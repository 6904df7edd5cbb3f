"""Draw the evidence of each trait in the groups that a column of the user's table makes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from finerkit.columns import column_of, columns_of
from finerkit.figures.paper import PaperFigure
from finerkit.figures.phenotype_print import print_boxes
from finerkit.figures.phenotype_screen import screen_boxes
from finerkit.figures.words import counted, join, probability, short, shown
from finerkit.names import resolve
from finerkit.roles import references_of, target_of
from finerkit.tables import phenotype_table
from finerkit.traits import test_traits

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_SYMBOLS = {"Hedges' g": "g", "eta squared": "η²"}
_MANY = 12


@dataclass(frozen=True)
class Box:
    """The photos of one group: values in logits, and their five numbers (whiskers: the last photo within 1.5 IQR)."""

    group: str
    images: tuple[str, ...]
    values: np.ndarray
    low: float
    first: float
    median: float
    third: float
    high: float


@dataclass(frozen=True)
class TraitBoxes:
    """One panel: a trait, its test in words, a box per group."""

    trait: str
    test: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class PhenotypeBoxes:
    """All that is drawn. Texts are plain; ``limits`` are the ends of the common axis, in logits."""

    panels: tuple[TraitBoxes, ...]
    limits: tuple[float, float] | None
    title: str
    legend: str
    caption: str


def phenotype_boxes(
    traits: xr.Dataset,
    by: str,
    *,
    species: str | None = None,
    shared: bool = True,
    permutations: int = 9999,
    seed: int = 0,
) -> PaperFigure:
    """Draw the evidence of each trait, group by group, with every photo as a point and the test of the difference.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    by
        Column of the study's table that makes groups, such as "sex": text or booleans.
    species
        Photos of which species to draw; default: the target's.
    shared
        One axis in logits for all traits, so that they compare; else each its own.
    permutations, seed
        See `finerkit.test_traits`.

    Returns
    -------
    PaperFigure
        A plotly figure; ``.save("sex.pdf", width_mm=89)`` writes PNG, SVG, PDF or HTML offline; ``.caption`` says what
        was computed.

    Raises
    ------
    ValueError
        If there is no such column, it does not vary, or it holds numbers or dates.
    """
    content = boxes_of(traits, by, species=species, shared=shared, permutations=permutations, seed=seed)
    return PaperFigure(screen_boxes(content), content=content, paper=partial(print_boxes, content))


def boxes_of(
    traits: xr.Dataset, by: str, *, species: str | None, shared: bool, permutations: int, seed: int
) -> PhenotypeBoxes:
    """Gather what `phenotype_boxes` draws, from its parameters."""
    tests = test_traits(traits, by, species=species, permutations=permutations, seed=seed)
    table = phenotype_table(traits)
    column = column_of(traits, by)
    by = columns_of(traits)[column]
    if tests["measure"].iloc[0] not in _SYMBOLS:
        raise ValueError(
            f"{by!r} holds numbers or dates, and boxes need groups: use fk.test_traits(traits, {by!r}) for the "
            "correlation, or add a column of text (pandas.cut makes groups of numbers)."
        )
    names = [str(t) for t in tests.index]
    species = target_of(traits) if species is None else resolve(species, traits["species"].values)
    rows = table[(table["true_species"] == species) & table[names].notna().all(axis=1)]
    groups = rows[column].astype(str).to_numpy()
    rows, groups = rows[groups != ""], groups[groups != ""]
    labels = sorted(set(groups))
    if len(labels) > _MANY:
        raise ValueError(
            f"{by!r} has {len(labels)} groups, and a figure holds {_MANY} at most: choose a coarser column; "
            f"fk.test_traits(traits, {by!r}) tests them all."
        )
    panels = tuple(
        TraitBoxes(
            name,
            f"{_SYMBOLS[one['measure']]} = {short(one['effect'])}, adjusted {probability(one['p_holm'])}",
            tuple(_box(label, rows[groups == label][name]) for label in labels),
        )
        for name, one in tests.iterrows()
    )
    values = rows[names].to_numpy()
    spread = float(np.ptp(values)) or 1.0
    return PhenotypeBoxes(
        panels=panels,
        limits=(float(values.min()) - 0.06 * spread, float(values.max()) + 0.06 * spread) if shared else None,
        title=f"Traits of {shown(target_of(traits))} by {shown(by)}{_whose(traits, species)}",
        legend="evidence (logits)",
        caption=_caption(traits, tests, by, species, panels, permutations),
    )


def _box(group: str, column: pd.Series) -> Box:
    values = column.to_numpy(float)
    first, median, third = np.percentile(values, [25, 50, 75])
    reach = 1.5 * (third - first)
    within = values[(values >= first - reach) & (values <= third + reach)]
    images = tuple(str(i) for i in column.index)
    return Box(group, images, values, *(float(v) for v in (within.min(), first, median, third, within.max())))


def _whose(traits: xr.Dataset, species: str) -> str:
    return "" if species == target_of(traits) else f", in photos of {shown(species)}"


def _caption(
    traits: xr.Dataset, tests: pd.DataFrame, by: str, species: str, panels: tuple[TraitBoxes, ...], permutations: int
) -> str:
    attrs, measure = traits.attrs, str(tests["measure"].iloc[0])
    boxes = panels[0].boxes
    sizes = join(f"{shown(b.group)} n = {len(b.values)}" for b in boxes)
    order = f" ({shown(boxes[1].group)} less {shown(boxes[0].group)})" if measure == "Hedges' g" else ""
    each = "; ".join(
        f"{name}: {_SYMBOLS[measure]} = {short(one['effect'])}, {probability(one['p'])} "
        f"({probability(one['p_holm'])} after Holm-Bonferroni)"
        for name, one in tests.iterrows()
    )
    return (
        f"Evidence of each trait of {shown(target_of(traits))} against {join(shown(r) for r in references_of(traits))} "
        f"(comparison strength {attrs['strength']:g}, objective {attrs['objective']}) in logits, summed over "
        f"the trait's cells of a photo, in {counted(int(tests['n'].iloc[0]), 'photo')} of {shown(species)} by "
        f"{shown(by)} ({sizes}). "
        "Points: photos, spread sideways to be seen; boxes: quartiles and median; whiskers: the last photo within 1.5 "
        f"interquartile ranges. Test: two-sided permutation of {shown(by)} ({permutations} permutations), effect "
        f"{measure}{order}; above the panels, p is adjusted by "
        f"Holm-Bonferroni over the traits. {each}. Photos are taken as "
        "independent; several of one individual are not."
    )
