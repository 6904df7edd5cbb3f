"""Run a network: features per cell, or logits, of square uint8 pixels."""

from __future__ import annotations

import copy
import hashlib
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from finerkit.base.names import choice, suggestion
from finerkit.networks.split import Split, guess_layout, to_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from finerkit.photos.preprocess import Preprocess


#: Types of the forward pass. On a GPU half precision is quicker. Maps of the embedded network then agree with those of
#: float32 to 2 % of their maximum (float16), but only to 25 % (bfloat16, for networks that overflow float16).
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Model:
    """A network, how to feed it and where to cut it. Made by `finerkit.load_model`.

    Attributes
    ----------
    name : str
        As given to `finerkit.load_model`, or the class name of your own module.
    module : torch.nn.Module
        The network, in eval mode, on `device`.
    preprocess : Preprocess
        How photos become input.
    split : Split
        Where the pooled features are.
    class_names : tuple of str
        The network's own classes; empty where unknown.
    pretrained : bool
        Whether the weights were loaded rather than drawn at random.
    device : torch.device
        Where it runs.
    precision : str
        Of the forward pass, see `PRECISIONS`.
    compiled : bool
        Whether the forward pass goes through ``torch.compile``.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        preprocess: Preprocess,
        split: Split,
        *,
        class_names: tuple[str, ...] = (),
        pretrained: bool = True,
        device: torch.device | None = None,
        precision: str = "float32",
        compiled: bool = False,
    ) -> None:
        self.name = name
        self.preprocess = preprocess
        self.split = split
        self.class_names = class_names
        self.pretrained = pretrained
        self.device = device or torch.device("cpu")
        self.precision = choice(precision, tuple(PRECISIONS), "precision")
        # channels_last: convolutions are two to five times quicker on CPU, quicker on GPU; no effect on transformers.
        self.module = module.eval().to(self.device, memory_format=torch.channels_last)
        self._hashed: tuple[tuple, str] | None = None
        self.compiled = compiled
        self._run = torch.compile(self.cells) if compiled else self.cells

    def __repr__(self) -> str:
        rows, columns = self.grid
        return (
            f"Model({self.name!r}, image_size={self.preprocess.image_size}, fit={self.preprocess.fit!r}, "
            f"grid={rows}x{columns}, n_features={self.n_features}, device={str(self.device)!r}"
            f"{'' if self.precision == 'float32' else f', {self.precision}'}"
            f"{'' if self.pretrained else ', random weights'})"
        )

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the feature grid."""
        return self._probe[0]

    @property
    def n_features(self) -> int:
        """Channels of the features, which is the length of an embedding."""
        return self._probe[1]

    @property
    def weights_hash(self) -> str:
        """SHA-256 over the names, shapes, types and bytes of all weights; computed again when they have changed."""
        state = self.module.state_dict()
        versions = tuple((id(t), t._version) for t in state.values())  # noqa: SLF001 - torch's own change counter
        if self._hashed is None or self._hashed[0] != versions:
            self._hashed = (versions, _hash(state))
        return self._hashed[1]

    @cached_property
    def description(self) -> str:
        """How the network is cut, as text: two models that differ in it are not the same."""
        features = self.split.features
        where = features if isinstance(features, str) else f"{features.__module__}.{features.__qualname__}"
        prefix = f", {self.split.prefix_tokens} prefix tokens" if self.split.prefix_tokens else ""
        return f"{where} as {self.split.layout}{prefix}"

    def twin(self) -> Model:
        """The same network for another thread, over the same weights in memory.

        Its modules are its own, so that hooks see no other's photos, and parameters can be frozen for one alone.
        """
        weights: dict[int, Tensor] = {id(b): b for b in self.module.buffers()}
        weights |= {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in self.module.parameters()}
        twin = copy.copy(self)
        twin.module = copy.deepcopy(self.module, weights)
        twin._run = torch.compile(twin.cells) if self.compiled else twin.cells  # noqa: SLF001 - one of us
        return twin

    @property
    def batch_size(self) -> int:
        """Photos per forward pass: one on a CPU, where each core computes its own, which fits its cache."""
        return 1 if self.device.type == "cpu" else 64

    def input(self, pixels: np.ndarray) -> Tensor:
        """Normalise uint8 pixels (batch, S, S, 3) to the network's input (batch, 3, S, S) on its device."""
        x = torch.from_numpy(np.array(pixels)).to(self.device).permute(0, 3, 1, 2)  # channels_last in memory
        mean, std = (
            torch.tensor(v, device=self.device).view(1, 3, 1, 1) for v in (self.preprocess.mean, self.preprocess.std)
        )
        return (x.float() / 255 - mean) / std

    @torch.inference_mode()
    def features(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features per cell, just before the global mean pool, and their mean.

        The features are rounded to float16, as they are stored, before the mean is taken: evidence from stored features
        then adds up to the logits of the embedding in full float32 precision.

        Parameters
        ----------
        pixels
            uint8 (batch, S, S, 3), from ``preprocess.pixels``.

        Returns
        -------
        cells : numpy.ndarray
            float16 (batch, y, x, feature).
        embedding : numpy.ndarray
            float32 (batch, feature).
        """
        with self._autocast():
            cells = self._run(self.input(pixels)).half()
        return cells.contiguous().cpu().numpy(), cells.float().mean((1, 2)).cpu().numpy()

    @torch.inference_mode()
    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Logits of the network's own classes, float32 (batch, class)."""
        with self._autocast():
            return self.module(self.input(pixels)).float().cpu().numpy()

    def _autocast(self) -> torch.autocast:
        """The precision of forward passes; evidence by gradients is always computed in float32."""
        dtype = PRECISIONS[self.precision]
        return torch.autocast(self.device.type, dtype, enabled=dtype is not torch.float32)

    def cells(self, x: Tensor) -> Tensor:
        """Run the network up to the pooled features: (batch, y, x, feature), with gradients where enabled."""
        if callable(self.split.features):
            return self.as_cells(self.split.features(self.module, x))
        caught: list[Tensor] = []
        with self.hooked(self.split.features, caught.append):
            self.module(x)
        return self.as_cells(caught[0])

    def as_cells(self, output: Tensor, *, pooled: bool = True) -> Tensor:
        """View the output of the pooled layer, or of another one, as (batch, y, x, channel)."""
        layout = self.split.layout if pooled else guess_layout(output, self.split.layout)
        return to_cells(output, layout, self.split.prefix_tokens)

    def layer(self, name: str) -> nn.Module:
        """Find a layer by its dotted name; an unknown one raises ValueError with the nearest names."""
        modules = dict(self.module.named_modules())
        if name not in modules or not name:
            raise ValueError(f"{self.name} has no layer named {name!r}. {suggestion(name, [m for m in modules if m])}")
        return modules[name]

    @contextmanager
    def hooked(self, layer: str, see: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
        """Inside the block, `see` gets the layer's output and may return another; the hook never outlives the block."""

        def hook(_module: nn.Module, _args: tuple, output: Tensor) -> Tensor | None:
            if not isinstance(output, torch.Tensor):
                raise TypeError(f"Layer {layer!r} gives a {type(output).__name__}, not a tensor: choose another layer.")
            return see(output)

        handle = self.layer(layer).register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    @cached_property
    def own_head(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Weight (class, feature) and bias (class) of the network's own classifier, if linear in the mean of the cells.

        Tested on a random input rather than believed: networks differ in norms, hidden layers and class tokens between
        the features and the logits. None where the logits do not follow from the mean.
        """
        if self.split.classifier is None:
            return None
        linear = self.layer(self.split.classifier)
        if not isinstance(linear, torch.nn.Linear) or linear.in_features != self.n_features:
            return None
        weight = linear.weight.detach().float().cpu().numpy()
        bias = np.zeros(len(weight), np.float32) if linear.bias is None else linear.bias.detach().float().cpu().numpy()
        pixels = np.random.default_rng(0).integers(0, 256, (1, *2 * (self.preprocess.image_size,), 3), np.uint8)
        logits = self.logits(pixels)
        from_mean = self.features(pixels)[1] @ weight.T + bias
        tolerance = 5e-3 * float(np.ptp(logits))  # the features are rounded to float16
        return (weight, bias) if np.abs(logits - from_mean).max() < tolerance else None

    @cached_property
    def _probe(self) -> tuple[tuple[int, int], int]:
        side = self.preprocess.image_size
        shape = self.features(np.zeros((1, side, side, 3), np.uint8))[0].shape
        return (shape[1], shape[2]), shape[3]


def _hash(state: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name}{tuple(values.shape)}{values.dtype}".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
