"""Measure a comparison photo by photo: each photo's values, and its status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from finerkit.base.geometry import GridPlace
from finerkit.base.interpolation import upsample
from finerkit.measures.definitions import MASK_METRICS, TRAIT_METRICS
from finerkit.measures.fills import filler
from finerkit.measures.maps import edge_map, random_map, ranking
from finerkit.measures.masking import masking_scores
from finerkit.measures.places import Maps, animal_scores, trait_scores
from finerkit.networks.decode_ahead import run_photos
from finerkit.photos.masks import mask_of
from finerkit.store.photo_paths import paths_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import xarray as xr

    from finerkit.measures.masking import Plan
    from finerkit.networks import Model
    from finerkit.networks.decode_ahead import Batch


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
    status = photos["status"].values.astype(object)
    values: list[dict[str, np.ndarray]] = [{} for _ in status]
    finite = np.isfinite(signed).all((1, 2, 3))
    todo = np.flatnonzero((status == "ok") & finite)
    status[(status == "ok") & ~finite] = "its evidence is not finite"

    def see(network: Model | None, batch: Batch) -> tuple[Maps, dict[str, np.ndarray]] | None:
        at = [todo[i] for i in batch.indices]  # one, or none where photos failed
        return _seen(batch.pixels[0], signed[at[0]], photos.isel(image=at[0]), plan, network) if at else None

    batches = run_photos([paths_of(photos)[todo]], plan.preprocess)
    with tqdm(total=len(todo), desc="scores", unit="photo", disable=not progress, delay=1) as bar:
        for batch, seen in _through(batches, plan.model, see):
            status[todo[[*batch.failed]]] = [*batch.failed.values()]
            for i in todo[batch.indices]:
                values[i], status[i] = _scored(*seen, photos.isel(image=i), plan)
            bar.update(len(batch.failed) + len(batch.indices))
    return values, status


def _through(batches: Iterator[Batch], model: Model | None, see: Callable[[Model | None, Batch], Any]) -> Iterable:
    """Each batch with what is seen of it, by the network where one is asked."""
    if model is None:
        return ((batch, see(None, batch)) for batch in batches)
    from finerkit.networks.replicas import through

    return through(batches, model, see)


def _seen(
    pixels: np.ndarray, signed: np.ndarray, photo: xr.Dataset, plan: Plan, network: Model | None
) -> tuple[Maps, dict[str, np.ndarray]]:
    """A photo's maps, of every strength and the baselines, and what the network says of masking by them."""
    image, grid = str(photo["image"].item()), signed.shape[1:]
    signed = np.concatenate([signed, [random_map(image, grid, plan.seed), edge_map(pixels, grid)]])
    shown = np.maximum(signed, 0)
    empty = ~(shown.sum((1, 2)) > 0)
    shown[empty] = np.nan
    maps, out = Maps(shown, signed, GridPlace.of(photo)), {"empty": empty.astype(float)}
    judge = None if plan.judge is None else plan.judge.of(image)
    if judge is not None:
        keys = ranking(upsample(shown, pixels.shape[:2]), upsample(signed, pixels.shape[:2]))
        keys[empty] = np.nan
        hide = filler(pixels, plan.fill, plan.preprocess.mean)
        out |= masking_scores(keys, plan, lambda variants: judge.answers(network, variants), hide)
    return maps, out


def _scored(
    maps: Maps, values: dict[str, np.ndarray], photo: xr.Dataset, plan: Plan
) -> tuple[dict[str, np.ndarray], str]:
    """All values of one photo, and its status: "ok", or what is wrong with its masks."""
    problems = []
    if plan.judge is not None and "probability" not in values:
        problems.append("no cross-validated head of the study knows all species but not this photo")
    for masks, group in ((plan.masks, MASK_METRICS), (plan.trait_masks, TRAIT_METRICS)):
        if not set(group) & set(plan.metrics):
            continue
        try:
            mask = mask_of(masks, str(photo["image"].item()), photo)
        except (ValueError, OSError) as error:
            problems.append(str(error))
            continue
        if mask is not None:
            values |= animal_scores(maps, mask) if group is MASK_METRICS else trait_scores(maps, mask, plan.top)
    return values, "; ".join(problems) or "ok"
