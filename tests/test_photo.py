"""Photos of every kind, sound and broken, against pixels that are known because the test made them."""

import io
import os
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from finerkit.photos.decode import Look, PhotoError, load_image, look_at, quiet_pillow
from finerkit.photos.preprocess import Preprocess

FORMATS = {
    "jpg": {"quality": 95, "subsampling": 0},
    "png": {},
    "webp": {"lossless": True},
    "tif": {},
    "tiff": {"compression": "tiff_lzw"},
}


@pytest.fixture(scope="module")
def quadrants():
    """48 rows, 64 columns, a different colour in each quarter."""
    pixels = np.empty((48, 64, 3), np.uint8)
    pixels[:24, :32], pixels[:24, 32:] = (250, 10, 10), (10, 250, 10)
    pixels[24:, :32], pixels[24:, 32:] = (10, 10, 250), (240, 240, 240)
    return pixels


@pytest.fixture(scope="module")
def textured():
    """A smooth random photo, 1200 rows and 1600 columns."""
    coarse = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((1600, 1200), Image.Resampling.BICUBIC))


def colours(path):
    """The set of colours in a photo that is one colour all over."""
    photo = load_image(path)
    assert photo.mode == "RGB"
    return set(photo.get_flattened_data() if hasattr(photo, "get_flattened_data") else photo.getdata())


def saved(image, path, **options):
    image.save(path, **options)
    return path


# --- upright ---


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", FORMATS)
def test_every_exif_orientation_gives_the_same_upright_pixels(tmp_path, quadrants, save_turned, ending, orientation):
    path = save_turned(quadrants, tmp_path / f"x.{ending}", orientation, **FORMATS[ending])
    photo = load_image(path)
    assert photo.size == (64, 48)
    assert np.abs(np.asarray(photo, int) - quadrants).max() <= (3 if ending == "jpg" else 0)
    assert look_at(path) == look_at(path, "header") == Look("ok", 64, 48)


@pytest.mark.parametrize("orientation", [0, 9, 4711])
def test_an_orientation_outside_the_standard_is_ignored(tmp_path, quadrants, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(quadrants), tmp_path / "x.png", exif=exif)
    assert np.array_equal(load_image(path), quadrants)
    assert look_at(path) == Look("ok", 64, 48)


def test_broken_exif_does_not_cost_the_photo(tmp_path, quadrants):
    path = saved(Image.fromarray(quadrants), tmp_path / "x.png", exif=b"Exif\x00\x00MM\x00*garbage")
    assert look_at(path) == Look("ok", 64, 48)
    assert np.array_equal(load_image(path), quadrants)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_grey_photos_are_turned_too(tmp_path, save_turned, ending, depth, orientation):
    grey = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9)
    stored = grey.astype(depth) * depth(257 if depth is np.uint16 else 1)
    photo = load_image(save_turned(stored, tmp_path / f"x.{ending}", orientation))
    assert np.array_equal(np.asarray(photo)[..., 0], grey)


# --- modes ---


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_grey_goes_by_the_full_range(tmp_path, ending):
    levels = np.array([[0, 1, 100, 255]], np.uint16)
    path = saved(Image.fromarray(np.repeat(levels * 257, 4, axis=0)), tmp_path / f"x.{ending}")
    photo = np.asarray(load_image(path))
    assert np.array_equal(photo, np.broadcast_to(levels.T.reshape(1, 4, 1), (4, 4, 3)))


@pytest.mark.parametrize(("order", "mode"), [("<u2", "I;16"), (">u2", "I;16B")])
def test_a_dark_16_bit_photo_stays_dark_in_either_byte_order(tmp_path, order, mode):
    pixels = np.full((4, 4), 200, order)
    path = saved(Image.frombytes(mode, (4, 4), pixels.tobytes()), tmp_path / "x.tif")
    with Image.open(path) as image:
        assert image.mode == mode
    assert colours(path) == {(1, 1, 1)}


@pytest.mark.parametrize(
    ("value", "grey"), [(0.0, 0), (0.2, 51), (1.0, 255), (100.0, 100), (25700.0, 100), (1e9, 255), (-3.0, 0)]
)
def test_float_pixels(tmp_path, value, grey):
    path = saved(Image.fromarray(np.full((4, 4), value, np.float32)), tmp_path / "x.tif")
    assert colours(path) == {(grey,) * 3}


def test_float_pixels_that_are_no_numbers_leave_the_others_alone(tmp_path):
    pixels = np.full((2, 4), 0.2, np.float32)
    pixels[0, :3] = np.nan, np.inf, -np.inf
    photo = np.asarray(load_image(saved(Image.fromarray(pixels), tmp_path / "x.tif")))
    assert photo[0, :, 0].tolist() == [0, 255, 0, 51]


@pytest.mark.parametrize(("value", "grey"), [(100, 100), (25700, 100), (70000, 255), (-5, 0)])
def test_32_bit_integer_pixels(tmp_path, value, grey):
    path = saved(Image.fromarray(np.full((4, 4), value, np.int32)), tmp_path / "x.tif")
    assert colours(path) == {(grey,) * 3}


