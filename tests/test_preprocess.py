"""Preprocessing: where pixels land, and where grid cells lie, must be one and the same story."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import finerkit as fk
from finerkit.photos.decode import load_image
from finerkit.photos.preprocess import FIT_MODES, Preprocess

SIDES = st.integers(1, 3000)
FITS = st.sampled_from(FIT_MODES)


def on_black(size, fit, interpolation="bilinear"):
    return Preprocess(size, fit, interpolation, mean=(0, 0, 0), std=(1, 1, 1))


# --- geometry by itself ---


@given(SIDES, SIDES, st.integers(1, 600), st.tuples(st.integers(1, 40), st.integers(1, 40)), FITS)
@settings(max_examples=300, deadline=None)
def test_cells_tile_what_is_shown(width, height, size, grid, fit):
    rows, columns = grid
    placed = Preprocess(size, fit).placement(width, height, grid)
    right, bottom = placed.left + columns * placed.cell_width, placed.top + rows * placed.cell_height
    if fit == "squash":
        assert (placed.left, placed.top) == (0, 0)
        assert (right, bottom) == pytest.approx((width, height))
    elif fit == "crop":
        side = min(width, height)
        assert (right - placed.left, bottom - placed.top) == pytest.approx((side, side))
        assert ((placed.left + right) / 2, (placed.top + bottom) / 2) == pytest.approx((width / 2, height / 2))
    else:
        whole = 1e-6 * max(width, height)
        assert placed.left <= whole
        assert placed.top <= whole
        assert right >= width - whole
        assert bottom >= height - whole
        # The longer side fills the square; the other is centred to within an input pixel.
        if width >= height:
            assert (placed.left, right) == pytest.approx((0, width))
        if height >= width:
            assert (placed.top, bottom) == pytest.approx((0, height))
        per_input_x, per_input_y = (right - placed.left) / size, (bottom - placed.top) / size
        assert abs(placed.left + right - width) <= per_input_x * 1.001
        assert abs(placed.top + bottom - height) <= per_input_y * 1.001


@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5), FITS)
@settings(max_examples=50, deadline=None)
def test_arrays_of_photos_give_what_each_gives_alone(sizes, fit):
    preprocess = Preprocess(224, fit)
    widths, heights = np.array(sizes).T
    together = preprocess.placement(widths, heights, (7, 5))
    for i, (w, h) in enumerate(sizes):
        assert [field[i] for field in together] == list(preprocess.placement(w, h, (7, 5)))


@given(SIDES, SIDES, st.integers(1, 5), st.integers(1, 9), FITS)
@settings(max_examples=50, deadline=None)
def test_a_finer_grid_subdivides_the_cells(width, height, factor, rows, fit):
    preprocess = Preprocess(64, fit)
    coarse, fine = (preprocess.placement(width, height, (rows * f, 3 * f)) for f in (1, factor))
    assert (fine.left, fine.top) == (coarse.left, coarse.top)
    assert fine.cell_width * factor == pytest.approx(coarse.cell_width)
    assert fine.cell_height * factor == pytest.approx(coarse.cell_height)


@pytest.mark.parametrize("fit", FIT_MODES)
def test_photos_that_could_not_be_read_have_no_cells_and_raise_nothing(fit):
    placed = Preprocess(224, fit).placement(np.array([0, 100]), np.array([0, 50]), (7, 7))
    assert np.isfinite(np.array(placed)).all()
    assert placed.cell_width[0] == placed.cell_height[0] == 0
    assert placed.cell_width[1] > 0


# --- geometry against pixels ---


@given(st.integers(8, 200), st.integers(8, 200), st.integers(12, 64), st.floats(0, 1), st.floats(0, 1), FITS)
@settings(max_examples=150, deadline=None)
def test_bright_pixels_land_where_placement_says(width, height, size, x, y, fit):
    preprocess = on_black(size, fit)
    placed = preprocess.placement(width, height, (size, size))  # one cell per input pixel
    block_w, block_h = (int(np.ceil(side)) for side in (placed.cell_width, placed.cell_height))
    # Anywhere within what is shown, but off its rim, where interpolation is one-sided.
    spans = []
    for share, block, length, start, cell in (
        (x, block_w, width, placed.left, placed.cell_width),
        (y, block_h, height, placed.top, placed.cell_height),
    ):
        low, high = max(0, start) + max(cell, 1), min(length, start + size * cell) - max(cell, 1) - block
        first = round(low + share * (high - low)) if high > low else max(0, (length - block) // 2)
        spans.append((first, min(block, length)))
    (left, block_w), (top, block_h) = spans
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[top : top + block_h, left : left + block_w] = 255
    seen = preprocess.pixels(Image.fromarray(pixels))[..., 0].astype(float)
    found_y, found_x = ((np.arange(size) + 0.5) @ seen.sum(axis) / seen.sum() for axis in (1, 0))
    expected_x = (left + block_w / 2 - placed.left) / placed.cell_width
    expected_y = (top + block_h / 2 - placed.top) / placed.cell_height
    assert abs(found_x - expected_x) < 0.5
    assert abs(found_y - expected_y) < 0.5


def shared(start, length, starts, lengths):
    """Length that one stretch shares with each of others."""
    return np.clip(np.minimum(start + length, starts + lengths) - np.maximum(start, starts), 0, None)


@pytest.mark.parametrize("fit", FIT_MODES)
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_the_brightest_cell_maps_back_to_a_square_in_a_turned_file(tmp_path, save_turned, ending, orientation, fit):
    upright, size, grid = (180, 120), 112, (14, 14)
    preprocess = on_black(size, fit, "bicubic")
    squares = [(66, 33), (110, 80), (45, 90)]  # left and top of 8 x 8 pixels, upright; "crop" shows them all
    for i, (left, top) in enumerate(squares):
        pixels = np.zeros((upright[1], upright[0], 3), np.uint8)
        pixels[top : top + 8, left : left + 8] = 255
        save_turned(pixels, tmp_path / f"{i}.{ending}", orientation)
    images = fk.read_images(tmp_path)
    placed = preprocess.placement(images.width.values, images.height.values, grid)
    for i, (left, top) in enumerate(squares):
        seen = preprocess.pixels(load_image(images.path.values[i], need=size))
        cells = seen.astype(float).mean(-1).reshape(14, 8, 14, 8).mean((1, 3))
        row, column = np.unravel_index(cells.argmax(), grid)
        # How many of the square's pixels each cell covers, if it lies where placement says.
        columns = shared(left, 8, placed.left[i] + np.arange(14) * placed.cell_width[i], placed.cell_width[i])
        rows = shared(top, 8, placed.top[i] + np.arange(14) * placed.cell_height[i], placed.cell_height[i])
        assert rows[row] * columns[column] >= 0.9 * rows.max() * columns.max() > 0


# --- pixels ---


@pytest.mark.parametrize("fit", FIT_MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (37, 91), (224, 224)])
def test_pixels_are_square_8_bit_colour(fit, size):
    pixels = Preprocess(32, fit).pixels(Image.new("RGB", size, (9, 90, 200)))
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    if fit != "pad":
        assert (pixels == (9, 90, 200)).all()


def test_padding_has_the_mean_colour_and_the_photo_keeps_its_shape():
    pixels = Preprocess(40, "pad", mean=(0.2, 0.4, 0.6)).pixels(Image.new("RGB", (100, 50), "white"))
    assert (pixels[:10] == (51, 102, 153)).all()
    assert (pixels[10:30] == 255).all()
    assert (pixels[30:] == (51, 102, 153)).all()


def test_crop_takes_the_middle_and_squash_takes_all():
    photo = np.zeros((30, 90, 3), np.uint8)
    photo[:, 30:60] = 255
    photo = Image.fromarray(photo)
    assert (Preprocess(15, "crop", "nearest").pixels(photo) == 255).all()
    squashed = Preprocess(15, "squash", "nearest").pixels(photo)[0, :, 0]
    assert squashed.tolist() == [0] * 5 + [255] * 5 + [0] * 5


# --- settings ---


def test_attrs_round_trip_through_json():
    preprocess = Preprocess(96, "crop", "lanczos", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert Preprocess.from_attrs(json.loads(json.dumps(preprocess.to_attrs()))) == preprocess
    assert Preprocess(96).fit == "squash"
    assert Preprocess(8, mean=[0, 1, 0.5]) == Preprocess(8, mean=(0.0, 1.0, 0.5))
    assert hash(preprocess) == hash(Preprocess.from_attrs(preprocess.to_attrs()))


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"image_size": 0}, r"image_size must be an int in the range \[1, inf\). Got 0 instead"),
        ({"image_size": 2.5}, "Got 2.5 instead"),
        ({"image_size": True}, "Got True instead"),
        ({"fit": "squish"}, "fit must be one of 'squash', 'pad', 'crop'. Got 'squish' instead. Did you mean 'squash'"),
        ({"interpolation": "cubic"}, "interpolation must be one of .*Did you mean 'bicubic'"),
        ({"mean": (0.5, 0.5)}, "mean must have 3 values, one per colour. Got 2 instead"),
        ({"std": (0.5, 0.5, 0)}, "std must be positive"),
    ],
)
def test_wrong_settings_are_explained(settings_, message):
    with pytest.raises(ValueError, match=message):
        Preprocess(**{"image_size": 224, **settings_})
