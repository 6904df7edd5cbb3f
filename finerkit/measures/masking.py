"""Measure what the network loses or gains when a map's pixels are hidden."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import softmax

from finerkit.measures.definitions import DROPS, NETWORK_METRICS
from finerkit.measures.maps import count_of, strongest_first
from finerkit.species.heads import Head, held_out_heads_of
from finerkit.species.similarity import head_species

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import xarray as xr

    from finerkit.networks import Model
    from finerkit.photos.masks import Masks
    from finerkit.photos.preprocess import Preprocess


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


class Plan(NamedTuple):
    """What is to be measured, checked; and where the network runs, by whom and which two species it is judged."""

    metrics: tuple[str, ...]
    top: tuple[float, ...]
    steps: tuple[float, ...]
    fill: str
    seed: int
    masks: Masks
    trait_masks: Masks
    preprocess: Preprocess
    judge: Judge | None = None
    both: tuple[int, ...] = ()  # positions of the target and the nearest reference
    model: Model | None = None


def masking_scores(
    keys: np.ndarray,
    plan: Plan,
    answers: Callable[[Iterable[np.ndarray]], np.ndarray],
    hide: Callable[[np.ndarray], np.ndarray],
) -> dict[str, np.ndarray]:
    """Mask one photo by several maps and see what the network says.

    Parameters
    ----------
    keys
        (map, S, S): what pixels are ordered by; maps of NaN are left out.
    plan
        What to ask.
    answers
        Logits (variant, species) of inputs uint8 (S, S, 3).
    hide
        From `finerkit.measures.fills.filler`.

    Returns
    -------
    dict
        ``relative_drop`` and ``margin_drop`` (map, top), ``deletion`` and ``insertion`` (map, step), their ``_area``
        (map), as asked; ``probability`` and ``probability_reference``, of the whole photo.
    """
    shape, known = keys.shape[1:], np.flatnonzero(~np.isnan(keys).any((1, 2)))
    orders = [strongest_first(keys[m]) for m in known]
    variants = {_packed(np.zeros(shape, bool)): 0}  # the whole photo, then every set of hidden pixels, each once
    found: dict[str, np.ndarray] = {}
    for metric in (m for m in plan.metrics if m in NETWORK_METRICS):
        shares = plan.top if metric in DROPS else plan.steps
        found[metric] = np.empty((len(known), len(shares)), int)
        for (m, s), _ in np.ndenumerate(found[metric]):
            hidden = np.zeros(keys[0].size, bool)
            hidden[orders[m][: count_of(shares[s], hidden.size)]] = True
            found[metric][m, s] = variants.setdefault(_packed(hidden ^ (metric == "insertion")), len(variants))
    logits = answers(hide(_unpacked(bits, shape)) for bits in variants)
    chance, logit = softmax(logits, axis=1)[:, list(plan.both)].T, logits[:, list(plan.both)].T
    said = {"relative_drop": _drop(chance), "margin_drop": _drop(logit), "deletion": chance[0], "insertion": chance[0]}
    out = {"probability": chance[0, 0], "probability_reference": chance[1, 0]}
    for metric, variant in found.items():
        out[metric] = np.full((len(keys), variant.shape[1]), np.nan)
        out[metric][known] = said[metric][variant]
        if metric not in DROPS:
            out[f"{metric}_area"] = np.trapezoid(out[metric], plan.steps, axis=1)
    return out


def _drop(both: np.ndarray) -> np.ndarray:
    """How much more the target loses than the reference, (variant,), of values (2, variant), the whole photo first."""
    margin = both[0] - both[1]
    return margin[0] - margin


def _packed(hidden: np.ndarray) -> bytes:
    return np.packbits(hidden).tobytes()


def _unpacked(bits: bytes, shape: tuple[int, int]) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=shape[0] * shape[1]).reshape(shape).astype(bool)


def judge_of(study: xr.DataTree, *, held_out: bool = False) -> Judge:
    """Make the judge of a study: its trained head on the embedding, or the network's own classes.

    With `held_out`, each photo is judged by the cross-validated head that was fitted without it; a head that lacks a
    species of the study, because all its photos were held out, judges nothing.
    """
    species = head_species(study)

    def own(network: Model, pixels: np.ndarray) -> np.ndarray:
        return network.logits(pixels)

    if held_out:
        judges: dict[str, Judge] = {}
        for images, head in held_out_heads_of(study):
            if [str(s) for s in head.species] == species:
                judges |= dict.fromkeys(map(str, images), _judge(species, head))
        return Judge(species, own, judges)
    if study.attrs["head"] == "model":
        return Judge(species, own)
    table = study["species"].to_dataset()
    return _judge(species, Head(table["species"].values, *(table[n].values.astype(float) for n in ("weight", "bias"))))


def _judge(species: list[str], head: Head) -> Judge:
    return Judge(species, lambda network, pixels: head.logits(network.features(pixels)[1]))
