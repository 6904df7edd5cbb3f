"""Paint Bezier paths as antialiased pixels or hard-edged masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.transforms import Affine2D, TransformedPath
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.path import Path

Colour = tuple[float, float, float]

_DPI = 72  # so that one point is one pixel


@dataclass(frozen=True)
class Ink:
    """One painted path in pixel coordinates (x right, y down); `clip` confines it, `width` is the stroke's."""

    path: Path
    face: Colour | None = None
    edge: Colour | None = None
    width: float = 0.0
    alpha: float = 1.0
    clip: Path | None = None


def draw(inks: Iterable[Ink], width: int, height: int) -> np.ndarray:
    """Paint in order on nothing: float32 (height, width, 4), colour not multiplied by alpha, in 0..1."""
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, frameon=False)
    canvas = FigureCanvasAgg(figure)
    upright = Affine2D().scale(1, -1).translate(0, height)
    clips: dict[int, TransformedPath] = {}
    for ink in inks:
        patch = PathPatch(
            ink.path,
            facecolor="none" if ink.face is None else (*ink.face, ink.alpha),
            edgecolor="none" if ink.edge is None else (*ink.edge, ink.alpha),
            linewidth=ink.width,
            transform=upright,
            capstyle="round",
            joinstyle="round",
            snap=False,
        )
        figure.add_artist(patch)
        if ink.clip is not None:
            patch.set_clip_path(clips.setdefault(id(ink.clip), TransformedPath(ink.clip, upright)))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), np.float32) / np.float32(255)


def fill(paths: Iterable[Path], width: int, height: int) -> np.ndarray:
    """Return which pixels have their centre inside any of the closed paths: bool (height, width)."""
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, frameon=False)
    canvas = FigureCanvasAgg(figure)
    upright = Affine2D().scale(1, -1).translate(0, height)
    for path in paths:
        patch = PathPatch(path, facecolor="black", linewidth=0, transform=upright, antialiased=False, snap=False)
        figure.add_artist(patch)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 3] > 127


def over(below: np.ndarray, rgba: np.ndarray) -> np.ndarray:
    """Lay rgba (height, width, 4) on an opaque picture (height, width, 3)."""
    alpha = rgba[..., 3:]
    return below + (rgba[..., :3] - below) * alpha


def blur(picture: np.ndarray, radius: float) -> np.ndarray:
    """Gaussian blur of a picture with values in 0..1: (height, width) or (height, width, 3 or 4)."""
    if radius < 0.05:
        return picture
    image = Image.fromarray(np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / np.float32(255)


def blur_rgba(rgba: np.ndarray, radius: float) -> np.ndarray:
    """Gaussian blur that does not drag the colour of empty pixels in."""
    premultiplied = np.concatenate([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], -1)
    soft = blur(premultiplied, radius)
    return np.concatenate([soft[..., :3] / np.maximum(soft[..., 3:], 1e-3), soft[..., 3:]], -1)


def shifted(mask: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """Move a mask by whole pixels, filling with 0."""
    moved = np.zeros_like(mask)
    height, width = mask.shape
    ys, xs = slice(max(dy, 0), min(height + dy, height)), slice(max(dx, 0), min(width + dx, width))
    yt, xt = slice(max(-dy, 0), min(height - dy, height)), slice(max(-dx, 0), min(width - dx, width))
    moved[ys, xs] = mask[yt, xt]
    return moved


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Blend two colours; share 0 is `a`, 1 is `b`."""
    r, g, b_ = (float(np.clip(x + (y - x) * share, 0, 1)) for x, y in zip(a, b, strict=True))
    return r, g, b_


def vary(colour: Colour, rng: np.random.Generator, amount: float = 0.04) -> Colour:
    """Change lightness, and the channels a little, at random."""
    light = rng.normal(0, amount)
    r, g, b = (float(np.clip(c + light + rng.normal(0, amount / 3), 0, 1)) for c in colour)
    return r, g, b


def bumpy(rng: np.random.Generator, height: int, width: int, size: float) -> np.ndarray:
    """Smooth noise in about -1..1, float32 (height, width), with bumps about `size` pixels wide."""
    rows, columns = max(2, int(height / size) + 2), max(2, int(width / size) + 2)
    coarse = np.clip(rng.standard_normal((rows, columns)) * 0.4, -1, 1).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.float32)
