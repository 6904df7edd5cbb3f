"""What must hold for any input: points and cells, the algebra of contrasts, and tables through a store."""

import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_evidence import make_pair

import finerkit as fk
from finerkit.photos.decode import load_image
from finerkit.photos.preprocess import FIT_MODES, Preprocess
from finerkit.photos.read import column as as_stored
from finerkit.photos.tables import table_entries
from finerkit.store.groups import read_group, write_group

COMMON = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
STRENGTHS = st.floats(0, 20)
OBJECTIVES = st.sampled_from(["mean", "softmax", "official"])
SEEDS = st.integers(0, 10**6)


# --- geometry ---


@settings(COMMON, max_examples=30)
@given(
    st.integers(20, 150),
    st.integers(20, 150),
    st.sampled_from([(7, 7), (14, 14), (5, 9)]),
    st.sampled_from(FIT_MODES),
    st.integers(1, 8),
    st.floats(0.15, 0.85),
    st.floats(0.15, 0.85),
)
def test_a_point_on_the_photo_is_in_the_cell_that_lights_up(
    tmp_path, save_turned, width, height, grid, fit, turn, u, v
):
    """From a turned file to the cell, and from the cell back to the point on the upright photo."""
    size = 16 * grid[0] if grid[0] == grid[1] else 45 * 4
    preprocess = Preprocess(size, fit, "nearest", mean=(0, 0, 0), std=(1, 1, 1))
    side = min(width, height) if fit == "crop" else None
    x = int(u * (side or width) + ((width - side) / 2 if side else 0))
    y = int(v * (side or height) + ((height - side) / 2 if side else 0))
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[y, x] = 255
    path = save_turned(pixels, tmp_path / "x.png", turn)
    seen = preprocess.pixels(load_image(path)).astype(float).mean(-1)
    cells = seen.reshape(grid[0], size // grid[0], grid[1], size // grid[1]).sum((1, 3))
    placed = preprocess.placement(width, height, grid)
    # Cells that the pixel touches, widened by the input pixel that a nearest neighbour may be off.
    slack = 1 / (size / grid[1]), 1 / (size / grid[0])
    across = [(x + d - placed.left) / placed.cell_width for d in (0, 1)]
    down = [(y + d - placed.top) / placed.cell_height for d in (0, 1)]
    lit = np.argwhere(cells > 0)
    if fit != "crop" and max(width, height) <= size:
        assert len(lit)  # enlarged photos lose no pixel
    for row, column in lit:
        assert across[0] - slack[0] - 1 <= column <= across[1] + slack[0]
        assert down[0] - slack[1] - 1 <= row <= down[1] + slack[1]


# --- contrasts ---


@settings(COMMON, max_examples=20)
@given(SEEDS, STRENGTHS, STRENGTHS, st.floats(0, 1), OBJECTIVES)
def test_contrasts_are_linear_in_the_strength(seed, a, b, share, objective):
    pair = make_pair(seed)
    at_a, at_b, between = fk.contrast(pair, [a, b, share * a + (1 - share) * b], objective, relu=False).values.swapaxes(
        0, 1
    )
    np.testing.assert_allclose(between, share * at_a + (1 - share) * at_b, atol=1e-4)


@settings(COMMON, max_examples=20)
@given(SEEDS, STRENGTHS, OBJECTIVES, st.integers(1, 6), st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_cells_add_up_to_logits_without_their_biases(seed, strength, objective, references, grid):
    pair = make_pair(seed, references=tuple("bcdefg"[:references]), grid=grid)
    total = fk.contrast(pair, strength, objective, relu=False).sum(("y", "x"))
    weights = fk.reference_weights(pair, objective)
    bare = pair["logit"] - pair["bias"]
    expected = bare.isel(species=0) - strength * (weights * bare.isel(species=slice(1, None))).sum("species")
    np.testing.assert_allclose(total, expected, atol=2e-3)


@settings(COMMON, max_examples=20)
@given(SEEDS, OBJECTIVES, st.integers(1, 6), st.floats(0, 60))
def test_weights_of_references_add_up_to_one(seed, objective, references, spread):
    pair = make_pair(seed, references=tuple("bcdefg"[:references]))
    weights = fk.reference_weights(pair.assign(logit=pair["logit"] * spread), objective)
    np.testing.assert_allclose(weights.sum("species"), 1, atol=1e-9)
    if objective != "official":
        assert (weights >= 0).all()


@settings(COMMON, max_examples=20)
@given(SEEDS, STRENGTHS, OBJECTIVES, st.permutations(["b", "c", "d", "e"]), st.integers(1, 4), st.booleans())
def test_any_subset_of_references_in_any_order(seed, strength, objective, order, count, relu):
    pair = make_pair(seed, references=("b", "c", "d", "e"))
    chosen = order[:count]
    found = fk.contrast(pair, strength, objective, references=chosen, relu=relu)
    alone = pair.sel(species=["a", *sorted(chosen)]).assign_attrs(references=sorted(chosen))
    np.testing.assert_allclose(found, fk.contrast(alone, strength, objective, relu=relu), atol=1e-4)
    one_by_one = [fk.contrast(pair.isel(image=[i]), strength, objective, references=chosen, relu=relu) for i in (3, 1)]
    np.testing.assert_allclose(found.isel(image=[3, 1]), xr.concat(one_by_one, "image"), atol=1e-5)


# --- tables through a store ---

TEXT = st.text(max_size=8).map(lambda t: t.encode("utf-8", "replace").decode())
COLUMNS = st.one_of(
    st.lists(st.one_of(TEXT, st.none()), min_size=3, max_size=3),
    st.lists(st.floats(), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.lists(st.integers(-(2**62), 2**62), min_size=3, max_size=3),
    st.lists(st.one_of(st.datetimes(), st.none()), min_size=3, max_size=3),
    st.lists(st.one_of(st.integers(), TEXT, st.booleans(), st.none(), st.binary(max_size=3)), min_size=3, max_size=3),
)


@settings(COMMON, max_examples=20)
@given(st.lists(st.tuples(TEXT, COLUMNS), max_size=4))
def test_any_table_survives_a_store(tmp_path, columns):
    frame = pd.concat(
        [
            pd.DataFrame({"file": ["1.png", "2.png", "3.png"], "species": ["A", "B", "C"]}),
            *(pd.DataFrame({name: values}) for name, values in columns),
        ],
        axis=1,
    )
    entries = table_entries(frame, "species", "file")
    data = xr.Dataset(
        {n: ("image", as_stored(entries[n])) for n in entries.columns[3:]},
        {"image": np.array(entries["image"].tolist(), object)},
    )
    write_group(tmp_path / "s.zarr", "images", data)
    back = read_group(tmp_path / "s.zarr", "images", committed=False).load()
    xr.testing.assert_equal(back, data)
    assert {n: v.dtype for n, v in back.variables.items()} == {n: v.dtype for n, v in data.variables.items()}


def test_a_photo_of_one_pixel_fills_every_cell(tmp_path):
    Image.new("RGB", (1, 1), "white").save(tmp_path / "x.png")
    for fit in FIT_MODES:
        assert (Preprocess(14, fit).pixels(load_image(tmp_path / "x.png")) == 255).all()
