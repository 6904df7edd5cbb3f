"""Encode the photos that are looked at for the browser."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from finerkit.photos.display import display_crop, encoded, read_crop

#: An enlarged photo travels at its own size, but not above this many pixels on its longer side.
LARGEST = 4096


def jpeg(path: str, width: int, height: int, pixels: int) -> bytes:
    """Encode a photo for display.

    Parameters
    ----------
    path
        Of the file; where it is not found, that is shown.
    width, height
        Of the upright original, in pixels.
    pixels
        Longest side of the result, in pixels.
    """
    width, height = max(width, 1), max(height, 1)
    return crop_jpeg(path, (width, height), (0, 0, width, height), pixels)


def crop_jpeg(path: str, size: tuple[int, int], box: tuple[float, float, float, float], pixels: int) -> bytes:
    """Encode a part of a photo (left, top, right, bottom), its longer side at most `pixels`; see `jpeg`."""
    try:
        return _read(path, Path(path).stat().st_mtime_ns, size, box, pixels)
    except (OSError, ValueError):  # not kept: the photo may come back
        return encoded(display_crop(path, size, box, pixels))


@lru_cache(maxsize=1024)
def _read(path: str, _changed: int, size: tuple[int, int], box: tuple[float, ...], pixels: int) -> bytes:
    return encoded(read_crop(path, size, box, pixels))
