"""Measure a comparison photo by photo: each photo's values, and its status."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from finerkit.decoding import run_photos
from finerkit.located import paths_of
from finerkit.measures.definitions import MASK_METRICS, TRAIT_METRICS
from finerkit.measures.fills import filler
from finerkit.measures.maps import edge_map, random_map, ranking, upsample
from finerkit.measures.masking import Asked, masking_scores
from finerkit.measures.places import Maps, animal_scores, trait_scores
from finerkit.preprocess import Placement, Preprocess
from finerkit.traits.place import mask_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import xarray as xr

    from finerkit.measures.network import Judge
    from finerkit.models import Model
    from finerkit.traits.place import Masks


class Plan(NamedTuple):
    """What is to be measured, checked."""

    metrics: tuple[str, ...]
    top: tuple[float, ...]
    steps: tuple[float, ...]
    fill: str
    seed: int
    masks: Masks
    trait_masks: Masks
    preprocess: Preprocess
    judge: Judge | None = None
    asked: Asked | None = None
    model: Model | None = None


class Photo(NamedTuple):
    """A photo to be scored: its position and its pixels, uint8 (S, S, 3), or why there are none."""

    at: int
    pixels: np.ndarray | None
    reason: str


class Seen(NamedTuple):
    """A photo's maps, of every strength and the baselines, and what the network says of masking by them."""

    shown: np.ndarray  # (map, y, x) the positive part; NaN where there is none
    signed: np.ndarray  # (map, y, x)
    judged: bool
    values: dict[str, np.ndarray]


def measure(
    photos: xr.Dataset, signed: np.ndarray, plan: Plan, progress: bool
) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """Measure every photo of a comparison, several at once where the network runs on a CPU.

    Parameters
    ----------
    photos
        The comparison without its evidence.
    signed
        (image, strength, y, x).
    plan
        What to measure. Its functions that give masks are called from this thread alone.
    progress
        Show a progress bar.

    Returns
    -------
    values : list of dict
        Of each photo, by name, over (strengths, random, edge).
    status : numpy.ndarray of str
        Of each photo.
    """
    ids = [str(i) for i in photos["image"].values]
    status = photos["status"].values.astype(object)
    values: list[dict[str, np.ndarray]] = [{} for _ in ids]
    todo = np.flatnonzero((status == "ok") & np.isfinite(signed).all((1, 2, 3)))
    status[(status == "ok") & ~np.isfinite(signed).all((1, 2, 3))] = "its evidence is not finite"

    def see(network: Model | None, photo: Photo) -> Seen | None:
        i = todo[photo.at]
        return None if photo.pixels is None else _seen(photo.pixels, signed[i], ids[i], plan, network)

    with tqdm(total=len(todo), desc="scores", unit="photo", disable=not progress, delay=1) as bar:
        for (at, _, reason), seen in _through(_photos(paths_of(photos)[todo], plan), plan.model, see):
            i = todo[at]
            if seen is None:
                status[i] = reason
            else:
                values[i], status[i] = _scored(seen, ids[i], photos.isel(image=i), plan)
            bar.update()
    return values, status


def _photos(paths: np.ndarray, plan: Plan) -> Iterator[Photo]:
    device = None if plan.model is None else plan.model.device
    for indices, pixels, failed, _ in run_photos([paths], plan.preprocess, device=device):
        for i, reason in failed.items():
            yield Photo(i, None, reason)
        for i, one in zip(indices, pixels, strict=True):
            yield Photo(i, one, "")


def _through(
    photos: Iterator[Photo], model: Model | None, see: Callable[[Model | None, Photo], Seen | None]
) -> Iterator[tuple[Photo, Seen | None]]:
    """Each photo with what is seen of it, by the network where one is asked."""
    if model is None:
        return ((photo, see(None, photo)) for photo in photos)
    from finerkit.crew import through

    return through(photos, model, see)


def _seen(pixels: np.ndarray, signed: np.ndarray, image: str, plan: Plan, network: Model | None) -> Seen:
    baselines = np.stack([random_map(image, signed.shape[1:], plan.seed), edge_map(pixels, signed.shape[1:])])
    signed = np.concatenate([signed, baselines])
    shown = np.maximum(signed, 0)
    empty = ~(shown.sum((1, 2)) > 0)
    shown[empty] = np.nan
    out: dict[str, np.ndarray] = {"empty": empty.astype(float)}
    judge = None if plan.judge is None else plan.judge.of(image)
    if judge is None or plan.asked is None or network is None:
        return Seen(shown, signed, judged=False, values=out)
    keys = ranking(upsample(shown, pixels.shape[:2]), upsample(signed, pixels.shape[:2]))
    keys[empty] = np.nan
    hide = filler(pixels, plan.fill, plan.preprocess.mean)
    out |= masking_scores(pixels, keys, plan.asked, lambda variants: judge.answers(network, variants), hide)
    return Seen(shown, signed, judged=True, values=out)


def _scored(seen: Seen, image: str, photo: xr.Dataset, plan: Plan) -> tuple[dict[str, np.ndarray], str]:
    """All values of one photo, and its status: "ok", or what is wrong with its masks."""
    out = dict(seen.values)
    grid = Placement(*(photo[f"cell_{n.removeprefix('cell_')}"].item() for n in Placement._fields))
    maps = Maps(seen.shown, seen.signed, grid)
    problems = []
    if plan.judge is not None and not seen.judged:
        problems.append("no cross-validated head of the study knows all species but not this photo")
    for masks, group in ((plan.masks, MASK_METRICS), (plan.trait_masks, TRAIT_METRICS)):
        if not set(group) & set(plan.metrics):
            continue
        try:
            mask = mask_of(masks, image, photo)
        except (ValueError, OSError) as error:
            problems.append(str(error))
            continue
        if mask is not None:
            out |= animal_scores(maps, mask) if group is MASK_METRICS else trait_scores(maps, mask, plan.top)
    return out, "; ".join(problems) or "ok"
