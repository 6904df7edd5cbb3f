"""Grad-CAM evidence, signed and unscaled, of several classes at once: a `Model` and pixels enter; arrays leave.

For a layer with activations A (P cells), the linear form of Grad-CAM (Selvaraju et al., ICCV 2017) before its relu is::

    E_k[p] = A[p] . mean_p' dy_k / dA[p']

and its pointwise form (HiResCAM, Draelos and Carin 2020, arXiv 2011.08891), which keeps each cell's own gradient and is
the sharper one at earlier layers with finer grids::

    E_k[p] = A[p] . dy_k / dA[p]

The gradient is linear in the logits, so the contrast of classes is the contrast of their evidence. Only the part of the
network after the layer is differentiated: what comes before it runs without a graph. Of a transformer that reads out
its class token, only what that token follows is run there: see `finerkit.methods.class_token`.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch

from finerkit.methods.class_token import class_token_logits, follows_class_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from finerkit.models.model import Model

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
        if head is None and follows_class_token(model, layer):
            leaf, logits = class_token_logits(model, x)
        else:
            leaf, logits = _run_from(model, x, layer, head)
        index = torch.as_tensor(np.asarray(classes), device=logits.device)
        chosen = logits[:, index]  # (batch, class)
        gradients = logit_gradients(chosen, leaf, layer)  # (class, batch, ...layer)
    layout = model.split.layout if layer == FEATURES else model.layer_layout(leaf)
    product = pointwise_product if pointwise else _averaged_product
    evidence = torch.stack(product(model, leaf.detach(), gradients, layout), 1)
    return evidence.cpu().numpy(), chosen.detach().float().cpu().numpy()


def pointwise_product(model: Model, leaf: Tensor, gradients: Tensor, layout: str) -> list[Tensor]:
    """Activation times gradient (class, *leaf.shape), cell by cell: (batch, y, x) of each class."""
    activation = model.as_cells(leaf, layout).float()
    return [(activation * model.as_cells(g, layout).float()).sum(-1) for g in gradients]


def _averaged_product(model: Model, leaf: Tensor, gradients: Tensor, layout: str) -> list[Tensor]:
    """Activation times the gradient's mean over the cells."""
    activation = model.as_cells(leaf, layout).float()
    slopes = (model.as_cells(g, layout).float().mean((1, 2), keepdim=True) for g in gradients)
    return [(activation * s).sum(-1) for s in slopes]


def cutter() -> tuple[list[Tensor], Callable[[Tensor], Tensor]]:
    """Make a function for `Model.hooked` that puts a fresh leaf in place of an output, and the list of such leaves."""
    caught: list[Tensor] = []

    def cut(output: Tensor) -> Tensor:
        caught.append(output.detach().requires_grad_())
        return caught[-1].clone()  # a later in-place operation must not touch the leaf

    return caught, cut


def _run_from(model: Model, x: Tensor, layer: str, head: tuple[np.ndarray, np.ndarray] | None) -> tuple[Tensor, Tensor]:
    """Run the network with a fresh leaf in place of the layer's output; return the leaf and all logits."""
    caught, cut = cutter()
    hook = nullcontext() if layer == FEATURES else model.hooked(layer, cut)
    with hook:
        logits = _own_logits(model, x, layer, cut) if head is None else _head_logits(model, x, layer, cut, head)
    if len(caught) != 1:
        raise ValueError(f"Layer {layer!r} ran {len(caught)} times in one forward pass: choose one that runs once.")
    return caught[0], logits


def _own_logits(model: Model, x: Tensor, layer: str, cut: Callable[[Tensor], Tensor]) -> Tensor:
    if layer != FEATURES:
        return model.module(x)
    split = model.split.features
    if isinstance(split, str):
        with model.hooked(split, cut):
            return model.module(x)
    if hasattr(model.module, "forward_head"):
        return model.module.forward_head(cut(split(model.module, x)))
    raise ValueError(f"{model.name} is cut by a function, so name the layer to explain: compare(..., layer='...').")


def _head_logits(
    model: Model, x: Tensor, layer: str, cut: Callable[[Tensor], Tensor], head: tuple[np.ndarray, np.ndarray]
) -> Tensor:
    weight, bias = (torch.as_tensor(np.asarray(v), dtype=torch.float32, device=x.device) for v in head)
    split = model.split.features
    if layer != FEATURES:
        cells = model.cells(x)
    elif isinstance(split, str):
        kept: list[Tensor] = []

        def cut_and_keep(output: Tensor) -> Tensor:
            kept.append(cut(output))
            return kept[-1]

        with model.hooked(split, cut_and_keep):
            model.module(x)
        cells = model.as_cells(kept[0])
    else:
        cells = model.as_cells(cut(split(model.module, x)))
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
