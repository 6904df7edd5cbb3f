"""Draw the evidence of each trait in the groups that a column of the user's table makes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.cbook import boxplot_stats

from finerkit.base.names import resolve
from finerkit.base.roles import references_of, target_of
from finerkit.base.user_columns import column_of, columns_of
from finerkit.base.wording import counted, join, probability, safe, short, shown
from finerkit.output.figures.colours import CATEGORIES
from finerkit.output.figures.page import panels_page, settle, text_width
from finerkit.output.figures.paper import PaperFigure
from finerkit.output.figures.screen import facets
from finerkit.output.tables.frames import phenotype_table
from finerkit.traits import test_traits

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SYMBOLS = {"Hedges' g": "g", "eta squared": "η²"}
_MANY = 12
_LONGEST = 24  # letters of a group's name that is turned


@dataclass(frozen=True)
class PhenotypeBoxes:
    """All that is drawn; texts are plain.

    ``groups``: of each group, the evidence of the traits in its photos (image, trait), in logits. ``panels``: of each
    trait, its name and the test in words. ``limits``: ends of the common axis, in logits.
    """

    groups: dict[str, pd.DataFrame]
    panels: dict[str, str]
    limits: tuple[float, float] | None
    title: str
    legend: str
    caption: str

    @property
    def labels(self) -> list[str]:
        """Names and sizes of the groups."""
        return [f"{shown(group)}\nn = {len(table)}" for group, table in self.groups.items()]

    def boxes(self, trait: str) -> list[dict[str, Any]]:
        """The numbers of each group's box, named as in `matplotlib.cbook.boxplot_stats`."""
        return boxplot_stats([table[trait] for table in self.groups.values()])


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
    values = rows[names].to_numpy()
    spread = float(np.ptp(values)) or 1.0
    whose = "" if species == target_of(traits) else f", in photos of {shown(species)}"
    effect = _SYMBOLS[tests["measure"].iloc[0]]
    tables = {label: rows.loc[groups == label, names] for label in labels}
    content = PhenotypeBoxes(
        groups=tables,
        panels={
            str(name): f"{name}\n{effect} = {short(one['effect'])}, adjusted {probability(one['p_holm'])}"
            for name, one in tests.iterrows()
        },
        limits=(float(values.min()) - 0.06 * spread, float(values.max()) + 0.06 * spread) if shared else None,
        title=f"Traits of {shown(target_of(traits))} by {shown(by)}{whose}",
        legend="evidence (logits)",
        caption=_caption(traits, tests, by, species, tables, permutations),
    )
    return PaperFigure(_screen(content), content=content, paper=partial(_print, content))


def _caption(
    traits: xr.Dataset, tests: pd.DataFrame, by: str, species: str, groups: dict[str, pd.DataFrame], permutations: int
) -> str:
    attrs, measure, names = traits.attrs, str(tests["measure"].iloc[0]), [shown(group) for group in groups]
    sizes = join(f"{name} n = {len(table)}" for name, table in zip(names, groups.values(), strict=True))
    order = f" ({names[1]} less {names[0]})" if measure == "Hedges' g" else ""
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


def _sideways(values: pd.Series) -> np.ndarray:
    """Places of points beside the middle: the same at each drawing, those of similar height far apart."""
    golden = (np.sqrt(5) - 1) / 2  # successive multiples, less their whole part, fall far from one another
    return 0.4 * (values.rank(method="first").to_numpy() * golden % 1 - 0.5)


def _print(content: PhenotypeBoxes, width: float) -> Figure:
    """Draw a panel per trait, `width` millimetres wide."""
    figure, axes = panels_page(content.title, content.panels.values(), width)
    labels, room = content.labels, width / axes.shape[1] - 15
    turned = max(text_width(t) for t in labels) * len(labels) > 0.9 * room
    if turned:
        labels = [f"{_cut(shown(group))} ({len(table)})" for group, table in content.groups.items()]
    for i, (ax, trait) in enumerate(zip(axes.flat, content.panels, strict=False)):
        _print_boxes(ax, content, trait)
        ax.set_xticks(range(len(labels)), labels, rotation=90 if turned else 0)
        if i % axes.shape[1] == 0 or content.limits is None:
            ax.set_ylabel(content.legend)
    return settle(figure)


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1].rstrip()}…"


def _print_boxes(ax: Axes, content: PhenotypeBoxes, trait: str) -> None:
    ax.axhline(0, color="0.6", linewidth=0.5, zorder=0)
    thin = {"color": "black", "linewidth": 0.6}
    boxes = ax.bxp(
        content.boxes(trait), range(len(content.groups)), widths=0.55, capwidths=0.2, showfliers=False,
        patch_artist=True, boxprops={"linewidth": 0.6}, whiskerprops=thin, capprops=thin,
        medianprops={"color": "black", "linewidth": 1.2},
    )["boxes"]  # fmt: skip
    for j, (table, box, colour) in enumerate(zip(content.groups.values(), boxes, cycle(CATEGORIES))):
        box.set_facecolor(f"{colour}40")
        size = 7 if len(table) <= 15 else 4 if len(table) <= 60 else 2
        ax.scatter(j + _sideways(table[trait]), table[trait], size, colour, linewidths=0, alpha=0.85, zorder=3)
    ax.set(xlim=(-0.6, len(boxes) - 0.4), ylim=content.limits)
    ax.locator_params(axis="y", nbins=6)


def _screen(content: PhenotypeBoxes) -> go.Figure:
    """Draw a panel per trait; every photo's name on hover."""
    figure, places = facets(content.panels.values(), content.title, showlegend=False)
    ticks = {"tickvals": list(range(len(content.groups))), "ticktext": [safe(label) for label in content.labels]}
    for at, trait in zip(places, content.panels, strict=True):
        drawn = zip(content.groups.items(), content.boxes(trait), cycle(CATEGORIES))
        for j, ((group, table), box, colour) in enumerate(drawn):
            numbers = {ours: [box[theirs]] for ours, theirs in _NUMBERS.items()}
            outline = {"line": {"color": "black", "width": 1}, "fillcolor": f"{colour}40", "width": 0.55}
            points = {"mode": "markers", "marker": {"color": colour, "size": 5, "opacity": 0.85}}
            hover = {
                "text": [safe(str(i)) for i in table.index],
                "hovertemplate": "%{text}<br>%{y:.3f} logits<extra></extra>",
            }
            figure.add_trace(go.Box(x=[j], **numbers, **outline, name=safe(shown(group))), **at)
            figure.add_trace(go.Scatter(x=j + _sideways(table[trait]), y=table[trait], **points, **hover), **at)
        figure.update_xaxes(**ticks, range=[-0.6, len(content.groups) - 0.4], **at)
        figure.update_yaxes(title_text=safe(content.legend), range=content.limits, **at)
    return figure


#: What plotly calls the numbers of a box, and what matplotlib calls them.
_NUMBERS = {"lowerfence": "whislo", "q1": "q1", "median": "med", "q3": "q3", "upperfence": "whishi"}
