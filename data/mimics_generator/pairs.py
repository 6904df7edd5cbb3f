"""The pairs that can be drawn: those of the shipped sample and one more, in the order that seeds their photos."""

from __future__ import annotations

from finerkit.datasets import PAIRS as SHIPPED
from finerkit.datasets import Pair

#: The kinds of planted trait.
KINDS = ("presence", "colour", "shape", "texture")

_LUMISCA = Pair(
    "Lumisca",
    "solid forewing spots",
    "texture",
    "forewings",
    "Lumisca adora",
    "Lumisca pelion",
    "The row of small forewing spots is solid in L. adora and made of open rings in L. pelion.",
)

#: Every pair that can be drawn. Append only: a species' place in this table seeds its photos.
PAIRS: tuple[Pair, ...] = (*SHIPPED[:3], _LUMISCA, *SHIPPED[3:])

#: Species in the order that numbers them for the random generator.
SPECIES: tuple[str, ...] = tuple(species for pair in PAIRS for species in pair.species)


def pair_of(species: str) -> Pair:
    """Return the pair that a species belongs to (its full, exact name)."""
    return next(pair for pair in PAIRS if species in pair.species)
