"""Compute Grad-CAM evidence, signed and unscaled, of several classes at once.

For a layer with activations A (P cells), the linear form of Grad-CAM (Selvaraju et al., ICCV 2017) before its relu is::

    E_k[p] = A[p] . mean_p' dy_k / dA[p']

and its pointwise form (HiResCAM, Draelos and Carin 2020, arXiv 2011.08891), which keeps each cell's own gradient and is
the sharper one at earlier layers with finer grids::

    E_k[p] = A[p] . dy_k / dA[p]

The gradient is linear in the logits, so the contrast of classes is the contrast of their evidence. Only the part of the
network after the layer is differentiated: what comes before it runs without a graph.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from finerkit.networks.model import Model

#: Stands for the pooled features themselves, where the network is cut.
FEATURES = "features"


def default_layer(model: Model) -> str:
    """Layer to explain: the first norm of the last block of a transformer, else the pooled features.

    A transformer's later layers have no gradient at the patches when only the class token is read out.
    """
    blocks = getattr(model.module, "blocks", None)
    if model.split.layout == "NLC" and isinstance(blocks, torch.nn.Sequential | torch.nn.ModuleList) and len(blocks):
        last = blocks[-1]
        for norm in ("norm1", "norm", "ln_1"):
            if isinstance(getattr(last, norm, None), torch.nn.Module):
                return f"blocks.{len(blocks) - 1}.{norm}"
    return FEATURES


def gradcam_evidence(
    model: Model,
    pixels: np.ndarray,
    classes: np.ndarray,
    layer: str | None = None,
    head: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    pointwise: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Evidence of several classes from one forward pass and one vector-Jacobian product per class through the tail.

    Parameters
    ----------
    model
        The network.
    pixels
        uint8 (batch, S, S, 3), from ``model.preprocess.pixels``.
    classes
        int (class,): indices into the logits.
    layer
        Dotted name of the layer; "features" for the pooled features; None for `default_layer`.
    head
        Weight (all classes, feature) and bias of a head on the mean of the features. None: the network's own head.
    pointwise
        Multiply each cell by its own gradient (HiResCAM) rather than by the mean over cells (Grad-CAM).

    Returns
    -------
    evidence : numpy.ndarray
        float32 (batch, class, y, x), in logits.
    logit : numpy.ndarray
        float32 (batch, class).

    Raises
    ------
    ValueError
        If there is no such layer, it is not a grid of cells, or the logits do not depend on it.
    """
    layer = layer or default_layer(model)
    with frozen(model.module), torch.enable_grad():
        x = model.input(pixels)
        leaf, logits = _run_from(model, x, layer, head)
        index = torch.as_tensor(np.asarray(classes), device=logits.device)
        chosen = logits[:, index]  # (batch, class)
        gradients = logit_gradients(chosen, leaf, layer)  # (class, batch, ...layer)
    evidence = product(model, leaf, gradients, pooled=layer == FEATURES, pointwise=pointwise)
    return evidence, chosen.detach().float().cpu().numpy()


def product(model: Model, leaf: Tensor, gradients: Tensor, *, pooled: bool, pointwise: bool) -> np.ndarray:
    """Activation times gradient (class, *leaf.shape), cell by cell or averaged over the cells: (batch, class, y, x)."""
    activation = model.as_cells(leaf.detach(), pooled=pooled).float()
    slopes = (model.as_cells(g, pooled=pooled).float() for g in gradients)
    if not pointwise:
        slopes = (slope.mean((1, 2), keepdim=True) for slope in slopes)
    return torch.stack([(activation * slope).sum(-1) for slope in slopes], 1).cpu().numpy()


def leaf_of(output: Tensor) -> tuple[Tensor, Tensor]:
    """Cut the graph at an output: a fresh leaf, and what goes on from it."""
    leaf = output.detach().requires_grad_()
    return leaf, leaf.clone()  # a later in-place operation must not touch the leaf


@contextmanager
def cut_at(model: Model, layer: str) -> Iterator[list[Tensor]]:
    """Inside the block a fresh leaf stands in for the layer's output; the list holds it once the network has run."""
    caught: list[Tensor] = []

    def cut(output: Tensor) -> Tensor:
        leaf, after = leaf_of(output)
        caught.append(leaf)
        return after

    with model.hooked(layer, cut):
        yield caught
    if len(caught) != 1:
        raise ValueError(f"Layer {layer!r} ran {len(caught)} times in one forward pass: choose one that runs once.")


def _run_from(model: Model, x: Tensor, layer: str, head: tuple[np.ndarray, np.ndarray] | None) -> tuple[Tensor, Tensor]:
    """Run the network with a fresh leaf in place of the layer's output; return the leaf and all logits."""
    split = model.split.features
    if layer != FEATURES or isinstance(split, str):
        with cut_at(model, split if layer == FEATURES else layer) as caught:
            logits = model.module(x) if head is None else logits_of_mean(model.cells(x), *head)
        return caught[0], logits
    leaf, output = leaf_of(split(model.module, x))
    if head is not None:
        return leaf, logits_of_mean(model.as_cells(output), *head)
    if hasattr(model.module, "forward_head"):
        return leaf, model.module.forward_head(output)
    raise ValueError(f"{model.name} is cut by a function, so name the layer to explain: compare(..., layer='...').")


def logits_of_mean(cells: Tensor, weight: np.ndarray, bias: np.ndarray) -> Tensor:
    """Logits of a head on the mean of the cells (batch, y, x, feature)."""
    weight, bias = (torch.as_tensor(np.asarray(v), dtype=torch.float32, device=cells.device) for v in (weight, bias))
    return cells.float().mean((1, 2)) @ weight.T + bias


def logit_gradients(chosen: Tensor, leaf: Tensor, layer: str) -> Tensor:
    """Gradient of every chosen logit, (class, *leaf.shape): one product through the tail each.

    One after the other takes no longer than all at once (on a CPU less, by up to a quarter), and less memory.
    """
    if not chosen.requires_grad:
        raise ValueError(f"The logits do not depend on layer {layer!r}: choose one that the logits are computed from.")
    count = chosen.shape[1]
    sums = chosen.sum(0)  # each photo's logits depend on its own part of the leaf alone
    return torch.stack([torch.autograd.grad(sums[k], leaf, retain_graph=k + 1 < count)[0] for k in range(count)])


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Stop gradients at the parameters inside the block, so that no graph is built before the layer."""
    learning = [p for p in module.parameters() if p.requires_grad]
    for p in learning:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in learning:
            p.requires_grad_(True)
