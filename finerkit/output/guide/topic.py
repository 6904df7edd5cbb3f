"""Check what `write_guide` was given, and choose the photos that the guide is about."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from finerkit.base.provenance import check_same_origin
from finerkit.base.roles import references_of, target_of
from finerkit.base.text import plain_text
from finerkit.evidence.comparison import as_pair
from finerkit.evidence.contrast import DEFAULT_STRENGTH
from finerkit.output.tables.frames import evidence_table
from finerkit.store.photo_paths import located
from finerkit.store.study import as_study, study_of


class Topic(NamedTuple):
    """Everything that the sections of a guide tell of."""

    pair: xr.Dataset  # photos of the target that could be explained
    target: str
    references: list[str]
    traits: xr.Dataset | None
    scores: xr.Dataset | None
    study: xr.DataTree | None
    strength: float
    failed: int  # photos that could not be explained

    @property
    def photos(self) -> xr.Dataset:
        """All photos that can be shown: the study's, or without it the comparison's own."""
        return self.pair if self.study is None else self.study["images"].to_dataset()

    @property
    def species(self) -> list[str]:
        """The target, then its references."""
        return [self.target, *self.references]

    def clearest(self) -> list[str]:
        """Ids of the photos, that of the largest margin first."""
        return evidence_table(self.pair)["margin"].sort_values(ascending=False, kind="stable").index.tolist()

    def wins(self) -> dict[str, int | bool]:
        """Count the photos that are told from every reference; ``unseen``: by heads that had not seen them."""
        unseen = bool(self.pair.get("logit_cross_validated", xr.DataArray(np.nan)).notnull().any())
        logit = self.pair["logit_cross_validated" if unseen else "logit"]
        others = logit.sel(species=self.references).max("species", skipna=False)
        lead = (logit.sel(species=self.target, drop=True) - others).values
        return {"photos": int((lead > 0).sum()), "of": int(np.isfinite(lead).sum()), "unseen": unseen}


def topic_of(
    comparison: xr.Dataset,
    traits: xr.Dataset | None,
    scores: xr.Dataset | None,
    study: xr.DataTree | None,
    strength: float | None,
) -> Topic:
    """Check what `finerkit.write_guide` was given."""
    pair = as_pair(comparison)
    target, references = target_of(pair), references_of(pair)
    usable = pair["status"].values.astype(str) == "ok"
    own = pair["true_species"].values.astype(str) == target
    chosen = own if (own & usable).any() else np.ones_like(own)
    if not (chosen & usable).any():
        raise ValueError("No photo of this comparison could be explained: its 'status' says why.")
    topic = Topic(
        located(pair.isel(image=chosen & usable)),
        target,
        references,
        _of_the_same(traits, pair, "traits", "fk.find_traits(comparison)", "share_of_margin"),
        _of_the_same(scores, pair, "scores", "fk.score(comparison)", "map_kind"),
        _at_hand(pair, study),
        DEFAULT_STRENGTH,
        int((chosen & ~usable).sum()),
    )
    if strength is None:
        strength = DEFAULT_STRENGTH if topic.traits is None else float(topic.traits.attrs["strength"])
    if isinstance(strength, bool | str) or not 0 <= float(strength) <= 2:
        raise ValueError(f"strength must be a number in the range [0, 2]. Got {strength!r} instead.")
    return topic._replace(strength=float(strength))


def _of_the_same(data: xr.Dataset | None, pair: xr.Dataset, name: str, call: str, variable: str) -> xr.Dataset | None:
    """Traits or scores, if they are of this comparison."""
    if data is None:
        return None
    if not isinstance(data, xr.Dataset) or variable not in data.variables:
        raise TypeError(f"{name} must be a Dataset from {call}. Got a {type(data).__name__} instead.")
    asked, theirs = ((target_of(d), set(references_of(d))) for d in (pair, data))
    if theirs[0] != asked[0] or (name == "traits" and theirs[1] != asked[1]):
        raise ValueError(
            f"{name} must be of the same comparison, {_in_words(pair)}. Got those of {_in_words(data)} instead: "
            f"{name} = {call}."
        )
    check_same_origin(data, pair, name, call)
    return plain_text(data)


def _in_words(data: xr.Dataset) -> str:
    return f"{target_of(data)!r} against {', '.join(map(repr, references_of(data)))}"


def _at_hand(pair: xr.Dataset, study: xr.DataTree | None) -> xr.DataTree | None:
    """The study that is given, or the one the comparison names, if it is still there."""
    if study is not None:
        return as_study(study)
    try:
        return study_of(pair, None)
    except (ValueError, OSError):
        return None
