"""Ask the network of a study what it says of pixels."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finerkit.similarity import head_species
from finerkit.species import Head, held_out_heads_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import xarray as xr

    from finerkit.models import Model


class Judge(NamedTuple):
    """What a network says of photos: logits of all species of a study."""

    species: list[str]
    logits: Callable[[Model, np.ndarray], np.ndarray]  # network or a copy, uint8 (batch, S, S, 3) -> (batch, species)
    held_out: Mapping[str, Judge] | None = None  # by image id: the judge whose head has not seen it

    def of(self, image: str) -> Judge | None:
        """Who judges a photo; None where every head has seen it or cannot know its species."""
        return self if self.held_out is None else self.held_out.get(image)

    def answers(self, network: Model, variants: Iterable[np.ndarray]) -> np.ndarray:
        """Logits, float64 (variant, species), of any number of inputs uint8 (S, S, 3), run in batches."""
        rest, found = iter(variants), []
        while batch := list(islice(rest, network.batch_size)):
            found.append(self.logits(network, np.stack(batch)))
        return np.concatenate(found).astype(np.float64)


def judge_of(study: xr.DataTree, *, held_out: bool = False) -> Judge:
    """Make the judge of a study: its trained head on the embedding, or the network's own classes.

    With `held_out`, each photo is judged by the cross-validated head that was fitted without it; a head that lacks a
    species of the study, because all its photos were held out, judges nothing.
    """
    species = head_species(study)
    if held_out:
        judges: dict[str, Judge] = {}
        for images, head in held_out_heads_of(study):
            if [str(s) for s in head.species] == species:
                judges |= dict.fromkeys(map(str, images), _judge(species, head))
        return Judge(species, _own_logits, judges)
    if study.attrs["head"] == "model":
        return Judge(species, _own_logits)
    table = study["species"].to_dataset()
    return _judge(species, Head(table["species"].values, *(table[n].values.astype(float) for n in ("weight", "bias"))))


def _own_logits(network: Model, pixels: np.ndarray) -> np.ndarray:
    return network.logits(pixels)


def _judge(species: list[str], head: Head) -> Judge:
    return Judge(species, lambda network, pixels: head.logits(network.features(pixels)[1]))
