"""Lay out comparisons and traits as tables, ready for R or a spreadsheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from finerkit.base.provenance import origin_attrs
from finerkit.base.roles import target_of
from finerkit.base.text import plain_text
from finerkit.base.user_columns import columns_of
from finerkit.evidence.comparison import as_pair
from finerkit.evidence.contrast import contrast, reference_weights

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr


def evidence_table(
    pair: xr.Dataset, strength: float = 1.0, objective: str | None = None, *, references: Iterable[str] | None = None
) -> pd.DataFrame:
    """Summarise a comparison, one row per photo.

    Parameters
    ----------
    pair
        A comparison, from `finerkit.compare`.
    strength
        Comparison strength of the map.
    objective, references
        See `finerkit.contrast`.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``image``. Columns: ``true_species``; ``target``; ``logit: NAME`` of the target and each reference;
        ``margin``, the target's logit less the weighted mean of the references' (logits); ``peak``, the largest cell
        of the contrast (logits); ``peak_x``, ``peak_y``, that cell's centre in pixels of the upright original photo;
        ``top_5_percent``, the share of the positive evidence held by the strongest 5 % of the cells (at least one);
        ``strength``. NaN where a photo could not be explained; no peak where nothing argues for the target. Where the
        study has it, ``margin_cross_validated`` is the margin by heads that had not seen the photo (``margin`` is by
        the head that is explained, which was fitted on the study's photos).
    """
    pair = as_pair(pair)
    weights = reference_weights(pair, objective, references)
    names = [target_of(pair), *(str(s) for s in weights.species.values)]
    margins = {"margin": "logit", "margin_cross_validated": "logit_cross_validated"}
    maps = contrast(pair, float(strength), objective, references=references).transpose("image", "y", "x").values
    images, rows, columns = maps.shape
    flat = np.nan_to_num(maps.reshape(images, -1))
    peak = flat.argmax(1)
    total = flat.sum(1)
    best = max(1, round(0.05 * rows * columns))
    known = (pair["status"].values.astype(str) == "ok") & (total > 0)
    table = pd.DataFrame(
        {
            "true_species": pair["true_species"].values.astype(str),
            "target": names[0],
            **{f"logit: {n}": pair["logit"].sel(species=n).values for n in names},
            **{name: _margin(pair[v], weights, names) for name, v in margins.items() if v in pair},
            "peak": flat.max(1),
            "peak_x": pair["cell_left"] + (peak % columns + 0.5) * pair["cell_width"],
            "peak_y": pair["cell_top"] + (peak // columns + 0.5) * pair["cell_height"],
            "top_5_percent": np.sort(flat, axis=1)[:, -best:].sum(1) / np.where(total > 0, total, 1),
            "strength": float(strength),
        },
        index=pd.Index(pair.image.values.astype(str), name="image"),
    )
    table.loc[~known, ["peak", "peak_x", "peak_y", "top_5_percent"]] = np.nan
    table.attrs = origin_attrs(pair)
    return table


def _margin(logit: xr.DataArray, weights: xr.DataArray, names: list[str]) -> np.ndarray:
    """The target's logit less the weighted mean of the references'; NaN where one is unknown."""
    references = (weights * logit.sel(species=names[1:])).sum("species", skipna=False)
    return (logit.sel(species=names[0]) - references).values


def phenotype_table(traits: xr.Dataset) -> pd.DataFrame:
    """Lay out the phenotype table, one row per photo, ready for R.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``image``: ``true_species``; a column per trait with its evidence in logits; ``remainder`` and
        ``margin`` (the traits and the remainder add up to it); a column ``shows: NAME`` per trait; the
        columns of the study's table (one whose name finerkit uses itself has "table" before it, as "table_region").
    """
    traits = plain_text(traits)
    names = [str(t) for t in traits["trait"].values]
    table = pd.DataFrame(
        {
            "true_species": traits["true_species"].values.astype(str),
            **{n: traits["trait_evidence"].values[:, k] for k, n in enumerate(names)},
            "remainder": traits["remainder"].values,
            "margin": traits["margin"].values,
            **{f"shows: {n}": traits["shows"].values[:, k] for k, n in enumerate(names)},
        },
        index=pd.Index(traits["image"].values.astype(str), name="image"),
    )
    for column in columns_of(traits):
        table[column] = traits[column].values
    table.attrs = origin_attrs(traits)
    return table


def trait_table(traits: xr.Dataset) -> pd.DataFrame:
    """Lay out what is known of each trait, one row per trait.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``trait``: ``share_of_margin`` (NaN where the margin is near zero), ``prevalence`` in the target's
        photos, ``stability``, ``off_animal``, ``border``, ``background``, ``position_x``, ``position_y``, and
        ``prevalence: NAME`` in each species' photos.
    """
    columns = ("share_of_margin", "prevalence", "stability", "off_animal", "border", "background")
    table = traits[[*columns, "position_x", "position_y"]].to_dataframe()
    for species in traits["species"].values:
        table[f"prevalence: {species}"] = traits["prevalence_by_species"].sel(species=species).values
    table = table.round(3)
    table.attrs = origin_attrs(traits)
    return table


def spreadsheet_safe(table: pd.DataFrame) -> pd.DataFrame:
    """Make text that a spreadsheet would run as a formula plain text, by an apostrophe before it.

    Ids, names and metadata may come from others: in Excel, a photo called ``=HYPERLINK(...)`` would be a formula.
    Numbers and single signs stay; so does everything in the tables that functions return, which is exact.

    Parameters
    ----------
    table
        Whose text cells, index and names of columns may come from others.

    Returns
    -------
    pandas.DataFrame
        A copy.
    """
    safe = table.copy()
    for i, dtype in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_datetime64_any_dtype(dtype):
            safe.isetitem(i, pd.Series([_inert(v) for v in safe.iloc[:, i]], safe.index, dtype=object))
    safe.index = pd.Index([_inert(v) for v in safe.index], name=safe.index.name)
    return safe.set_axis([_inert(c) for c in safe.columns], axis=1)


def _inert(value: object) -> object:
    if not isinstance(value, str) or len(value) < 2 or value[0] not in "=+-@\t\r\n":
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
