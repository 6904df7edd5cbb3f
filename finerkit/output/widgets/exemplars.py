"""Choose the typical photos of a species: the few nearest to its prototype."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finerkit.base.labels import usable_labels

if TYPE_CHECKING:
    import xarray as xr


#: Stretches of photos, and photos in each, that are looked at; stretches, since chunks are read whole.
_STRETCHES, _EACH = 16, 32


class Exemplar(NamedTuple):
    """A photo that stands for its species: id, file, and size of the upright original in pixels."""

    image: str
    path: str
    width: int
    height: int


def exemplars(study: xr.DataTree, species: str, count: int | None = None) -> list[Exemplar]:
    """Photos of a species, the most typical first: those whose embeddings lie nearest to their mean.

    Of a species with very many photos, 512 that are spread over them are looked at.

    Parameters
    ----------
    study
        From `finerkit.analyze`. Where it has no embeddings, the first photos are taken.
    species
        Name, as the study spells it.
    count
        How many, at most; by default all that are looked at.
    """
    images = study["images"].to_dataset()
    rows = np.flatnonzero(usable_labels(images) == species)
    if len(rows) > (count or 1) and "features" in study.children:
        rows = _spread(rows)
        embedding = study["features"]["embedding"].isel(image=rows).values.astype(np.float64)
        distance = np.linalg.norm(embedding - embedding.mean(0), axis=1)
        rows = rows[np.argsort(distance, kind="stable")]
    chosen = images.isel(image=rows[:count])
    columns = (chosen["image"], chosen["path"], chosen["width"], chosen["height"])
    return [Exemplar(str(i), str(p), int(w), int(h)) for i, p, w, h in zip(*(c.values for c in columns), strict=True)]


def _spread(rows: np.ndarray) -> np.ndarray:
    """Some positions out of very many, in stretches; all of them where they are few."""
    if len(rows) <= _STRETCHES * _EACH:
        return rows
    starts = np.linspace(0, len(rows) - _EACH, _STRETCHES).astype(int)
    return rows[(starts[:, None] + np.arange(_EACH)).ravel()]
