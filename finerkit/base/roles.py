"""Say which species of a comparison, of traits or of scores is the target and which are references.

The coordinate ``role(species)`` holds it: "target", "reference" or "other". Species stand in the order target,
references (nearest first), others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from collections.abc import Iterable

TARGET, REFERENCE, OTHER = "target", "reference", "other"


def species_coords(target: str, references: Iterable[str], others: Iterable[str] = ()) -> dict[str, xr.Variable]:
    """Make the coordinates ``species`` and ``role`` of a dataset.

    Parameters
    ----------
    target, references, others
        Names, in this order.

    Returns
    -------
    dict of xarray.Variable
        ``species`` and ``role``, both over dim ``species``.
    """
    references, others = list(references), list(others)
    roles = [TARGET, *[REFERENCE] * len(references), *[OTHER] * len(others)]
    names = [target, *references, *others]
    return {k: xr.Variable("species", np.array(v, object)) for k, v in (("species", names), ("role", roles))}


def target_of(data: xr.Dataset | xr.DataArray) -> str:
    """Return the name of the target.

    Raises
    ------
    ValueError
        If a selection dropped it.
    """
    found = _named(data, TARGET)
    if len(found) != 1:
        raise ValueError(f"This dataset has {len(found)} target species; expected one: select photos, not species.")
    return found[0]


def references_of(data: xr.Dataset | xr.DataArray) -> list[str]:
    """Return the names of the references, nearest first where they were ranked."""
    return _named(data, REFERENCE)


def _named(data: xr.Dataset | xr.DataArray, role: str) -> list[str]:
    if "role" not in data.coords or "species" not in data.coords:
        raise ValueError(
            "This dataset does not say which species is the target: its coordinate 'role' is gone. Pass what "
            "fk.compare(...) or fk.find_traits(...) returned."
        )
    names, roles = (np.atleast_1d(data[v].values) for v in ("species", "role"))
    return [str(name) for name, r in zip(names, roles, strict=True) if str(r) == role]
