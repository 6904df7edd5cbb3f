"""The planted truth: nothing enters; the table of invented look-alike pairs and their one telling trait leaves."""

from __future__ import annotations

from dataclasses import dataclass

#: The kinds of planted trait.
KINDS = ("presence", "colour", "shape", "texture")


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


#: Every pair that `mimics` can draw. Append only: a species' place in this table seeds its photos.
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
        "Lumisca",
        "solid forewing spots",
        "texture",
        "forewings",
        "Lumisca adora",
        "Lumisca pelion",
        "The row of small forewing spots is solid in L. adora and made of open rings in L. pelion.",
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

#: Species in the order that numbers them for the random generator.
SPECIES: tuple[str, ...] = tuple(species for pair in PAIRS for species in pair.species)


def pair_of(species: str) -> Pair:
    """Return the pair that a species belongs to (its full, exact name)."""
    return next(pair for pair in PAIRS if species in pair.species)
