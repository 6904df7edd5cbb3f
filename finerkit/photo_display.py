"""Read photos, and parts of photos, for display; a photo that is not found is drawn as such."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from finerkit.photo import PhotoError, load_image

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAPER, _LINE, _INK = "#f4f2ee", "#b8b2a7", "#5c564c"

#: Pixels of the smallest type in which the name of a file is written.
_LEGIBLE = 11


def display_photo(path: str, size: tuple[int, int], pixels: int) -> Image.Image:
    """Return a copy of a photo for display.

    Parameters
    ----------
    path
        Of the file.
    size
        Width and height of the upright original.
    pixels
        Longest side of the copy, at most.

    Returns
    -------
    PIL.Image.Image
        The photo, or a placeholder of its shape that says that it is not found, or cannot be read.
    """
    small = _fitted(size, pixels)
    try:
        return load_image(path, need=pixels).resize(small, Image.Resampling.LANCZOS)
    except PhotoError:
        return _placeholder(small, path)


def display_crop(path: str, size: tuple[int, int], box: Sequence[float], pixels: int) -> Image.Image:
    """Return a part of a photo for display, as fine as the original has it.

    Parameters
    ----------
    path, size
        See `display_photo`.
    box
        Left, top, right and bottom, in pixels of the upright original and within it.
    pixels
        Longest side of the part, at most.
    """
    left, top, right, bottom = box
    longest = max(right - left, bottom - top, 1)
    scale = min(1.0, pixels / longest)
    try:
        whole = load_image(path, need=round(scale * max(size)))
    except PhotoError:
        return _placeholder(_fitted((right - left, bottom - top), pixels), path)
    across, down = whole.width / max(size[0], 1), whole.height / max(size[1], 1)
    part = whole.crop((round(left * across), round(top * down), round(right * across), round(bottom * down)))
    return part.resize(_fitted((right - left, bottom - top), pixels), Image.Resampling.LANCZOS)


def _fitted(size: Sequence[float], pixels: int) -> tuple[int, int]:
    scale = min(1.0, pixels / max(*size, 1))
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height


def _placeholder(size: tuple[int, int], path: str) -> Image.Image:
    """Paper with a frame, and in it what is the matter and the name of the file, as large as they fit."""
    picture = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=_LINE, width=max(1, min(size) // 100))
    words = "photo cannot be read" if Path(path).is_file() else "photo not found"
    shape = size[0] * 0.88, size[1] * 0.8
    text = f"{words}\n{Path(path).name}"
    if _font_size(draw, text, shape) < _LEGIBLE:  # no room for the name of the file
        text = "\n".join(words.rsplit(" ", 1))
    font = ImageFont.load_default(_font_size(draw, text, shape))
    draw.multiline_text((size[0] / 2, size[1] / 2), text, _INK, font, anchor="mm", align="center")
    return picture


def _font_size(draw: ImageDraw.ImageDraw, text: str, shape: tuple[float, float]) -> float:
    """Size at which a text fits into a shape (width, height), within what is easy on the eye."""
    left, top, right, bottom = draw.multiline_textbbox((0, 0), text, ImageFont.load_default(32))
    fits = 32 * min(shape[0] / (right - left), shape[1] / (bottom - top))
    return min(max(fits, 4), max(shape[0] / 8, 4), 28)
