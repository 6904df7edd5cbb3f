"""Find the name that was meant among known ones, or say helpfully that there is none."""

from __future__ import annotations

import difflib
import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def fold(name: str) -> str:
    """Return the name as compared: NFC, lower case, underscores and runs of space as one space."""
    return re.sub(r"[\s_]+", " ", unicodedata.normalize("NFC", name)).strip().casefold()


def resolve(name: str, known: Iterable[str], what: str = "species", hint: str = "") -> str:
    """Find the known name that was meant, forgiving case, spaces and underscores.

    Parameters
    ----------
    name
        What the person typed.
    known
        The names there are.
    what
        What the names are of, for the message.
    hint
        The next call to make, added to the message.

    Returns
    -------
    str
        The matching entry of `known`, spelled as it is there.

    Raises
    ------
    TypeError
        If `name` is not text.
    ValueError
        If no name, or more than one, matches; the message suggests the nearest.
    """
    known = [str(k) for k in known]
    if not isinstance(name, str):
        raise TypeError(f"A {what} is given by its name, a str. Got {name!r} instead.")
    if name in known:
        return name
    same = [k for k in known if fold(k) == fold(name)]
    if len(same) == 1:
        return same[0]
    if same:
        raise ValueError(f"{name!r} could be any of {', '.join(map(repr, same))}: type one of them exactly.")
    raise ValueError(" ".join(filter(None, [f"No {what} named {name!r}.", suggestion(name, known), hint])))


def suggestion(name: str, known: list[str]) -> str:
    """Write the "Did you mean" part of an error, or the list of names when none is near."""
    spellings: dict[str, list[str]] = {}
    for k in known:
        for spelling in dict.fromkeys([fold(k), _abbreviated(fold(k))]):
            spellings.setdefault(spelling, []).append(k)
    near = difflib.get_close_matches(fold(name), spellings, n=3, cutoff=0.6)
    if not near:
        near = [f for f in spellings if fold(name) in f.split()]
    near = list(dict.fromkeys(k for n in near for k in spellings[n]))[:3]
    if near:
        return f"Did you mean {' or '.join(map(repr, near))}?"
    if not known:
        return "There are none."
    return f"Known: {listed(map(repr, known[:12]), len(known))}."


def _abbreviated(name: str) -> str:
    """'heliconius erato' as 'h. erato', the way biologists write it."""
    first, _, rest = name.partition(" ")
    return f"{first[:1]}. {rest}" if rest else name


def choice(value: object, allowed: Iterable[str], parameter: str) -> str:
    """Return `value` if it is one of `allowed`, else raise naming parameter, choices and what came."""
    allowed = list(allowed)
    if isinstance(value, str) and value in allowed:
        return value
    near = difflib.get_close_matches(str(value), allowed, n=1)
    raise ValueError(
        f"{parameter} must be one of {', '.join(map(repr, allowed))}. Got {value!r} instead."
        + (f" Did you mean {near[0]!r}?" if near else "")
    )


def listed(named: Iterable[object], count: int, separator: str = ", ") -> str:
    """Write some names of so many: "a, b and 3 more"."""
    texts = [str(name) for name in named]
    return separator.join(texts) + (f" and {count - len(texts)} more" if count > len(texts) else "")


def slug(text: str, limit: int = 60) -> str:
    """Make a name that is safe as a file or group name: word characters, dots and hyphens only, never '..'.

    Spaces become underscores, and underscores two, so that "A b" and "A_b" stay two names; where more had to change, a
    short hash keeps different names apart ("A/B" and "A:B").
    """
    plain = unicodedata.normalize("NFC", text)
    clean = plain.replace("_", "__").replace(" ", "_")
    ambiguous = re.search(r"[ _][ _]|\.\.|^\W|[\W_]$|^_", plain) is not None
    if not ambiguous and re.fullmatch(r"[\w.-]+", clean) and len(clean) <= limit:
        return clean
    safe = re.sub(r"\.{2,}", ".", re.sub(r"[^\w.-]+", "_", plain).strip("._- "))
    digest = hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()[:6]
    return f"{safe[: max(limit - 7, 0)].rstrip('._-') or 'unnamed'}-{digest}"


def file_stem(target: str, references: Iterable[str]) -> str:
    """Name the files, and the traits, of a comparison: target and references."""
    names = list(references)
    told_apart = not any("-" in name for name in names)
    joined = "-".join(names) if told_apart else ",".join([*names, ""])  # commas make `slug` add a hash
    return f"{slug(target, 50)}-vs-{slug(joined, 70)}"
