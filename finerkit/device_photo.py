"""Photos on the network's device: the bytes of JPEG files enter; square pixels leave, decoded and resized there.

On an NVIDIA GPU TorchCodec decodes with nvJPEG; elsewhere with libjpeg-turbo, on the CPU.
"""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from torch import Tensor

    from finerkit.photo import Jpeg
    from finerkit.preprocess import Preprocess

#: Pixels that are decoded at once, at most: 0.3 GB. A photo takes up to 0.5 GB more while it is resized.
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


@cache
def check_torchcodec(device: torch.device) -> None:
    """Try whether TorchCodec decodes a JPEG file on a device.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed, is too old, or does not fit this torch.
    RuntimeError
        If it cannot, for lack of nvJPEG for example.
    """
    try:
        from torchcodec.decoders import decode_jpeg
    except (ImportError, OSError, RuntimeError) as error:
        raise ModuleNotFoundError(
            f"JPEG files are to be decoded by torchcodec (decoder='torchcodec'), which cannot be imported "
            f"({_first_words(error)}): pip install 'finerkit[gpu]', or decode with decoder='pillow'."
        ) from error
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG")
    try:
        decode_jpeg([_bytes(buffer.getvalue())], device=_place(device))
    except RuntimeError as error:
        raise RuntimeError(
            f"torchcodec cannot decode JPEG files on {str(device)!r} ({_first_words(error)}): decode with "
            "decoder='pillow', or install a torchcodec that is built for this GPU."
        ) from error


def _first_words(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _place(device: torch.device) -> torch.device:
    """Where photos are decoded: on a GPU of NVIDIA's, else on the CPU."""
    return device if device.type == "cuda" else torch.device("cpu")


def _bytes(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


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
    found: list[np.ndarray | None] = []
    for some in _portions(photos):
        square = [
            None if x is None else _fitted(x, p, preprocess)
            for p, x in zip(some, _raw(some, _place(device)), strict=True)
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
        return list(decode_jpeg([_bytes(p.data) for p in photos], device=device))
    except RuntimeError as error:  # one of them is bad, and the decoder does not say which; or too many at once
        if len(photos) == 1:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            return [None]
        half = len(photos) // 2
        return _raw(photos[:half], device) + _raw(photos[half:], device)


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
