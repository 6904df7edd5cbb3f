"""The invented look-alike pairs and their one telling trait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finerkit.base.checks import whole
from finerkit.base.names import resolve

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Pair:
    """Two invented species of one genus that share everything but one planted trait.

    Attributes
    ----------
    genus
        The name of the pair.
    trait
        What tells the two apart, in a few words.
    kind
        "presence", "colour", "shape" or "texture".
    part
        The part of the animal that bears the trait: "forewings" or "hindwings".
    shows, lacks
        Full names of the species which shows the trait and of its look-alike which does not.
    difference
        One sentence for people: what to look for.
    """

    genus: str
    trait: str
    kind: str
    part: str
    shows: str
    lacks: str
    difference: str

    @property
    def species(self) -> tuple[str, str]:
        """Both species, the one that shows the trait first."""
        return self.shows, self.lacks


#: The pairs of the shipped sample (the generator under ``data/`` can draw a fifth, *Lumisca*).
PAIRS: tuple[Pair, ...] = (
    Pair(
        "Velanthis",
        "hindwing eyespot",
        "presence",
        "hindwings",
        "Velanthis marena",
        "Velanthis corvida",
        "V. marena has a large eyespot on each hindwing; V. corvida has none there.",
    ),
    Pair(
        "Ruvessa",
        "crimson forewing band",
        "colour",
        "forewings",
        "Ruvessa calyra",
        "Ruvessa tolmera",
        "The band across the forewing is crimson in R. calyra and pale yellow in R. tolmera.",
    ),
    Pair(
        "Ostrelia",
        "hindwing tail",
        "shape",
        "hindwings",
        "Ostrelia senda",
        "Ostrelia lirica",
        "O. senda has a slender tail on each hindwing; the hindwing of O. lirica is rounded.",
    ),
    Pair(
        "Nervada",
        "orange hindwing corner spot",
        "presence",
        "hindwings",
        "Nervada tessia",
        "Nervada ilvana",
        "N. tessia has a small orange spot at the inner corner of each hindwing; N. ilvana lacks it.",
    ),
)


def chosen(pairs: int | str | Sequence[str] | None, known: Sequence[Pair]) -> list[Pair]:
    """Return the pairs that a person asked for, in the order of `known`, each once."""
    if pairs is None:
        return list(known)
    names = [pairs] if isinstance(pairs, str) else pairs
    if not np.iterable(names):
        return list(known[: whole(pairs, "pairs", 1, len(known), hint="Or give names of pairs.")])
    genera = [pair.genus for pair in known]
    wanted = {resolve(name, genera, "pair", "See fk.datasets.PAIRS.") for name in names}
    if not wanted:
        raise ValueError(f"pairs must be a number or names such as ['{genera[0]}']. Got {pairs!r} instead.")
    return [pair for pair in known if pair.genus in wanted]
