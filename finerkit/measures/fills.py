"""Put something harmless in the place of hidden pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter
from skimage.measure import block_reduce

from finerkit.base.interpolation import upsample

if TYPE_CHECKING:
    from collections.abc import Callable

#: What stands in for hidden pixels.
FILLS = {
    "mean": "the network's mean colour",
    "blur": "the photo blurred (Gaussian, sigma 1/16 of the side)",
    "inpaint": "a smooth (approximately harmonic) surface through the pixels around, with no edge at its border",
}

#: Sigma of the blur as a share of the side: wide enough to wash out marks of a cell's size.
_BLUR = 1 / 16

#: Smoothing steps at every level of the pyramid.
_SWEEPS = 8


def filler(pixels: np.ndarray, fill: str, colour: tuple[float, float, float]) -> Callable[[np.ndarray], np.ndarray]:
    """Make the function that hides pixels of one photo.

    Parameters
    ----------
    pixels
        uint8 (S, S, 3), input of the network.
    fill
        One of `FILLS`.
    colour
        The network's mean colour, in [0, 1].

    Returns
    -------
    callable
        Takes a boolean (S, S), true where pixels are to be hidden; returns uint8 (S, S, 3).
    """
    plain = np.full_like(pixels, np.rint(255 * np.asarray(colour)).astype(np.uint8))
    if fill == "inpaint":
        return lambda hidden: plain if hidden.all() else inpaint(pixels, hidden)
    blur = ImageFilter.GaussianBlur(_BLUR * pixels.shape[0])
    behind = plain if fill == "mean" else np.asarray(Image.fromarray(pixels).filter(blur))
    return lambda hidden: np.where(hidden[..., None], behind, pixels)


def inpaint(pixels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Put a smooth surface where pixels are hidden.

    The surface nearly solves Laplace's equation with the visible pixels as its border: each hidden pixel is the mean of
    its neighbours. Solved from coarse to fine (push-pull, Gortler et al., SIGGRAPH 1996, with a few Jacobi steps at
    each level), so that large holes cost no more than small ones.

    Parameters
    ----------
    pixels
        uint8 (height, width, colour).
    hidden
        Boolean (height, width); at least one pixel is not.

    Returns
    -------
    numpy.ndarray
        uint8 (height, width, colour); visible pixels unchanged.
    """
    smooth = _push_pull(pixels.astype(np.float32), ~hidden)
    return np.clip(np.rint(smooth), 0, 255).astype(np.uint8)


def _push_pull(colour: np.ndarray, known: np.ndarray) -> np.ndarray:
    if known.all():
        return colour
    height, width = known.shape
    weight = known[..., None].astype(np.float32)
    count = block_reduce(weight, (2, 2, 1))
    coarse = _push_pull(block_reduce(colour * weight, (2, 2, 1)) / np.maximum(count, 1), count[..., 0] > 0)
    guess = np.moveaxis(upsample(np.moveaxis(coarse, -1, 0), (2 * len(coarse), 2 * coarse.shape[1])), 0, -1)
    return _relaxed(np.where(known[..., None], colour, guess[:height, :width]), known)


def _relaxed(colour: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Move each unknown pixel to the mean of its four neighbours, a few times; borders are mirrored."""
    height, width, _ = colour.shape
    y, x = np.nonzero(~known)
    steps = ((-1, 0), (1, 0), (0, -1), (0, 1))
    beside = [np.clip(y + dy, 0, height - 1) * width + np.clip(x + dx, 0, width - 1) for dy, dx in steps]
    flat, here = colour.reshape(height * width, -1), y * width + x
    for _ in range(_SWEEPS):
        flat[here] = (flat[beside[0]] + flat[beside[1]] + flat[beside[2]] + flat[beside[3]]) / 4
    return flat.reshape(colour.shape)
