"""Makes a folder of photos as bad as they come, and says of each file what it is: its upright pixels, or why not."""

import io
import os
import random
import struct
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

DAMAGED = r"truncated: .+|damaged: .+|not an image, or a damaged header"
NO_IMAGE = "not an image, or a damaged header"
EMPTY = r"empty file \(0 bytes\)"
GONE = "file not found"
HUGE = r"too large: .*pixels.*"
ODD = "not a regular file"
ORIENTATION = 0x0112

SPECIES = ("Alba mixta", "Brunnea <b>odd & 'x'")
ALONE, VACANT = "Solo unica", "Vacua nulla"

NAMES = [
    *("with space", " leading", "quo\"te'", "line\nbreak", "tab\there", "🦋", "蝶", "e\u0301", "<img src=x>", "&amp;"),
    *("100%", "#1", "?q=1", "a;b,c", "=1+1", "-rf", "$HOME", "~", "back\\slash", "{0}", "%s", "x" * 200),
    *("CON", "\u202egpj", "new\u2028line", "*", "[ab]"),
]


class File(NamedTuple):
    """What a file is: its upright pixels, or why it cannot be used; both None where either may come of it."""

    pixels: np.ndarray | None = None
    tolerance: float = 0
    reason: str | None = None


class Corpus:
    """Files by their id, spread over two species."""

    def __init__(self, root):
        self.root, self.files = root, {}
        for name in (*SPECIES, ALONE, VACANT):
            (root / name).mkdir(parents=True)

    def path(self, name, file):
        """Where to put the next file, which is said to be `file`."""
        image = f"{SPECIES[len(self.files) % 2]}/{name}"
        assert image not in self.files
        self.files[image] = file
        return self.root / image

    def add(self, name, content, file):
        self.path(name, file).write_bytes(content)


def picture(seed, size=(64, 48)):
    """Smooth colours, different in each corner and for each seed."""
    corners = np.random.default_rng(seed).integers(20, 236, (2, 2, 3), np.uint8)
    return np.asarray(Image.fromarray(corners).resize(size, Image.Resampling.BILINEAR))


def encoded(image, kind, **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_claiming(width, height, depth=8):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 10**6))


def make(root: Path, save_turned) -> dict[str, File]:
    """Write the corpus; returns what each file is, by id."""
    corpus = Corpus(root)
    for part in (_sound, _modes, _names, _cut, _flipped, _no_photos, _odd):
        part(corpus)
    for orientation in range(1, 9):
        for ending in ("jpg", "png", "tif", "webp"):
            pixels, lossless = picture(1000 + orientation), {"lossless": True} if ending == "webp" else {}
            options = {"quality": 95, "subsampling": 0} if ending == "jpg" else lossless
            file = File(pixels, 8 if ending == "jpg" else 0)
            save_turned(pixels, corpus.path(f"turned {orientation}.{ending}", file), orientation, **options)
    _twice(corpus)
    image = f"{ALONE}/only.png"
    corpus.files[image] = File(picture(5000))
    (root / image).write_bytes(encoded(picture(5000), "PNG"))
    return corpus.files


def _sound(corpus):
    kinds = [("JPEG", {"quality": 95}, 6), ("PNG", {}, 0), ("BMP", {}, 0), ("TIFF", {}, 0), ("PPM", {}, 0)]
    kinds += [("WEBP", {"lossless": True}, 0), ("JPEG", {"quality": 95, "progressive": True}, 6)]
    for i in range(35):
        kind, options, tolerance = kinds[i % len(kinds)]
        corpus.add(f"sound {i}.x", encoded(picture(i), kind, **options), File(picture(i), tolerance))
    for i, (kind, ending) in enumerate(
        [("PNG", "jpg"), ("JPEG", "png"), ("TIFF", "jpeg"), ("BMP", "txt"), ("PNG", "")]
    ):
        corpus.add(f"wrong {i}.{ending}", encoded(picture(50 + i), kind), File(picture(50 + i), 8))
    for i, size in enumerate([(1, 1), (1, 40), (40, 1), (30000, 16), (16, 30000), (30000, 1)]):
        corpus.add(f"shape {i}.png", encoded(picture(60 + i, size), "PNG"), File(picture(60 + i, size)))
        corpus.add(f"shape {i}.jpg", encoded(picture(70 + i, size), "JPEG", quality=95), File(picture(70 + i, size), 8))
    for i, exif in enumerate(
        [b"", b"Exif\0\0", b"Exif\0\0MM\0*garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 90]
    ):
        corpus.add(f"exif {i}.jpg", encoded(picture(80 + i), "JPEG", quality=95, exif=exif), File(picture(80 + i), 6))


def _modes(corpus):
    for i in range(3):
        pixels = picture(100 + i)
        ink = Image.fromarray(255 - np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]), "CMYK")
        corpus.add(f"cmyk {i}.jpg", encoded(ink, "JPEG", quality=95), File(pixels, 6))
        corpus.add(f"cmyk {i}.tif", encoded(ink, "TIFF"), File(pixels, 1))
        grey = pixels[..., 0]
        deep = Image.fromarray(grey.astype(np.uint16) * 257)
        for kind in ("PNG", "TIFF"):
            corpus.add(f"deep {i}.{kind}", encoded(deep, kind), File(np.dstack([grey] * 3)))
        real = Image.fromarray(grey.astype(np.float32) / 255)
        corpus.add(f"real {i}.tif", encoded(real, "TIFF"), File(np.dstack([grey] * 3)))
        alpha = np.where(np.arange(64) < 32, 0, 255).astype(np.uint8)[None, :].repeat(48, 0)
        clear = Image.fromarray(np.dstack([pixels, alpha]))
        on_white = np.where(alpha[..., None] > 0, pixels, 255)
        corpus.add(f"clear {i}.png", encoded(clear, "PNG"), File(on_white))
        corpus.add(f"clear {i}.webp", encoded(clear, "WEBP", lossless=True), File(on_white))
        _palette(corpus, i)
        frames = {"save_all": True, "append_images": [Image.fromarray(picture(900 + i))]}
        for kind in ("PNG", "WEBP", "TIFF"):
            options = frames | ({"lossless": True} if kind == "WEBP" else {})
            corpus.add(f"moving {i}.{kind}", encoded(picture(110 + i), kind, **options), File(picture(110 + i)))


