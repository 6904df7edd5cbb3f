"""Read photos, and parts of photos, for display; a photo that is not found is drawn as such."""

from __future__ import annotations

import base64
import io
import os
from functools import lru_cache
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from finerkit.photos.decode import PhotoError, load_image

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAPER, _LINE, _INK = "#f4f2ee", "#b8b2a7", "#5c564c"

#: Pixels of the smallest type in which the name of a file is written.
_LEGIBLE = 11


def is_there(path: str) -> bool:
    """Whether there is such a file; a path that no file can have, or in a closed folder, is not there."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for these


def gone(path: str) -> str:
    """What to say of a file that is not there; "" for one that is."""
    return "" if is_there(path) else "photo not found"


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
    width, height = max(size[0], 1), max(size[1], 1)
    return display_crop(path, (width, height), (0, 0, width, height), pixels)


def display_crop(path: str, size: tuple[int, int], box: Sequence[float], pixels: int) -> Image.Image:
    """Return a part of a photo for display, as fine as the original has it, or a placeholder of the part's shape.

    Parameters
    ----------
    path, size
        See `display_photo`.
    box
        Left, top, right and bottom, in pixels of the upright original and within it.
    pixels
        Longest side of the part, at most.
    """
    try:
        return read_crop(path, size, box, pixels)
    except PhotoError:
        return _placeholder(_fitted(box, pixels), path)


def read_crop(path: str, size: tuple[int, int], box: Sequence[float], pixels: int) -> Image.Image:
    """`display_crop` without placeholder.

    Raises
    ------
    PhotoError
        If the file cannot be read as a photo.
    """
    left, top, right, bottom = box
    scale = min(1.0, pixels / max(right - left, bottom - top, 1))
    whole = load_image(path, need=round(scale * max(size)))
    across, down = whole.width / max(size[0], 1), whole.height / max(size[1], 1)
    part = whole.crop((round(left * across), round(top * down), round(right * across), round(bottom * down)))
    return part.resize(_fitted(box, pixels), Image.Resampling.LANCZOS)


def _fitted(box: Sequence[float], pixels: int) -> tuple[int, int]:
    sides = box[2] - box[0], box[3] - box[1]
    scale = min(1.0, pixels / max(*sides, 1))
    width, height = (max(1, round(side * scale)) for side in sides)
    return width, height


def encoded(picture: Image.Image) -> bytes:
    """A picture as JPEG bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=86)
    return buffer.getvalue()


def data_url(picture: bytes, kind: str = "jpeg") -> str:
    """The bytes of a picture as text that a page shows without fetching anything."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _placeholder(size: tuple[int, int], path: str) -> Image.Image:
    """Paper with a frame, and in it what is the matter and the name of the file, as large as they fit."""
    picture = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=_LINE, width=max(1, min(size) // 200))
    words = gone(path) or "photo cannot be read"
    name = " ".join(Path(path).name.split())
    texts = f"{words}\n{name}", f"{words}\n{_shortened(name)}", fill(words, 12)
    shape = size[0] * 0.88, size[1] * 0.8
    text = next((text for text in texts if _type_size(text, shape) >= _LEGIBLE), texts[-1])
    font = _font(_type_size(text, shape))
    draw.multiline_text((size[0] / 2, size[1] / 2), text, _INK, font, anchor="mm", align="center")
    return picture


def _shortened(name: str) -> str:
    """Begin and end of a long name; the end is what tells the photos of a series apart."""
    return name if len(name) <= 21 else f"{name[:8]}…{name[-12:]}"


def _type_size(text: str, shape: tuple[float, float]) -> int:
    """Size at which a text fits into a shape (width, height), within what is easy on the eye."""
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, _font(32))
    fits = 32 * min(shape[0] / (right - left), shape[1] / (bottom - top))
    return int(min(max(fits, 4), max(shape[0] / 10, _LEGIBLE), 24))


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Type that knows accents, Greek and Cyrillic; Pillow's own knows ASCII only."""
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)
