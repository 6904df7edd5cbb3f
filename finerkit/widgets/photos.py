"""Photos for the browser: paths of files enter; JPEG bytes leave, of the few photos that are looked at."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

from finerkit.figures.panels import display_photo

if TYPE_CHECKING:
    from PIL import Image

#: An enlarged photo travels at its own size, but not above this many pixels on its longer side.
LARGEST = 4096


@lru_cache(maxsize=512)
def jpeg(path: str, width: int, height: int, pixels: int) -> bytes:
    """Encode a photo for display.

    Parameters
    ----------
    path
        Of the file; where it can no longer be read, plain grey is shown.
    width, height
        Of the upright original, in pixels.
    pixels
        Longest side of the result, in pixels.
    """
    return encoded(display_photo(path, (max(width, 1), max(height, 1)), pixels))


def encoded(picture: Image.Image, quality: int = 86) -> bytes:
    """A picture as JPEG bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
