"""Additive evidence on a finer grid: a `Model`, pixels and a linear head enter; evidence and logits leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from finerkit.evidence import cam_evidence
from finerkit.methods.gradcam import cutter, frozen, logit_gradients, pointwise_product
from finerkit.methods.spread import spread_evidence

if TYPE_CHECKING:
    from finerkit.models.model import Model


def fine_evidence(
    model: Model, pixels: np.ndarray, weight: np.ndarray, bias: np.ndarray, layer: str
) -> tuple[np.ndarray, np.ndarray]:
    """Spread each class's evidence over the grid of an earlier layer, as HiResCAM there says.

    One forward pass, and one vector-Jacobian product per class through what comes after the layer, give both; see
    `finerkit.methods.spread` for the formula.

    Parameters
    ----------
    model
        The network.
    pixels
        uint8 (batch, S, S, 3), from ``model.preprocess.pixels``.
    weight, bias
        (class, feature) and (class,), of a head on the mean of the features.
    layer
        Dotted name, from `finerkit.methods.finer_layer.finer_layer`.

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
    leaf, cells, gradients = _pass(model, pixels, weight, layer)
    guide = torch.stack(pointwise_product(model, leaf, gradients, model.layer_layout(leaf)), 1).cpu().numpy()
    features = cells.half()  # rounded as in `Model.features`, so that logits are those of the study
    embedding = features.float().mean((1, 2)).cpu().numpy().astype(np.float64)
    coarse = cam_evidence(features.cpu().numpy(), weight)
    if guide.shape[2] < coarse.shape[2] or guide.shape[3] < coarse.shape[3] or guide.shape == coarse.shape:
        raise ValueError(
            f"detail='fine' needs a layer whose grid is finer than {coarse.shape[2]} x {coarse.shape[3]}. Got "
            f"{guide.shape[2]} x {guide.shape[3]} at {layer!r} instead: name an earlier one, or leave layer out."
        )
    return spread_evidence(coarse, guide), (embedding @ weight.T + bias).astype(np.float32)


def _pass(
    model: Model, pixels: np.ndarray, weight: np.ndarray, layer: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Layer output, features (batch, y, x, feature), and gradients (class, *layer output) of the logits."""
    caught, cut = cutter()
    with frozen(model.module), torch.enable_grad():
        with model.hooked(layer, cut):
            cells = model.cells(model.input(pixels)).float()
        if len(caught) != 1:
            raise ValueError(f"Layer {layer!r} ran {len(caught)} times in one forward pass: choose one that runs once.")
        rows = torch.as_tensor(np.asarray(weight), dtype=torch.float32, device=cells.device)
        gradients = logit_gradients(cells.mean((1, 2)) @ rows.T, caught[0], layer)
    return caught[0].detach(), cells.detach(), gradients