def test_16_bit_colour(tmp_path):
    row = b"\0" + struct.pack(">HHH", 25700, 514, 65535) * 4
    (tmp_path / "x.png").write_bytes(png(4, 4, row * 4, depth=16))
    assert colours(tmp_path / "x.png") == {(100, 2, 255)}


@pytest.mark.parametrize(
    ("image", "ending", "options", "colour"),
    [
        (Image.new("1", (4, 4), 1), "png", {}, (255, 255, 255)),
        (Image.new("1", (4, 4), 0), "tif", {}, (0, 0, 0)),
        (Image.new("L", (4, 4), 77), "png", {}, (77, 77, 77)),
        (Image.new("L", (4, 4), 77), "gif", {}, (77, 77, 77)),
        (Image.new("L", (4, 4), 77), "jpg", {"quality": 100}, (77, 77, 77)),
        (Image.new("L", (4, 4), 77), "png", {"transparency": 77}, (255, 255, 255)),
        (Image.new("LA", (4, 4), (100, 0)), "png", {}, (255, 255, 255)),
        (Image.new("LA", (4, 4), (100, 255)), "png", {}, (100, 100, 100)),
        (Image.new("RGBA", (4, 4), (200, 0, 0, 0)), "png", {}, (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (200, 0, 0, 255)), "tif", {}, (200, 0, 0)),
        (Image.new("RGBA", (4, 4), (200, 0, 0, 0)), "webp", {"lossless": True, "exact": True}, (255, 255, 255)),
        (Image.new("RGB", (4, 4), (10, 20, 30)), "png", {"transparency": (10, 20, 30)}, (255, 255, 255)),
        (Image.new("RGB", (4, 4), (10, 20, 30)), "bmp", {}, (10, 20, 30)),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "tif", {}, (255, 0, 0)),
        (Image.new("YCbCr", (4, 4), (90, 128, 128)), "tif", {}, (90, 90, 90)),
    ],
    ids=lambda v: v.mode if isinstance(v, Image.Image) else None,
)
def test_modes(tmp_path, image, ending, options, colour):
    path = saved(image, tmp_path / f"x.{ending}", **options)
    assert colours(path) == {colour}
    assert look_at(path) == Look("ok", 4, 4)


def test_half_transparent_pixels_are_half_white(tmp_path):
    path = saved(Image.new("RGBA", (4, 4), (200, 0, 0, 128)), tmp_path / "x.png")
    expected = np.array([200, 0, 0]) * (128 / 255) + 255 * (127 / 255)
    assert np.abs(np.array(load_image(path).getpixel((0, 0))) - expected).max() <= 1


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_palettes_with_and_without_transparency(tmp_path, ending):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 250, 0])
    assert colours(saved(image, tmp_path / f"a.{ending}")) == {(0, 250, 0)}
    assert colours(saved(image, tmp_path / f"b.{ending}", transparency=1)) == {(255, 255, 255)}