def _palette(corpus, i):
    """Four colours, of which one is clear."""
    index = (np.arange(64)[None, :] // 16).repeat(48, 0).astype(np.uint8)
    colours = np.random.default_rng(200 + i).integers(0, 250, (4, 3), np.uint8)
    image = Image.fromarray(index, "P")
    image.putpalette(colours.ravel().tolist())
    seen = colours.copy()
    seen[2] = 255
    for kind in ("PNG", "GIF"):
        corpus.add(f"palette {i}.{kind}", encoded(image, kind, transparency=2), File(seen[index]))


def _names(corpus):
    for i, name in enumerate(NAMES if sys.platform != "win32" else []):
        corpus.add(name, encoded(picture(300 + i), "PNG"), File(picture(300 + i)))


def _cut(corpus):
    for i in range(60):
        kind, options = [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {})][i % 3]
        noise = np.random.default_rng(400 + i).integers(0, 255, (48, 64, 3), np.uint8)
        whole = encoded(noise, kind, **options)
        corpus.add(f"cut {i}.jpg", whole[: int(len(whole) * (0.02 + 0.015 * i))], File(reason=DAMAGED))


def _flipped(corpus):
    flip = random.Random(0)
    for i in range(70):
        damaged = bytearray(encoded(picture(500 + i), "JPEG"))
        for _ in range(1 + i % 4):
            damaged[flip.randrange(2, len(damaged))] ^= 1 << flip.randrange(8)
        corpus.add(f"flipped {i}.jpg", bytes(damaged), File())


def _no_photos(corpus):
    noise = random.Random(1)
    for i in range(10):
        corpus.add(f"zero {i}.jpg", b"", File(reason=EMPTY))
        corpus.add(f"text {i}.jpg", b"I am no photo. " * (i + 1), File(reason=NO_IMAGE))
        corpus.add(f"noise {i}.jpg", noise.randbytes(500), File(reason=DAMAGED))
    heads = [
        b"\xff\xd8",
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"II*\0",
        b"MM\0*",
        b"RIFF....WEBP",
        b"BM",
    ]
    heads += [
        b"%PDF-1.7",
        b"PK\3\4",
        b"<html><script>alert(1)</script>",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"P6 9 9 255 ",
        b"\0" * 99,
    ]
    for i, head in enumerate(heads):
        corpus.add(f"head {i}.jpg", head + b"\xff" * 40, File(reason=DAMAGED))
    for i, size in enumerate([(60000, 60000), (2**31 - 1, 1), (12300, 12300), (2**20, 2**10)]):
        corpus.add(f"bomb {i}.png", png_claiming(*size), File(reason=HUGE))
    sides = struct.pack("<HH", 65535, 65535)
    gif = b"GIF89a" + sides + b"\0\0\0,\0\0\0\0" + sides + b"\0\x08\0;"
    corpus.add("bomb.gif", gif, File(reason=HUGE))
    corpus.add("bomb inside.png", png_claiming(11000, 11000, 16), File(reason=DAMAGED))


def _odd(corpus):
    (corpus.root / SPECIES[0] / "folder.jpg").mkdir()
    if sys.platform == "win32":
        return
    corpus.path("loop.jpg", File(reason=GONE)).symlink_to("loop.jpg")
    corpus.path("gone.jpg", File(reason=GONE)).symlink_to("nowhere.jpg")
    (corpus.root / SPECIES[1] / "up").symlink_to(corpus.root, target_is_directory=True)
    os.mkfifo(corpus.path("pipe.jpg", File(reason=ODD)))


def _twice(corpus):
    for i in range(3):
        for species in SPECIES:
            image = f"{species}/twice {i}.png"
            corpus.files[image] = File(picture(4000 + i))
            (corpus.root / image).write_bytes(encoded(picture(4000 + i), "PNG"))
