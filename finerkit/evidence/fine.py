"""Spread additive evidence over a finer grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from finerkit.evidence.contrast import cam_evidence
from finerkit.evidence.gradcam import cut_at, frozen, logit_gradients, logits_of_mean, product
from finerkit.evidence.spread import spread_evidence

if TYPE_CHECKING:
    from finerkit.networks.model import Model


def fine_evidence(
    model: Model, pixels: np.ndarray, weight: np.ndarray, bias: np.ndarray, layer: str
) -> tuple[np.ndarray, np.ndarray]:
    """Spread each class's evidence over the grid of an earlier layer, as HiResCAM there says.

    One forward pass, and one vector-Jacobian product per class through what comes after the layer, give both; see
    `finerkit.evidence.spread` for the formula.

    Parameters
    ----------
    model
        The network.
    pixels
        uint8 (batch, S, S, 3), from ``model.preprocess.pixels``.
    weight, bias
        (class, feature) and (class,), of a head on the mean of the features.
    layer
        Dotted name, from `finerkit.evidence.finer_layer.finer_layer`.

    Returns
    -------
    evidence : numpy.ndarray
        float32 (batch, class, y, x), in logits: summed over the cells it is the logit less the bias. NaN where the
        features or the gradients are not finite.
    logit : numpy.ndarray
        float32 (batch, class).

    Raises
    ------
    ValueError
        If there is no such layer, its grid is not finer than the features', or the features do not depend on it.
    """
    with frozen(model.module), torch.enable_grad():
        with cut_at(model, layer) as caught:
            cells = model.cells(model.input(pixels)).float()
        gradients = logit_gradients(logits_of_mean(cells, weight, bias), caught[0], layer)
    guide = product(model, caught[0], gradients, pooled=False, pointwise=True)
    features = cells.detach().half()  # rounded as in `Model.features`, so that logits are those of the study
    embedding = features.float().mean((1, 2)).cpu().numpy().astype(np.float64)
    coarse = cam_evidence(features.cpu().numpy(), weight)
    if guide.shape[2] < coarse.shape[2] or guide.shape[3] < coarse.shape[3] or guide.shape == coarse.shape:
        raise ValueError(
            f"detail='fine' needs a layer whose grid is finer than {coarse.shape[2]} x {coarse.shape[3]}. Got "
            f"{guide.shape[2]} x {guide.shape[3]} at {layer!r} instead: name an earlier one, or leave layer out."
        )
    return spread_evidence(coarse, guide), (embedding @ weight.T + bias).astype(np.float32)
