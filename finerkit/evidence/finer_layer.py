"""Find the layer where a network last saw more detail than its features do."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import torch

from finerkit.evidence.gradcam import frozen

if TYPE_CHECKING:
    from finerkit.networks.model import Model

#: A grid counts as finer with so many times the rows and columns of the features'.
_FINER = 1.5


def finer_layer(model: Model) -> str:
    """Find the last layer whose grid is finer than the features' and through which all that they know passes.

    Both are tried rather than looked up, so that any network will do: grids are read off one forward pass; a layer
    carries everything if nothing of the photo reaches the features once its output is cut off. A layer inside a block
    with a shortcut around it does not.

    Parameters
    ----------
    model
        The network.

    Returns
    -------
    str
        Dotted name; of "efficientnet-lite0" it is "blocks.5.0.bn1" (28 x 28 cells at 448 pixels, against 14 x 14).

    Raises
    ------
    ValueError
        If there is none, as in plain vision transformers, whose grid is the same from the first layer to the last.
    """
    rows, columns = model.grid
    finer = [n for n, (y, x) in _grids(model).items() if y >= _FINER * rows and x >= _FINER * columns]
    for name in reversed(finer):
        if _carries_everything(model, name):
            return name
    raise ValueError(
        f"detail='fine' needs a layer with a finer grid than the features' {rows} x {columns}, through which all of "
        f"them pass; {model.name} has none. Keep detail='cell', or analyze with a larger image_size or a convolutional "
        "network, such as 'efficientnet-lite0'."
    )


def _grids(model: Model) -> dict[str, tuple[int, int]]:
    """(rows, columns) of each layer that gives a map of cells and runs once, in the order in which they finish."""
    seen: dict[str, list[tuple[int, int]]] = {}

    def look(name: str, output: object) -> None:
        grids = seen.pop(name, [])  # put last again
        seen[name] = [*grids, _grid(model, output)]

    with ExitStack() as stack, torch.inference_mode():
        for name, layer in model.module.named_modules():
            if name:
                hook = layer.register_forward_hook(lambda _m, _a, output, name=name: look(name, output))
                stack.callback(hook.remove)
        model.cells(_input(model))
    return {name: grids[0] for name, grids in seen.items() if len(grids) == 1}


def _grid(model: Model, output: object) -> tuple[int, int]:
    if not isinstance(output, torch.Tensor):
        return 0, 0
    try:
        cells = model.as_cells(output, pooled=False)
    except ValueError:  # not a map of cells
        return 0, 0
    return cells.shape[1], cells.shape[2]


def _carries_everything(model: Model, name: str) -> bool:
    with frozen(model.module), torch.enable_grad(), model.hooked(name, lambda output: output.detach()):
        features = model.cells(_input(model).requires_grad_() * 1)  # a copy, for layers that work in place
    return not features.requires_grad


def _input(model: Model) -> torch.Tensor:
    side = model.preprocess.image_size
    return model.input(np.zeros((1, side, side, 3), np.uint8))
