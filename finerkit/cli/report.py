"""Write the answer to a question as files: figures (HTML, PNG) and tables (CSV)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from finerkit.base.names import file_stem, slug
from finerkit.base.roles import references_of, target_of
from finerkit.evidence.comparison import as_pair
from finerkit.output.tables.frames import evidence_table, phenotype_table, spreadsheet_safe, trait_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import xarray as xr


class Report(NamedTuple):
    """Files that `write_report` wrote."""

    interactive: Path
    picture: Path
    table: Path


def write_report(
    pair: xr.Dataset, folder: Path, strengths: Iterable[float] = (0.0, 0.6, 1.0), images: int = 4, strength: float = 1.0
) -> Report:
    """Write the contrast grid and the evidence table of a comparison.

    Parameters
    ----------
    pair
        A comparison, from `finerkit.compare`.
    folder
        Where to write; made if needed. Files are named after target and references; older ones of that name are
        replaced.
    strengths, images
        Columns and rows of the figure, see `finerkit.figures.contrast_grid`.
    strength
        Comparison strength of the table.

    Returns
    -------
    Report
        Paths of the interactive figure (.html, opens offline), the picture (.png) and the table (.csv, UTF-8; text that
        a spreadsheet would take for a formula begins with an apostrophe).
    """
    from finerkit.output.figures import contrast_grid

    folder.mkdir(parents=True, exist_ok=True)
    pair = as_pair(pair)
    stem = folder / file_stem(target_of(pair), references_of(pair))
    figure = contrast_grid(pair, strengths, images)
    files = Report(*(folder / f"{stem.name}{ending}" for ending in (".html", ".png", ".csv")))
    figure.save(files.interactive)
    figure.save(files.picture)
    spreadsheet_safe(evidence_table(pair, strength)).to_csv(files.table, encoding="utf-8")
    return files


class TraitReport(NamedTuple):
    """Files that `write_trait_report` wrote."""

    sheet: Path
    phenotypes: Path
    traits: Path
    regions: Path


def write_trait_report(traits: xr.Dataset, folder: Path) -> TraitReport:
    """Write a species' traits.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    folder
        Where to write; made if needed. Files are named after the target; older ones of that name are replaced.

    Returns
    -------
    TraitReport
        The exemplar sheet (.png), the phenotype table (.csv: one row per photo with the evidence of each trait, the
        remainder, the margin and the metadata), the trait statistics (.csv) and the regions (COCO .json).
    """
    from finerkit.output.figures import trait_sheet
    from finerkit.output.tables.export import to_coco

    folder.mkdir(parents=True, exist_ok=True)
    stem = slug(target_of(traits))
    files = TraitReport(
        folder / f"{stem}-traits.png",
        folder / f"{stem}-phenotypes.csv",
        folder / f"{stem}-traits.csv",
        folder / f"{stem}-regions.json",
    )
    trait_sheet(traits).save(files.sheet)
    spreadsheet_safe(phenotype_table(traits)).to_csv(files.phenotypes, encoding="utf-8")
    spreadsheet_safe(trait_table(traits)).to_csv(files.traits, encoding="utf-8")
    to_coco(traits, files.regions)
    return files


def accuracy_words(study: xr.DataTree) -> str:
    """Say how well heads name species that they have not seen, beside guessing; "" without cross-validation."""
    attrs = study["species"].attrs
    if "accuracy" not in attrs:
        return ""
    value = float(attrs["accuracy"])
    if not math.isfinite(value):
        return "could not be judged"
    chance = f" (guessing the commonest species: {attrs['chance_level']:.3f})" if "chance_level" in attrs else ""
    return f"{value:.3f}{chance}"


def summary(pair: xr.Dataset, strength: float = 1.0) -> str:
    """Say in a few sentences what a comparison found."""
    table = evidence_table(pair, strength)
    unseen = "margin_cross_validated" in table
    margin = table["margin_cross_validated" if unseen else "margin"].dropna()
    who = "by heads that had not seen the photo" if unseen else "by the head that is explained"
    said = (
        f"{target_of(pair)} against {', '.join(references_of(pair))}: {who}, the target wins in "
        f"{(margin > 0).sum()} of {len(margin)} photos, by {margin.median():.2f} logits (median)."
    )
    held = table["top_5_percent"].median()
    if held == held:  # not NaN
        said += (
            f" Half of the photos or more have {held:.0%} of their positive evidence (strength {strength:g}) in the "
            "strongest 5 % of the cells."
        )
    if pair.attrs.get("strength_only_scales"):
        said += " With every other species as reference, the comparison strength only scales the maps."
    return said
