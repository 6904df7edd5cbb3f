"""Find the cells that argue for the target, with their contribution vectors.

A cell's contribution vector is ``q[p] = F[p] * (w_t - g sum_d r_d w_d) / P``, channel by channel; its channels add up
to the contrast at the cell. Two cells with similar vectors argue for the target in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finerkit.networks.features import feature_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

    from finerkit.networks import Model
    from finerkit.species.heads import Head


def check_additive(comparison: xr.Dataset, call: str) -> None:
    """Raise ValueError if the evidence of a comparison does not add up to the logits."""
    method = comparison.attrs.get("method")
    if method != "cam":
        raise ValueError(
            f"{call} needs a comparison whose evidence adds up, from compare(..., method='cam'). Got method={method!r} "
            "instead."
        )


class Question(NamedTuple):
    """What is contrasted: one direction in feature space per photo, or the same for all."""

    target_weight: np.ndarray  # (feature,)
    reference_weight: np.ndarray  # (reference, feature)
    bias: np.ndarray  # (1 + reference,)
    strength: float
    objective: str

    @classmethod
    def of(cls, head: Head, names: list[str], strength: float, objective: str) -> Question:
        """What a head says of species, the target first."""
        at = [[*map(str, head.species)].index(name) for name in names]
        weight, bias = head.weight[at].astype(np.float64), head.bias[at].astype(np.float64)
        return cls(weight[0], weight[1:], bias, strength, objective)

    def directions(self, embedding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Direction (image, feature) of the contrast and its constant (image), in logits."""
        from finerkit.evidence.contrast import objective_weights

        logits = embedding.astype(np.float64) @ self.reference_weight.T + self.bias[1:]
        r = objective_weights(logits, self.objective)
        direction = self.target_weight - self.strength * r @ self.reference_weight
        return direction, self.bias[0] - self.strength * r @ self.bias[1:]


class Cells(NamedTuple):
    """Discriminative cells of some photos, photo by photo.

    ``photo``, ``y``, ``x`` (cell,) say which; ``evidence`` (cell,) is the contrast in logits; ``vector`` (cell,
    feature) the contribution vector at unit length, or what `reduce` made of it. ``maps`` (image, y, x) is the whole
    signed contrast, ``constant`` (image,) what the bias adds, ``margin`` (image,) the whole margin by the pooled
    features, independently of the maps; photos that failed are NaN.
    """

    photo: np.ndarray
    y: np.ndarray
    x: np.ndarray
    evidence: np.ndarray
    vector: np.ndarray
    maps: np.ndarray
    constant: np.ndarray
    margin: np.ndarray


def strong_cells(maps: np.ndarray, share: float) -> np.ndarray:
    """Mark the fewest cells that hold `share` of each map's positive evidence.

    Parameters
    ----------
    maps
        (image, y, x) signed contrast.
    share
        In (0, 1].

    Returns
    -------
    numpy.ndarray
        Boolean (image, y, x); nothing where a map has no positive evidence or is NaN. Ties are broken by position.
    """
    flat = np.maximum(np.nan_to_num(maps.reshape(len(maps), -1).astype(np.float64)), 0)
    order = np.argsort(-flat, axis=1, kind="stable")
    ranked = np.take_along_axis(flat, order, 1)
    before = np.cumsum(ranked, 1) - ranked
    wanted = (before < share * ranked.sum(1, keepdims=True) * (1 - 1e-9)) & (ranked > 0)
    marked = np.zeros_like(wanted)
    np.put_along_axis(marked, order, wanted, 1)
    return marked.reshape(maps.shape)


def discriminative_cells(
    study: xr.DataTree,
    photos: xr.Dataset,
    question: Question,
    share: float,
    reduce: object = None,
    model: Model | None = None,
) -> Cells:
    """Gather the strong cells of photos.

    Parameters
    ----------
    study, photos, model
        See `finerkit.networks.features.feature_chunks`.
    question
        What is contrasted.
    share
        See `strong_cells`.
    reduce
        Function from unit vectors (cell, feature) to fewer numbers, so that memory stays small; None keeps them.
    """
    parts = []
    for start, features, direction, maps, constant, margin in _chunks(study, photos, question, model):
        photo, y, x = np.nonzero(strong_cells(maps, share))
        vector = features[photo, y, x] * direction[photo]
        length = np.linalg.norm(vector, axis=1, keepdims=True)
        vector /= np.where(length > 0, length, 1)
        kept = vector if reduce is None else reduce(vector)
        parts.append((photo + start, y, x, maps[photo, y, x], kept, maps, constant, margin))
    return Cells(*map(np.concatenate, zip(*parts, strict=True)))


def contrasts(study: xr.DataTree, photos: xr.Dataset, question: Question, model: Model | None = None) -> np.ndarray:
    """Signed contrast of photos, (image, y, x), in logits; see `discriminative_cells`."""
    return np.concatenate([maps for _, _, _, maps, *_ in _chunks(study, photos, question, model)])


def _chunks(
    study: xr.DataTree, photos: xr.Dataset, question: Question, model: Model | None
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Start, features of the cells, direction, contrast, constant and margin of some photos at a time."""
    for start, cells, embedding, _ in feature_chunks(study, photos, model):
        direction, constant = question.directions(embedding)
        margin = (embedding * direction).sum(1) + constant
        direction = (direction / (cells.shape[1] * cells.shape[2])).astype(np.float32)
        features = cells.astype(np.float32)
        maps = np.einsum("nyxc,nc->nyx", features, direction, optimize=True)
        yield start, features, direction, maps, constant, margin
