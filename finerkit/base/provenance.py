"""Say what traits, scores and tests were computed from, and refuse what does not belong together."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from finerkit.base.identity import Identity

if TYPE_CHECKING:
    import xarray as xr

_WORDS = {"study": "from another study", "network": "with another network", "head": "with another species head"}


def origin_attrs(comparison: xr.Dataset) -> dict[str, str]:
    """Return attrs that say which study, network and head a comparison is of, and where the study lies.

    Parameters
    ----------
    comparison
        From `finerkit.compare`, or what was made of it.
    """
    known = Identity.from_attrs(comparison.attrs).to_attrs()
    known["store"] = str(comparison.attrs.get("store", ""))
    return {name: value for name, value in known.items() if value}


def check_same_origin(
    data: xr.Dataset, other: xr.Dataset | xr.DataTree, what: str, call: str, *, than: str = "the comparison"
) -> None:
    """Raise ValueError if something was not computed from what a comparison, or a study, holds.

    Parameters
    ----------
    data
        What was made of a comparison.
    other
        The comparison or study that it is used with.
    what
        What `data` are, in the plural, such as "traits".
    call
        The call that makes them again.
    than
        What `other` is, in words.
    """
    mine, theirs = (asdict(Identity.from_attrs(d.attrs)) for d in (data, other))
    for part, words in _WORDS.items():
        if mine[part] and theirs[part] and mine[part] != theirs[part]:
            raise ValueError(f"These {what} were made {words} than {than}: make them again with {call}.")
