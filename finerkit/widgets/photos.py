"""Encode the photos that are looked at for the browser."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from finerkit.photo_display import display_crop, display_photo

if TYPE_CHECKING:
    from PIL import Image

#: An enlarged photo travels at its own size, but not above this many pixels on its longer side.
LARGEST = 4096


def jpeg(path: str, width: int, height: int, pixels: int) -> bytes:
    """Encode a photo for display; what is not there now is not remembered.

    Parameters
    ----------
    path
        Of the file; where it is not found, that is shown.
    width, height
        Of the upright original, in pixels.
    pixels
        Longest side of the result, in pixels.
    """
    return (_jpeg if Path(path).exists() else _jpeg.__wrapped__)(path, width, height, pixels)


@lru_cache(maxsize=512)
def _jpeg(path: str, width: int, height: int, pixels: int) -> bytes:
    return encoded(display_photo(path, (max(width, 1), max(height, 1)), pixels))


def crop_jpeg(path: str, size: tuple[int, int], box: tuple[float, float, float, float], pixels: int) -> bytes:
    """Encode a part of a photo (left, top, right, bottom), its longer side at most `pixels`; see `jpeg`."""
    return (_crop_jpeg if Path(path).exists() else _crop_jpeg.__wrapped__)(path, size, box, pixels)


@lru_cache(maxsize=2048)
def _crop_jpeg(path: str, size: tuple[int, int], box: tuple[float, float, float, float], pixels: int) -> bytes:
    return encoded(display_crop(path, size, box, pixels))


def encoded(picture: Image.Image, quality: int = 86) -> bytes:
    """A picture as JPEG bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
