"""The answer to a question as files: a comparison enters; a figure (HTML, PNG) and a table (CSV) leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from finerkit.names import slug
from finerkit.tables import evidence_table

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
        Where to write; made if needed. Files are named after the target; older ones of that name are replaced.
    strengths, images
        Columns and rows of the figure, see `finerkit.figures.contrast_grid`.
    strength
        Comparison strength of the table.

    Returns
    -------
    Report
        Paths of the interactive figure (.html, opens offline), the picture (.png) and the table (.csv, UTF-8).
    """
    from finerkit.figures import contrast_grid

    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / slug(pair.attrs["target"])
    figure = contrast_grid(pair, strengths, images)
    files = Report(*(stem.with_name(f"{stem.name}{ending}") for ending in (".html", ".png", ".csv")))
    figure.save(files.interactive)
    figure.save(files.picture)
    evidence_table(pair, strength).to_csv(files.table, encoding="utf-8")
    return files


def summary(pair: xr.Dataset, strength: float = 1.0) -> str:
    """Say in two sentences what a comparison found."""
    table = evidence_table(pair, strength)
    held = table["top_5_percent"].median()
    wins = (table["margin"] > 0).sum()
    return (
        f"{pair.attrs['target']} against {', '.join(pair.attrs['references'])}: the target wins in {wins} of "
        f"{len(table)} "
        f"photos, by {table['margin'].median():.2f} logits (median). Half of the photos or more have {held:.0%} "
        "of their "
        f"positive evidence (strength {strength:g}) in the strongest 5 % of the cells."
    )
