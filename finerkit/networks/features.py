"""Give the cell features of photos, of a study or new ones, in chunks: kept or computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finerkit.networks.batches import Task, compute_in_chunks
from finerkit.photos.contents import are_same
from finerkit.store import groups as disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

    from finerkit.networks import Model


#: Status of photos that overflow.
NOT_FINITE = "the network's features are not finite (in float16)"


class FeatureChunk(NamedTuple):
    """Features of some consecutive photos; NaN for those that failed, whose reasons are in `failed` by position."""

    start: int
    cells: np.ndarray  # float16 (image, y, x, feature)
    embedding: np.ndarray  # float32 (image, feature)
    failed: dict[int, str]


def feature_chunks(study: xr.DataTree, photos: xr.Dataset, model: Model | None = None) -> Iterator[FeatureChunk]:
    """Read kept features, or run the study's network where they were not kept or the photos are new.

    Parameters
    ----------
    study
        Whose features and model to use.
    photos
        Like ``/images``.
    model
        The study's model, needed only if the network has to run and cannot be loaded by its name.

    Yields
    ------
    FeatureChunk
        Of at most `finerkit.store.groups.CHUNK` photos, in order.
    """
    if are_kept(study, photos):
        return _stored(study, photos)
    from finerkit.networks.of_study import model_of

    return _computed(photos, model_of(study, model))


def are_kept(study: xr.DataTree, photos: xr.Dataset) -> bool:
    """Whether the study holds the features of these very photos."""
    return "feature_map" in study["features"] and are_same(study, photos)


def _stored(study: xr.DataTree, photos: xr.Dataset) -> Iterator[FeatureChunk]:
    stored = study["features"].to_dataset()
    order = stored.indexes["image"].get_indexer(photos["image"].values)
    for start in range(0, len(order), disk.CHUNK):
        rows = stored[["feature_map", "embedding"]].isel(image=order[start : start + disk.CHUNK]).load()
        if not np.isfinite(rows["embedding"].values).all() or not np.isfinite(rows["feature_map"].values).all():
            raise OSError(
                "Features of some photos are missing from the study's store: was it copied in part, or moved? Open it "
                "again with fk.open_study(...), or make it anew with fk.analyze(..., overwrite=True)."
            )
        yield FeatureChunk(start, rows["feature_map"].values, rows["embedding"].values, {})


def _computed(photos: xr.Dataset, model: Model) -> Iterator[FeatureChunk]:
    for start, values, failed in compute_in_chunks(photos["path"].values, disk.CHUNK, model, features_task(model)):
        yield FeatureChunk(start, values["feature_map"], values["embedding"], failed)


def features_task(model: Model, *, maps: bool = True, own_logit: int = 0) -> Task:
    """What the network says of photos.

    Parameters
    ----------
    model
        The network.
    maps
        Keep the features per cell, ``feature_map`` (image, y, x, feature), beside ``embedding`` (image, feature).
    own_logit
        Number of classes of the network's own head, whose logits are asked for too; 0 for none.
    """

    def run(network: Model, pixels: np.ndarray) -> dict[str, np.ndarray]:
        cells, embedding = network.features(pixels)
        found = {"embedding": embedding}
        if maps:
            found["feature_map"] = cells
        if own_logit:
            found["own_logit"] = network.logits(pixels)
        return found

    shapes = {"embedding": ((model.n_features,), "float32")}
    if maps:
        shapes["feature_map"] = ((*model.grid, model.n_features), "float16")
    if own_logit:
        shapes["own_logit"] = ((own_logit,), "float32")
    return Task(run, shapes, "embedding", NOT_FINITE)
