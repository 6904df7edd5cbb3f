"""Keep columns of the user's table, whatever their names, beside finerkit's own variables.

A column keeps its name unless finerkit uses it; then it is kept as ``table_<name>``. Its variable's attr ``column``
says what the user called it, and marks it as a column of the user's.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from finerkit.base.names import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr

#: With which no name of a netCDF variable begins.
SIGNS = string.punctuation.replace("_", "")

#: Attr of a variable that is a column of the user's table: its name there.
MARK = "column"

_PHOTO = "image true_species path width height status row cell_left cell_top cell_width cell_height"
_COMPARISON = "species role reference_score evidence logit logit_cross_validated bias y x"
_TRAITS = (
    "trait trait_evidence shows remainder margin contrast label share_of_margin prevalence prevalence_by_species "
    "evidence_by_species exemplar exemplar_rank stability stability_curve number statistic off_animal border "
    "background position_x position_y cell_where cell_measure cell_region region region_image region_trait "
    "region_evidence region_cells region_box region_outline region_vector side centre radius cluster cluster_trait "
    "component axis axis_offset feature edit"
)
_SCORES = (
    "map_kind strength top step empty probability probability_reference mask_share trait_share relative_drop "
    "margin_drop deletion deletion_area insertion insertion_area energy pointing trait_precision trait_recall "
    "average_precision shuffled rank_correlation half half_of mean_drop standard_error n_photos suggested held_out "
    "held_out_at_0 gain gain_standard_error baseline place difference share p cells"
)

#: Names of variables and dims in all that finerkit derives from photos.
OURS = frozenset(" ".join((_PHOTO, _COMPARISON, _TRAITS, _SCORES)).split())


def derived_name(column: str, taken: Iterable[str] = ()) -> str:
    """Return the name under which a user's column is kept beside finerkit's variables.

    Parameters
    ----------
    column
        Its name in the user's table.
    taken
        Names that something else has; case does not count.

    Returns
    -------
    str
        The column's own name, with "table" and an underscore before it, as often as needed.
    """
    used = {name.casefold() for name in (*OURS, *taken)}
    name = column
    while name.casefold() in used or name[0] in SIGNS:
        name = f"table_{name}"
    return name


def columns_of(data: xr.Dataset) -> dict[str, str]:
    """Return the user's columns along ``image``: name of the variable, and the column's name in the user's table.

    A variable that was added later, with a name that is not finerkit's, is the user's too.
    """
    found = {str(n): v.attrs for n, v in data.data_vars.items() if v.dims == ("image",)}
    return {n: str(attrs.get(MARK, n)) for n, attrs in found.items() if MARK in attrs or n not in OURS}


def column_of(data: xr.Dataset, name: str) -> str:
    """Return the variable that holds a user's column, by the name that a person types.

    Parameters
    ----------
    data
        Traits.
    name
        The column's name in the user's table, or that of the variable.

    Raises
    ------
    ValueError
        If there is no such column; the message suggests the nearest.
    """
    columns = columns_of(data)
    known = {own: variable for variable, own in columns.items()}
    known = {variable: variable for variable in columns} | known
    return known[resolve(name, known, "metadata column")]
