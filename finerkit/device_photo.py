"""Photos on the network's device: the bytes of JPEG files enter; square pixels leave, decoded and resized there.

On an NVIDIA GPU TorchCodec decodes with nvJPEG; elsewhere with libjpeg-turbo, on the CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from torch import Tensor

    from finerkit.photo import Jpeg
    from finerkit.preprocess import Preprocess

#: Pixels that are decoded at once, at most: 0.3 GB, and 1.2 GB while they are resized.
AT_ONCE = 100_000_000

_UPRIGHT: dict[int, Callable[[Tensor], Tensor]] = {  # EXIF orientation -> how to turn (colour, y, x)
    2: lambda x: x.flip(2),
    3: lambda x: x.flip(1, 2),
    4: lambda x: x.flip(1),
    5: lambda x: x.transpose(1, 2),
    6: lambda x: x.transpose(1, 2).flip(2),
    7: lambda x: x.transpose(1, 2).flip(1, 2),
    8: lambda x: x.transpose(1, 2).flip(1),
}


def check_torchcodec() -> None:
    """Raise ModuleNotFoundError, with what to do, where TorchCodec is not installed or does not fit this torch."""
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        raise ModuleNotFoundError(
            f"decoder='torchcodec' needs the package torchcodec ({' '.join(str(error).split())[:200]}): pip install "
            "'finerkit[gpu]', or leave decoder out."
        ) from error


def decoded(photos: Sequence[Jpeg], preprocess: Preprocess, device: torch.device) -> list[np.ndarray | None]:
    """Decode JPEG files and fit them into the network's square.

    Parameters
    ----------
    photos
        From `finerkit.photo.read_jpeg`.
    preprocess
        How they are fitted.
    device
        Where: "cuda", or else the CPU.

    Returns
    -------
    list
        For each uint8 (S, S, 3), or None if it cannot be decoded here.
    """
    place = device if device.type == "cuda" else torch.device("cpu")
    found: list[np.ndarray | None] = []
    for some in _portions(photos):
        square = [
            None if x is None else _fitted(x, p, preprocess) for p, x in zip(some, _raw(some, place), strict=True)
        ]
        good = [x for x in square if x is not None]
        ready = iter(torch.stack(good).cpu().numpy() if good else ())
        found += [None if x is None else next(ready) for x in square]
    return found


def _portions(photos: Sequence[Jpeg]) -> Iterator[list[Jpeg]]:
    """As many at once as `AT_ONCE` allows."""
    some: list[Jpeg] = []
    for photo in photos:
        if some and sum(p.pixels for p in some) + photo.pixels > AT_ONCE:
            yield some
            some = []
        some.append(photo)
    if some:
        yield some


def _raw(photos: list[Jpeg], device: torch.device) -> list[Tensor | None]:
    """Each as uint8 (colour, y, x), as it lies in the file; None where the decoder refuses."""
    from torchcodec.decoders import decode_jpeg

    try:
        return list(decode_jpeg([p.data for p in photos], device=device))
    except RuntimeError:  # one of them is bad, and the decoder does not say which
        return [None] if len(photos) == 1 else [x for p in photos for x in _raw([p], device)]


def _fitted(photo: Tensor, jpeg: Jpeg, preprocess: Preprocess) -> Tensor:
    """Fit one photo into the square, as `Preprocess.pixels` does; uint8 (S, S, 3)."""
    side = preprocess.image_size
    x = _UPRIGHT.get(jpeg.orientation, lambda x: x)(photo)
    height, width = x.shape[1:]
    if preprocess.fit == "pad":
        left, top, w, h = (int(v) for v in preprocess.pad_box(width, height))
        square = torch.tensor([round(255 * m) for m in preprocess.mean], dtype=torch.uint8, device=x.device)
        square = square.repeat(side, side, 1)
        square[top : top + h, left : left + w] = _resized(x, (h, w), preprocess.interpolation)
        return square
    if preprocess.fit == "crop":
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2  # whole pixels: half of one less than Pillow at most
        x = x[:, top : top + short, left : left + short]
    return _resized(x, (side, side), preprocess.interpolation)


def _resized(photo: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """uint8 (y, x, colour) of that size, with Pillow's filters."""
    x = interpolate(photo[None].float(), size, mode=interpolation, antialias=True)[0]
    return x.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
