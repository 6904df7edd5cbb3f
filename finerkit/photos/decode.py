"""Read one photo as upright 8-bit RGB pixels, or say why it cannot be."""

from __future__ import annotations

import hashlib
import os
import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

#: Photos with more pixels than this are left out, so that a decompression bomb cannot take the machine down.
MAX_PIXELS = 150_000_000

#: Photos with more pixels than this are decoded one after the other, so that threads do not fill the memory with them.
LARGE = 40_000_000

_one_at_a_time = Lock()

#: Formats that are read: pictures only. EPS and its like are programs, which Pillow hands to other tools.
FORMATS = (
    "JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "JPEG2000", "AVIF", "PPM", "TGA", "ICO", "DIB", "PCX", "SGI",
)  # fmt: skip

#: EXIF orientation -> how to make it upright. `PIL.ImageOps.exif_transpose` fails where other parts of EXIF are broken.
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PhotoError(ValueError):
    """One photo cannot be used; the message is the reason kept in `status`."""


class Look(NamedTuple):
    """What a first look at a file found: status ("ok" or the reason) and upright size in pixels (0 if unknown)."""

    status: str
    width: int
    height: int


def load_image(path: str | os.PathLike[str], *, need: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read one photo as upright 8-bit RGB.

    Honours EXIF orientation; takes the first frame of animations; puts transparent pixels on white; brings 16-bit,
    32-bit and float pixels to 8 bits (integers by the full 16-bit range, floats up to 1 as fractions).

    Parameters
    ----------
    path
        The file.
    need
        If given, a JPEG may be decoded at a reduced size of at least ``2 * need`` on its shorter side: quicker.
    max_pixels
        Larger photos are refused.

    Returns
    -------
    PIL.Image.Image
        Mode "RGB".

    Raises
    ------
    PhotoError
        With the reason, if the file cannot be read as a photo.
    """
    with _opened(path, max_pixels) as image:
        turn = _TURN.get(_orientation(image))
        if need is not None:
            scale = 2 * need / min(image.size)
            image.draft("RGB", (int(image.width * scale), int(image.height * scale)))
        image.load()
        return _to_rgb(image if turn is None else image.transpose(turn))


def look_at(path: str | os.PathLike[str], check: str = "decode", max_pixels: int = MAX_PIXELS) -> Look:
    """Find a photo's upright size and whether it can be read: to its end ("decode") or its header only ("header")."""
    try:
        with _opened(path, max_pixels) as image:
            width, height = image.size
            if _orientation(image) in {5, 6, 7, 8}:
                width, height = height, width
            if check == "decode":
                image.draft("RGB", (max(1, width // 8), max(1, height // 8)))  # all bytes are read, but few pixels made
                image.load()
    except PhotoError as error:
        return Look(str(error), 0, 0)
    return Look("ok", width, height)


def fingerprint(path: str | os.PathLike[str]) -> str:
    """Tell a file from others without reading all of it: hash of its size and of samples; "" if unreadable.

    The samples are the first and last 64 KiB, and 16 stretches of 4 KiB between them: scans and cut-out specimens may
    begin and end alike, in white.
    """

    def sampled(stream: BinaryIO) -> str:
        size = stream.seek(0, os.SEEK_END)
        between = [(size * i // 17, 2**12) for i in range(1, 17)]
        digest = hashlib.sha256(f"{size}:".encode())
        for start, length in [(0, 2**16), *between, (size - 2**16, 2**16)] if size > 2**18 else [(0, size)]:
            stream.seek(start)
            digest.update(stream.read(length))
        return digest.hexdigest()[:16]

    return _digested(path, sampled)


def checksum(path: str | os.PathLike[str]) -> str:
    """SHA-256 of all bytes of a file, in hexadecimal; "" if unreadable."""
    return _digested(path, lambda stream: hashlib.file_digest(stream, "sha256").hexdigest())


def _digested(path: str | os.PathLike[str], digest: Callable[[BinaryIO], str]) -> str:
    try:
        if not Path(path).is_file():
            return ""  # a named pipe would make us wait for ever
        with Path(path).open("rb") as stream:
            return digest(stream)
    except (OSError, ValueError):
        return ""


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's notes on odd but readable files (call it around worker threads, not inside them)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\..*")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


@contextmanager
def _opened(path: str | os.PathLike[str], max_pixels: int) -> Iterator[Image.Image]:
    """Open a photo, turning everything that can go wrong, inside the block too, into a `PhotoError` with the reason."""
    file = Path(path)
    try:
        if file.is_dir() and not os.access(file, os.R_OK | os.X_OK):
            raise PhotoError("no permission to read the folder")
        if not file.is_file():
            raise PhotoError("not a regular file" if file.exists() else "file not found")
        if file.stat().st_size == 0:
            raise PhotoError("empty file (0 bytes)")
        # As a stream: given a name, Pillow maps uncompressed files, and scrambles TIFFs that lie on their side.
        with file.open("rb") as stream, Image.open(stream, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise PhotoError(f"too large: {image.width} x {image.height} pixels, more than {max_pixels:,} in all")
            with _one_at_a_time if image.width * image.height > LARGE else nullcontext():
                yield image
    except PhotoError:
        raise
    except UnidentifiedImageError:
        raise PhotoError("not an image, or a damaged header") from None
    except Image.DecompressionBombError:  # Pillow's own limit is twice the number of pixels at which it warns
        limit = min(max_pixels, 2 * Image.MAX_IMAGE_PIXELS)
        raise PhotoError(f"too large: more than {limit:,} pixels") from None
    except PermissionError:
        raise PhotoError("no permission to read the file") from None
    except MemoryError:
        raise PhotoError("too large for this machine's memory") from None
    except Exception as error:  # noqa: BLE001 - decoders raise anything on hostile bytes; the reason is kept
        reason = " ".join(str(error).split()) or type(error).__name__
        kind = "truncated" if "truncated" in reason.casefold() else "damaged"
        raise PhotoError(f"{kind}: {reason}") from None


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        return 1  # Pillow gives the upright size of a TIFF, and turns its pixels while loading
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 - broken EXIF raises many kinds; the pixels are still good
        return 1
    return orientation if isinstance(orientation, int) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_to_8_bit(image))
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        return white
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> np.ndarray:
    """Bring deep pixels to 8 bits by a fixed rule, never by the photo's own range, so that photos stay comparable."""
    pixels = np.asarray(image)
    top = pixels.max(initial=0, where=np.isfinite(pixels))
    deep = top > 255 or np.issubdtype(pixels.dtype, np.uint16)  # of either byte order
    scale = 255 if np.issubdtype(pixels.dtype, np.floating) and top <= 1 else 1 / 257 if deep else 1
    narrow = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), 64):  # by stretches of rows: in float64 all of it might not fit the memory
        values = np.nan_to_num(pixels[start : start + 64].astype(np.float64), nan=0, posinf=np.inf, neginf=-np.inf)
        narrow[start : start + 64] = np.clip(np.rint(values * scale), 0, 255)
    return narrow
