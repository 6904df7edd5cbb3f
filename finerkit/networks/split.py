"""Say where a network is cut in two, and view what a layer gives there as cells (batch, y, x, channel)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finerkit.base.checks import whole
from finerkit.base.names import choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

LAYOUTS = ("NCHW", "NHWC", "NLC")


@dataclass(frozen=True)
class Split:
    """Where a network's pooled features are, for networks that finerkit does not know.

    Parameters
    ----------
    features
        Dotted name of the layer whose output is pooled ("layer4", "backbone.norm"), or a function
        ``features(module, x) -> Tensor``. The embedding of a photo is the plain mean of these features over the cells.
    layout
        Order of that output's axes: "NCHW" (most convolutional networks), "NHWC" (Swin), "NLC" (tokens).
    prefix_tokens
        For "NLC": how many tokens come before the patches (1 for a class token, 5 with four registers).
    classifier
        Dotted name of the network's own last linear layer, or None. Used, if it does act on the mean of the features
        (this is tested), for evidence of the network's own classes that adds up to the logits.
    """

    features: str | Callable[[nn.Module, Tensor], Tensor]
    layout: str = "NCHW"
    prefix_tokens: int = 0
    classifier: str | None = None

    def __post_init__(self) -> None:
        choice(self.layout, LAYOUTS, "layout")
        whole(self.prefix_tokens, "prefix_tokens", 0)


def to_cells(output: Tensor, layout: str, prefix_tokens: int = 0) -> Tensor:
    """View a layer's output as cells.

    Parameters
    ----------
    output
        Axes as `layout` says.
    layout, prefix_tokens
        See `Split`.

    Returns
    -------
    torch.Tensor
        (batch, y, x, channel); a view where possible, so gradients flow.

    Raises
    ------
    ValueError
        If the output cannot be a grid of cells.
    """
    want = 3 if layout == "NLC" else 4
    if output.ndim != want:
        raise ValueError(
            f"A layer in layout {layout!r} gives {want} axes. Got an output of shape {tuple(output.shape)} instead: "
            "choose another layer, or describe it with fk.Split(..., layout=...)."
        )
    if layout == "NHWC":
        return output
    if layout == "NCHW":
        return output.permute(0, 2, 3, 1)
    patches = output[:, prefix_tokens:]
    count = patches.shape[1]
    side = math.isqrt(count)
    if side * side != count or count == 0:
        raise ValueError(
            f"{count} patch tokens (after {prefix_tokens} prefix tokens) do not form a square grid: "
            "set prefix_tokens in fk.Split(...)."
        )
    return patches.unflatten(1, (side, side))


def guess_layout(output: Tensor, usual: str) -> str:
    """Layout of some inner layer: tokens have three axes; of two equal axes, those are the rows and columns."""
    if output.ndim == 3:
        return "NLC"
    if output.ndim != 4:
        raise ValueError(
            f"A layer to explain gives a map or tokens: 4 or 3 axes. Got an output of shape {tuple(output.shape)} "
            "instead: choose an earlier layer."
        )
    _, a, b, c = output.shape
    if a == b != c:
        return "NHWC"
    if b == c != a:
        return "NCHW"
    return usual if usual != "NLC" else "NCHW"