def test_cmyk_jpeg(tmp_path):
    path = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "x.jpg", quality=95)
    assert np.abs(np.asarray(load_image(path), int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
def test_the_first_frame_of_several(tmp_path, ending):
    red, lime = (Image.new("RGB", (8, 8), c) for c in ("red", "lime"))
    options = {"lossless": True} if ending == "webp" else {}
    path = saved(red, tmp_path / f"x.{ending}", save_all=True, append_images=[lime], **options)
    with Image.open(path) as image:
        assert image.n_frames == 2
    assert colours(path) == {(255, 0, 0)}


def test_the_ending_of_the_name_does_not_matter(tmp_path, quadrants):
    path = saved(Image.fromarray(quadrants), tmp_path / "png called.jpg", format="PNG")
    assert np.array_equal(load_image(path), quadrants)


# --- broken ---


def png(width, height, rows, depth=8):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def encoded(pixels, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def refused(path, **options):
    """The reason why a photo is refused, the same whether looked at or loaded."""
    look = look_at(path, **options)
    with pytest.raises(PhotoError) as error:
        load_image(path, **{k: v for k, v in options.items() if k != "check"})
    assert look == Look(str(error.value), 0, 0)
    return look.status


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("GIF", {}),
        ("BMP", {}),
    ],
)
def test_truncated_photos_are_refused_wherever_they_are_cut(tmp_path, quadrants, kind, options):
    noise = np.random.default_rng(1).integers(0, 40, quadrants.shape, np.uint8)
    whole = encoded(quadrants // 2 + noise, kind, **options)
    path = tmp_path / "x"
    with quiet_pillow():
        for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97):
            path.write_bytes(whole[: int(share * len(whole))])
            assert refused(path).startswith(("truncated", "damaged", "not an image")), share
        path.write_bytes(whole[: len(whole) // 2])
        assert "truncated" in refused(path) or kind in {"WEBP", "TIFF"}
        path.write_bytes(whole)
        assert look_at(path) == Look("ok", 64, 48)


def test_the_header_check_reads_only_the_header(tmp_path, quadrants):
    whole = encoded(np.tile(quadrants, (9, 9, 1)), "JPEG")
    path = tmp_path / "x.jpg"
    path.write_bytes(whole[: len(whole) // 2])
    assert look_at(path, "header") == Look("ok", 576, 432)
    assert look_at(path, "decode").status.startswith("truncated")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_flipped_bits_never_raise_anything_else(tmp_path, quadrants, kind):
    flip = random.Random(kind)
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = encoded(quadrants, kind, **({} if kind == "GIF" else {"exif": exif}))
    path = tmp_path / "x"
    outcomes = set()
    with quiet_pillow():
        for _ in range(60):
            damaged = bytearray(whole)
            for _ in range(3):
                damaged[flip.randrange(min(len(damaged), flip.choice([200, 10**9])))] ^= 1 << flip.randrange(8)
            path.write_bytes(damaged)
            look = look_at(path)
            outcomes.add(look.status == "ok")
            if look.status == "ok":
                assert load_image(path).size == (look.width, look.height)
            else:
                assert refused(path)
                assert "\n" not in look.status
    assert False in outcomes


def test_empty_text_missing_and_folder(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    assert refused(tmp_path / "empty.jpg") == "empty file (0 bytes)"
    assert refused(tmp_path / "text.jpg") == "not an image, or a damaged header"
    assert refused(tmp_path / "folder.jpg") == "not a regular file"
    assert refused(tmp_path / "gone.jpg") == "file not found"
    assert refused(tmp_path / "loop.jpg") == "file not found"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_make_us_wait(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    assert refused(tmp_path / "x.jpg") == "not a regular file"


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may read everything")
def test_no_permission(tmp_path, quadrants):
    path = saved(Image.fromarray(quadrants), tmp_path / "x.png")
    path.chmod(0)
    assert refused(path) == "no permission to read the file"


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(60000, 60000, b"\0" * 1000))
    assert refused(path) == "too large: more than 150,000,000 pixels"
    # Pillow's own limit holds even if ours is raised, and is the one named.
    assert refused(path, max_pixels=10**11) == f"too large: more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels"


def test_max_pixels_counts_pixels(tmp_path, quadrants):
    path = saved(Image.fromarray(quadrants), tmp_path / "x.png")
    assert look_at(path, max_pixels=64 * 48).status == "ok"
    assert refused(path, max_pixels=64 * 48 - 1) == "too large: 64 x 48 pixels, more than 3,071 in all"
    assert refused(path, check="header", max_pixels=9).startswith("too large")


def test_a_large_photo_within_the_limit_is_read_without_a_warning(tmp_path, monkeypatch, quadrants):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 48 - 1)
    path = saved(Image.fromarray(quadrants), tmp_path / "x.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet_pillow():
            assert look_at(path) == Look("ok", 64, 48)


def test_errors_inside_the_block_close_the_file(tmp_path, quadrants):
    path = tmp_path / "x.jpg"
    path.write_bytes(encoded(quadrants, "JPEG")[:700])
    refused(path)
    path.unlink()  # an open handle would fail the test as a ResourceWarning, and on Windows here


# --- JPEG at a reduced size ---


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_reduced_decoding_gives_nearly_the_same_input(tmp_path, textured, save_turned, fit, orientation):
    path = save_turned(textured, tmp_path / "x.jpg", orientation, quality=92)
    need = 112
    full, quick = load_image(path), load_image(path, need=need)
    assert full.size == (1600, 1200)
    assert 2 * need <= min(quick.size) < 1200
    assert quick.width > quick.height
    preprocess = Preprocess(need, fit=fit)
    difference = np.abs(preprocess.pixels(full).astype(int) - preprocess.pixels(quick))
    assert difference.mean() < 1.5
    assert difference.max() < 16


def test_reduced_decoding_never_goes_below_what_is_needed(tmp_path, textured):
    path = saved(Image.fromarray(textured[:333, :500]), tmp_path / "x.jpg")
    for need in (1, 20, 41, 42, 83, 84, 166, 167, 500, 5000):
        width, height = load_image(path, need=need).size
        assert min(width, height) >= min(2 * need, 333)
        assert width / height == pytest.approx(500 / 333, rel=0.03)
    path = saved(Image.fromarray(textured[:333, :500]), tmp_path / "x.png")
    assert load_image(path, need=20).size == (500, 333)


def test_reduced_decoding_still_finds_truncation(tmp_path, textured):
    path = tmp_path / "x.jpg"
    path.write_bytes(encoded(textured, "JPEG")[:-2000])
    with pytest.raises(PhotoError, match="^truncated"):
        load_image(path, need=112)


def test_programs_are_not_photos(tmp_path):
    """EPS would be run by Ghostscript where that is installed."""
    file = tmp_path / "drawing.jpg"
    file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    assert look_at(file).status == "not an image, or a damaged header"
