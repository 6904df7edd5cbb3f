"""Check arguments: say what was expected and what came."""

from __future__ import annotations

import numpy as np


def whole(value: object, name: str, least: int = 1, most: int | None = None, *, hint: str = "") -> int:
    """Return `value` as an int if it is a whole number in a range.

    Parameters
    ----------
    value
        What the person gave. True and False are no numbers.
    name
        Of the parameter.
    least, most
        Ends of the range, both included; `most` None for no end.
    hint
        The next call to make, or what else could be given; added to the message.

    Raises
    ------
    ValueError
        If it is something else.
    """
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not number or value < least or (most is not None and value > most):
        end = "inf)" if most is None else f"{most}]"
        raise ValueError(
            f"{name} must be an int in the range [{least}, {end}. Got {value!r} instead.{hint and ' ' + hint}"
        )
    return int(value)
