"""Compute the evidence and logits that answer a question, chunk by chunk.

"cam" reads kept features (or runs the network where there are none), the other methods run the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from finerkit.evidence.contrast import cam_evidence
from finerkit.networks.batches import Task, compute_in_chunks
from finerkit.networks.features import feature_chunks
from finerkit.species.similarity import head_species
from finerkit.store import groups as disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import xarray as xr

    from finerkit.networks import Model

    #: Takes the network, or a copy of it, and pixels; returns evidence and logits.
    Explain = Callable[[Model, np.ndarray], tuple[np.ndarray, np.ndarray]]

#: Status of photos whose features or gradients overflow.
NOT_FINITE = "its evidence is not finite"

#: Start, evidence (image, species, y, x), logit (image, species) and reasons by position, of one chunk of photos.
Chunk = tuple[int, np.ndarray, np.ndarray, dict[int, str]]


class Plan(NamedTuple):
    """How to answer: ``grid`` of the evidence, ``layer`` and other facts for attrs, and who explains photos."""

    grid: tuple[int, int]
    facts: dict[str, Any]
    explain: Callable[[xr.Dataset], Iterator[Chunk]]


def plan(
    study: xr.DataTree, names: list[str], method: str, detail: str, layer: str | None, model: Model | None
) -> Plan:
    """Choose how to compute the evidence of some classes.

    Parameters
    ----------
    study
        Whose head and model to use.
    names
        Classes, target first.
    method, detail, layer, model
        See `finerkit.compare`; a layer of None is the default one.

    Raises
    ------
    ValueError
        If the method does not fit the head, or the layer the network; before anything is written.
    """
    if method != "cam":
        return _gradcam(study, names, method, layer, model)
    if "weight" not in study["species"]:
        raise ValueError(
            "method='cam' needs a head that is linear in the mean of the features, which this network's own head "
            "is not: use method='gradcam', or analyze(..., head='linear')."
        )
    head = study["species"].to_dataset().sel(species=names)
    if detail == "fine":
        return _fine(study, head, layer, model)
    return Plan(study.finerkit.grid, {"layer": "features"}, lambda p: _cam_chunks(study, p, head, model))


def _cam_chunks(study: xr.DataTree, photos: xr.Dataset, head: xr.Dataset, model: Model | None) -> Iterator[Chunk]:
    weight, bias = head["weight"].values, head["bias"].values
    for start, cells, embedding, failed in feature_chunks(study, photos, model):
        logit = embedding.astype(np.float64) @ weight.T.astype(np.float64) + bias
        yield start, cam_evidence(cells, weight), logit.astype(np.float32), failed


def _fine(study: xr.DataTree, head: xr.Dataset, layer: str | None, model: Model | None) -> Plan:
    from finerkit.evidence.fine import fine_evidence
    from finerkit.evidence.finer_layer import finer_layer
    from finerkit.networks.of_study import model_of

    model = model_of(study, model)
    layer = layer or finer_layer(model)
    weight, bias = head["weight"].values, head["bias"].values
    facts = {"layer": "features", "detail_layer": layer}
    return _with_network(lambda network, pixels: fine_evidence(network, pixels, weight, bias, layer), model, facts)


def _gradcam(study: xr.DataTree, names: list[str], method: str, layer: str | None, model: Model | None) -> Plan:
    from finerkit.evidence.gradcam import default_layer, gradcam_evidence
    from finerkit.networks.of_study import model_of

    model = model_of(study, model)
    layer = layer or default_layer(model)
    table, known = study["species"].to_dataset(), head_species(study)
    classes = np.array([known.index(n) for n in names])
    head = None if study.attrs["head"] == "model" else (table["weight"].values, table["bias"].values)

    def explain(network: Model, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return gradcam_evidence(network, pixels, classes, layer, head, pointwise=method == "hirescam")

    return _with_network(explain, model, {"layer": layer})


def _with_network(explain: Explain, model: Model, facts: dict[str, Any]) -> Plan:
    """A plan that runs the network; a blank photo tells the shape of the answer, and whether there is one."""
    side = model.preprocess.image_size
    shape = explain(model, np.zeros((1, side, side, 3), np.uint8))[0].shape[1:]
    return Plan(shape[1:], facts, lambda photos: _explained(photos, shape, explain, model))


def _explained(photos: xr.Dataset, shape: tuple[int, ...], explain: Explain, model: Model) -> Iterator[Chunk]:
    """Explain chunk by chunk; `shape` is (class, y, x)."""

    def run(network: Model, pixels: np.ndarray) -> dict[str, np.ndarray]:
        evidence, logit = explain(network, pixels)
        return {"evidence": evidence, "logit": logit}

    task = Task(run, {"evidence": (shape, "float32"), "logit": (shape[:1], "float32")}, "evidence", NOT_FINITE)
    for start, values, failed in compute_in_chunks(photos["path"].values, disk.CHUNK, model, task):
        yield start, values["evidence"], values["logit"], failed
