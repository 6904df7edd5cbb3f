"""Count what a head mistakes: which photos it takes for which species, and which species it does not tell apart."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd

from finerkit.base.labels import counted, mean
from finerkit.base.names import listed

#: Of fewer photos none may be recognised by bad luck (p > .05) even where half would be.
_FEW = 5

#: Species are told apart where chance alone would do so well less often than this.
_CHANCE = 0.1

#: Names in a warning.
_NAMED = 8


class SpeciesWarning(UserWarning):
    """Some species cannot be told apart, or have too few photos to say; the message counts and names them."""


class Answers(NamedTuple):
    """How many photos of which species were taken for which; pairs that do not occur are left out."""

    own: np.ndarray  # (pair,) position of the photos' own species
    said: np.ndarray  # (pair,) position of the species they were taken for
    photos: np.ndarray  # (pair,) how many
    species: int  # how many species there are

    def judged(self) -> np.ndarray:
        """Photos (species,) with an answer."""
        return np.bincount(self.own, self.photos, self.species)

    def right(self) -> np.ndarray:
        """Photos (species,) that were recognised."""
        same = self.own == self.said
        return np.bincount(self.own[same], self.photos[same], self.species)

    def recall(self) -> np.ndarray:
        """Share (species,) of the photos that were recognised; NaN where there is no answer."""
        return mean(self.right(), self.judged())

    def accuracy(self) -> float:
        """Share of all photos that were recognised; NaN where there is no answer."""
        return float(self.right().sum() / self.photos.sum()) if len(self.photos) else float("nan")

    def commonest(self) -> float:
        """Share of the species with most photos, which who always names that one recognises; NaN as above."""
        return float(self.judged().max() / self.photos.sum()) if len(self.photos) else float("nan")

    def taken(self, own: np.ndarray, said: np.ndarray) -> np.ndarray:
        """Photos (question,) of the species at `own` that were taken for that at `said`."""
        photos = pd.Series(self.photos, self.own * self.species + self.said)
        return photos.reindex(own * self.species + said, fill_value=0).to_numpy()


def count_answers(own: np.ndarray, said: np.ndarray, species: int) -> Answers:
    """Count answers (photo,) by species (photo,), both positions among so many `species`; -1 where unknown."""
    judged = (own >= 0) & (said >= 0)
    pairs, photos = np.unique(own[judged] * species + said[judged], return_counts=True)
    return Answers(pairs // species, pairs % species, photos, species)


def confused(answers: Answers) -> np.ndarray:
    """Find the species that are not told from the one for which most of their mistaken photos are taken.

    Told apart they are where their own photos get their name more often than the photos of the other species do, by
    Fisher's exact test (one-sided, p < .1: of pairs that nothing tells apart, about nine of ten are found). Where the
    other one has fewer than five photos, those of all other species are taken. Species with fewer than five photos are
    not judged: too few to say.

    Parameters
    ----------
    answers
        By heads that had not seen the photos.

    Returns
    -------
    numpy.ndarray
        (pair, 2) positions of the species and of that which they are taken for; each pair once, by the one with the
        smaller share recognised; those with the smallest share first.
    """
    from scipy.stats import hypergeom

    judged, right = answers.judged(), answers.right()
    own, rival = _rivals(answers)
    own, rival = (part[judged[own] >= _FEW] for part in (own, rival))
    enough = judged[rival] >= _FEW
    named = np.bincount(answers.said, answers.photos, answers.species)  # photos that got the name
    others = np.where(enough, judged[rival], judged.sum() - judged[own])
    misnamed = np.where(enough, answers.taken(rival, own), named[own] - right[own])
    chance = hypergeom.sf(right[own] - 1, judged[own] + others, right[own] + misnamed, judged[own])
    pairs = np.stack([own, rival], 1)[chance >= _CHANCE]
    recall = answers.recall()
    pairs = pairs[np.lexsort((pairs[:, 0], -judged[pairs[:, 0]], recall[pairs[:, 0]]))]
    _, first = np.unique(np.sort(pairs, 1), axis=0, return_index=True)
    return pairs[np.sort(first)]


def _rivals(answers: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Species that were mistaken, and for which most often: of equals, the first by position."""
    mistakes = pd.DataFrame({"own": answers.own, "said": answers.said, "photos": answers.photos})
    mistakes = mistakes[answers.own != answers.said].sort_values(
        ["own", "photos", "said"], ascending=[True, False, True]
    )
    most = mistakes.drop_duplicates("own")
    return most["own"].to_numpy(), most["said"].to_numpy()


def name_confused(answers: Answers, names: np.ndarray) -> str:
    """Say which species (``names``, by position) are not told apart, and what to do; "" where all are."""
    pairs = confused(answers)
    if not len(pairs):
        return ""
    judged, right = answers.judged().astype(int), answers.right().astype(int)
    taken = answers.taken(*pairs.T)
    told = [
        f"{str(names[a])!r} (recognised in {right[a]} of {judged[a]} photos, {n} taken for {str(names[b])!r})"
        for (a, b), n in zip(pairs[:_NAMED], taken, strict=False)
    ]
    return (
        f"In photos that it had not seen, the head does not reliably tell {len(pairs)} species from another: "
        f"{listed(told, len(pairs))}. Maps that compare them may show no more than what it learned by heart: add "
        "photos, or check the labels."
    )


def warn_few(labels: np.ndarray, folds: int) -> None:
    """Name, in one `SpeciesWarning`, the species with fewer photos than folds."""
    species, count = counted(labels)
    few = species[count < folds]
    if len(few):
        warnings.warn(
            f"{len(few)} species with fewer photos than the {folds} folds of cross-validation: "
            f"{listed(few[:_NAMED], len(few))}. Their accuracy is uncertain.",
            SpeciesWarning,
            stacklevel=6,  # who called `finerkit.analyze`
        )
