"""Count in how many photos of a comparison the target wins, and how well its study tells species apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from finerkit.guide.question import Topic


class Wins(NamedTuple):
    """Photos in which the target's logit is above every reference's; ``unseen``: by heads that had not seen them."""

    photos: int
    of: int
    unseen: bool


def wins(topic: Topic) -> Wins:
    """Count the photos that are told from every reference."""
    pair = topic.pair
    unseen = "logit_cross_validated" in pair and bool(np.isfinite(pair["logit_cross_validated"].values).any())
    logit = pair["logit_cross_validated" if unseen else "logit"]
    lead = logit.sel(species=topic.target, drop=True) - logit.sel(species=topic.references).max("species", skipna=False)
    known = lead.values[np.isfinite(lead.values)]
    return Wins(int((known > 0).sum()), len(known), unseen)


class Accuracy(NamedTuple):
    """Share of photos whose species heads that had not seen them named right, NaN where that could not be judged.

    ``chance`` is what always naming the commonest species would reach, None where it is not known.
    """

    value: float
    chance: float | None


def accuracy(topic: Topic) -> Accuracy | None:
    """Cross-validated accuracy of the study over all its species; None where it was not cross-validated."""
    if topic.study is None or "species" not in topic.study.children:
        return None
    attrs = topic.study["species"].attrs
    if not attrs.get("cross_validated") or "accuracy" not in attrs:
        return None
    return Accuracy(float(attrs["accuracy"]), float(attrs["chance_level"]) if "chance_level" in attrs else None)
