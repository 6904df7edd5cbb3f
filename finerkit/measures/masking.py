"""Measure what the network loses or gains when a map's pixels are hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import softmax

from finerkit.measures.definitions import DROPS
from finerkit.measures.maps import count_of, strongest_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: (map, hide the strongest or keep only them, number of pixels).
Job = tuple[int, str, int]


class Asked(NamedTuple):
    """What is wanted of the network: shares of pixels, and the positions of target and nearest reference."""

    metrics: frozenset[str]
    top: tuple[float, ...]
    steps: tuple[float, ...]
    target: int
    reference: int


def masking_scores(
    pixels: np.ndarray,
    keys: np.ndarray,
    asked: Asked,
    answers: Callable[[Iterable[np.ndarray]], np.ndarray],
    hide: Callable[[np.ndarray], np.ndarray],
) -> dict[str, np.ndarray]:
    """Mask one photo by several maps and see what the network says.

    Parameters
    ----------
    pixels
        uint8 (S, S, 3).
    keys
        (map, S, S): what pixels are ordered by; maps of NaN are left out.
    asked
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
    size = pixels.shape[0] * pixels.shape[1]
    jobs = _jobs(keys, asked, size)
    shown = {_photo_of(job, size): None for job in jobs.values()}  # in order, each once
    shown[(-1, "hide", 0)] = None
    logits = answers(_variants(pixels, keys, shown, hide))
    both = [asked.target, asked.reference]
    found = dict(zip(shown, softmax(logits, axis=1)[:, both], strict=True))
    margin = dict(zip(shown, logits[:, both] @ [1, -1], strict=True))
    p, q = found[(-1, "hide", 0)]
    out: dict[str, np.ndarray] = {"probability": p, "probability_reference": q}
    for metric in asked.metrics:
        shares = asked.top if metric in DROPS else asked.steps
        values = np.full((len(keys), len(shares)), np.nan)
        for (name, m, s), job in jobs.items():
            if name == metric:
                p_masked, q_masked = found[_photo_of(job, size)]
                values[m, s] = p_masked
                if metric == "relative_drop":
                    values[m, s] = (p - p_masked) - (q - q_masked)
                elif metric == "margin_drop":
                    values[m, s] = margin[(-1, "hide", 0)] - margin[_photo_of(job, size)]
        out[metric] = values
        if metric not in DROPS:
            out[f"{metric}_area"] = np.trapezoid(values, asked.steps, axis=1)
    return out


def _jobs(keys: np.ndarray, asked: Asked, size: int) -> dict[tuple[str, int, int], Job]:
    """For each number wanted (metric, map, share): which pixels of which map to hide or keep."""
    jobs = {}
    for metric in sorted(asked.metrics):
        action = "keep" if metric == "insertion" else "hide"
        shares = asked.top if metric in DROPS else asked.steps
        for m in np.flatnonzero(~np.isnan(keys).any((1, 2))):
            for s, share in enumerate(shares):
                jobs[metric, int(m), s] = (int(m), action, count_of(share, size))
    return jobs


def _photo_of(job: Job, size: int) -> Job:
    """The photo that a job asks for; whole and fully hidden photos are the same for every map."""
    m, action, count = job
    if count in {0, size}:
        whole = (action == "hide") == (count == 0)
        return (-1, "hide", 0 if whole else size)
    return m, action, count


def _variants(
    pixels: np.ndarray, keys: np.ndarray, jobs: Iterable[Job], hide: Callable[[np.ndarray], np.ndarray]
) -> Iterator[np.ndarray]:
    orders: dict[int, np.ndarray] = {}
    shape = pixels.shape[:2]
    for m, action, count in jobs:
        if m < 0:
            yield hide(np.ones(shape, bool)) if count else pixels
            continue
        if m not in orders:
            orders[m] = strongest_first(keys[m])
        strongest = np.zeros(pixels.shape[0] * pixels.shape[1], bool)
        strongest[orders[m][:count]] = True
        hidden = strongest if action == "hide" else ~strongest
        yield hide(hidden.reshape(shape))
