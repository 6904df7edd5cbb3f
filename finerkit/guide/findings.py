"""What a comparison found, as numbers: it enters; in how many photos the target wins, and how well, leave."""

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


def accuracy(topic: Topic) -> float | None:
    """Cross-validated accuracy of the study over all its species, where it is known."""
    if topic.study is None or "species" not in topic.study.children:
        return None
    attrs = topic.study["species"].attrs
    return float(attrs["accuracy"]) if attrs.get("cross_validated") and "accuracy" in attrs else None
