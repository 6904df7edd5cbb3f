"""Scores of maps: closed forms on a network that is a mean of colours, planted masks, baselines, refusals."""

import shutil
import threading
from itertools import pairwise

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from samples import SPECIES, write_photos
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve
from sklearn.metrics import average_precision_score

import finerkit as fk
from finerkit.base.interpolation import sample, upsample
from finerkit.base.roles import references_of, target_of
from finerkit.measures import METRICS, sanity_check
from finerkit.measures.fills import FILLS, filler, inpaint
from finerkit.measures.maps import cell_means, edge_map, random_map, ranking, strongest_first
from finerkit.measures.places import Maps, animal_scores, trait_scores
from finerkit.photos.preprocess import Preprocess
from finerkit.store import groups as disk

SIDE, CELL = 32, 8
RED, GREEN, BLUE = (1, 2), (3, 0), (0, 0)  # cells of the 4 x 4 grid; green alone tells "own" from "other"
TOP = 16 / SIDE**2  # the plateau of a bilinear map at a corner cell: 4 x 4 pixels


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def block(cell, shape=(SIDE, SIDE)):
    """Mask of one cell."""
    mask = np.zeros(shape, bool)
    y, x = (CELL * i for i in cell)
    mask[y : y + CELL, x : x + CELL] = True
    return mask


def colour_photo(green):
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[block(RED), 0] = 255
    pixels[block(BLUE), 2] = 255
    if green:
        pixels[block(GREEN), 1] = 255
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def colour_model():
    """A network without weights: the pooled features are the mean colours of the cells; hidden pixels are black."""
    net = torch.nn.Sequential()
    net.pool = torch.nn.AvgPool2d(CELL)
    return fk.load_model(net, SIDE, "cpu", split=fk.Split("pool"), mean=(0, 0, 0), std=(1, 1, 1))


@pytest.fixture(scope="module")
def colours(tmp_path_factory, colour_model):
    """Store of a study of "own" and "other" with this head: own = 2 red + green, other = 2 red + blue / 2, per cell."""
    root = tmp_path_factory.mktemp("colours")
    for name in ("other", "own"):
        (root / "photos" / name).mkdir(parents=True)
        for i in range(6):
            text = PngInfo()
            text.add_text("number", str(i))  # the same pixels in other bytes: no copies
            colour_photo(name == "own").save(root / "photos" / name / f"{i}.png", pnginfo=text)
    study = fk.analyze(fk.read_images(root / "photos"), colour_model, root / "s.zarr", folds=2, progress=False)
    weight = 16 * np.array([[2, 0, 0.5], [2, 1, 0]], np.float32)  # other, own
    table = (
        study["species"]
        .to_dataset()
        .assign(weight=(("species", "feature"), weight), bias=("species", np.zeros(2, np.float32)))
    )
    disk.write_group(root / "s.zarr", "species", table)
    return root / "s.zarr"


@pytest.fixture(scope="module")
def compared(colours, colour_model):
    return fk.compare(fk.open_study(colours), "own", progress=False)


@pytest.fixture
def pair(compared):
    return compared.copy()


def elsewhere(pair, paths):
    """The comparison of photos with these files, which no study knows."""
    rows = np.full(len(paths), -1)
    return pair.assign_coords(path=("image", np.array(paths, object)), row=("image", rows))


def contrast_of(scores, name, strength=1.0, **where):
    return scores[name].sel(map_kind="contrast", strength=strength, **where).values


# --- closed forms ---


def test_relative_drop_by_hand(pair):
    scores = fk.score(pair, [0, 1], "relative_drop", top=TOP, progress=False)
    # Strength 1 hides 16 of the 64 green pixels: the logits 3 and 2.5 become 2.75 and 2.5.
    expected = 2 * (sigmoid(0.5) - sigmoid(0.25))
    np.testing.assert_allclose(contrast_of(scores, "relative_drop", top=TOP), expected, atol=1e-6)
    # Strength 0 hides red, which both species share: nothing changes between the two.
    np.testing.assert_allclose(contrast_of(scores, "relative_drop", 0, top=TOP), 0, atol=1e-6)
    np.testing.assert_allclose(scores.probability, sigmoid(0.5), atol=1e-6)
    np.testing.assert_allclose(scores.probability_reference, sigmoid(-0.5), atol=1e-6)


def test_margin_drop_by_hand(pair):
    scores = fk.score(pair, [0, 1], ["margin_drop", "relative_drop"], top=TOP, progress=False)
    # The margin 3 - 2.5 becomes 2.75 - 2.5; red, which both share, changes nothing.
    np.testing.assert_allclose(contrast_of(scores, "margin_drop", top=TOP), 0.25, atol=1e-6)
    np.testing.assert_allclose(contrast_of(scores, "margin_drop", 0, top=TOP), 0, atol=1e-6)
    assert scores["margin_drop"].attrs["units"] == "logit"
    assert scores.attrs["judge"] == "trained"


def test_photos_are_judged_by_heads_that_have_not_seen_them(pair, colours):
    scores = fk.score(pair, 1, "relative_drop", top=TOP, judge="held_out", progress=False)
    logit = fk.open_study(colours)["predictions"]["logit"].sel(image=scores.image.values).values.astype(float)
    p = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)  # species in alphabetical order: other, own
    np.testing.assert_allclose(scores.probability, p[:, 1], rtol=1e-4)
    np.testing.assert_allclose(scores.probability_reference, p[:, 0], rtol=1e-4)
    assert (contrast_of(scores, "relative_drop", top=TOP) > 0).all()
    assert scores.attrs["judge"] == "held_out"


def test_deletion_and_insertion_by_hand(pair):
    scores = fk.score(pair, 1.0, ["deletion", "insertion"], steps=4, progress=False)
    np.testing.assert_allclose(scores.step, [0, 0.25, 0.5, 0.75, 1])
    # Green goes first, then what says nothing, row by row, red among it; blue, which argues for the other, goes last.
    deletion = [sigmoid(0.5), sigmoid(-0.5), sigmoid(-0.5), sigmoid(-0.5), 0.5]
    insertion = [0.5, sigmoid(1), sigmoid(1), sigmoid(1), sigmoid(0.5)]
    for name, curve in (("deletion", deletion), ("insertion", insertion)):
        found = contrast_of(scores, name)
        np.testing.assert_allclose(found, np.tile(curve, (6, 1)), atol=1e-6)
        area = sum(0.25 * (a + b) / 2 for a, b in pairwise(curve))
        np.testing.assert_allclose(contrast_of(scores, f"{name}_area"), area, atol=1e-6)


def test_hidden_shares_are_counted_in_pixels(pair):
    """Hiding everything leaves the biases, whatever the map; hiding one cell's worth of the plateau is exact."""
    scores = fk.score(pair, [1.0], "relative_drop", top=(4 / SIDE**2, 1.0), progress=False)
    np.testing.assert_allclose(scores.relative_drop.isel(top=1), 2 * (sigmoid(0.5) - 0.5), atol=1e-6)
    expected = 2 * (sigmoid(0.5) - sigmoid(0.5 - 4 / 64))
    np.testing.assert_allclose(scores.relative_drop.sel(map_kind="contrast").isel(top=0), expected, atol=1e-6)


def test_animal_and_trait_by_hand(pair):
    masks = {i: block(GREEN) for i in pair.image.values}
    scores = fk.score(pair, [0, 1], METRICS[3:], masks=masks, trait_masks=lambda i: masks[i], top=TOP, progress=False)
    np.testing.assert_allclose(contrast_of(scores, "energy"), 1)
    np.testing.assert_allclose(contrast_of(scores, "energy", 0), 1 / 3)  # green 1, red 2
    np.testing.assert_allclose(contrast_of(scores, "pointing"), 1)
    np.testing.assert_allclose(contrast_of(scores, "pointing", 0), 0)
    np.testing.assert_allclose(contrast_of(scores, "trait_precision", top=TOP), 1)
    np.testing.assert_allclose(contrast_of(scores, "trait_recall", top=TOP), 16 / 64)
    np.testing.assert_allclose(contrast_of(scores, "trait_precision", 0, top=TOP), 0)
    np.testing.assert_allclose(scores.mask_share, 1 / 16)


@pytest.mark.parametrize("cell", [GREEN, RED, BLUE])
def test_average_precision_is_scikit_learns_of_torchs_map(pair, cell):
    scores = fk.score(pair, [0, 1], "average_precision", trait_masks=lambda _: block(cell), progress=False)
    for s in (0, 1):
        maps = torch.from_numpy(fk.contrast(pair, float(s)).values[:1, None])
        large = torch.nn.functional.interpolate(maps, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        expected = average_precision_score(block(cell).ravel(), large.numpy().ravel())
        np.testing.assert_allclose(contrast_of(scores, "average_precision", s), expected, rtol=1e-5)


def test_strength_is_chosen_by_the_drop_and_tested_on_other_photos(pair):
    found = fk.suggest_strength(pair, [0.25, 0.5, 0.75, 1], top=TOP, progress=False)
    # Bilinearly, red peaks at (2 - 2 g) (15/16)^2; green, in a corner, has a plateau of 1: it leads from g = 0.44 on.
    drop = 2 * (sigmoid(0.5) - sigmoid(0.25))
    assert found.suggested == 0.5
    np.testing.assert_allclose(found.strength, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(
        found["mean_drop"].sel(half="evaluate").isel(strength=[0, 2, 3, 4]), [0, drop, drop, drop], atol=1e-6
    )
    np.testing.assert_allclose(found.held_out, drop, atol=1e-6)
    np.testing.assert_allclose(found.held_out_at_0, 0, atol=1e-6)
    np.testing.assert_allclose(found.gain, drop, atol=1e-6)
    np.testing.assert_allclose(found.standard_error, 0, atol=1e-6)
    assert found["n_photos"].values.tolist() == [3, 3]
    assert sorted(found.half_of.values) == ["choose"] * 3 + ["evaluate"] * 3
    again = fk.suggest_strength(pair.isel(image=[5, 4, 3, 2, 1, 0]), [0.5], progress=False)
    assert (again.half_of.sel(image=found.image) == found.half_of).all()  # whatever the order of the photos


def test_standard_errors_are_those_of_the_photos(tmp_path, colour_model, colours):
    """Photos that differ: means and standard errors follow from the drops of each half."""
    study = fk.open_study(colours)
    for i in range(5):
        (tmp_path / "photos" / "own").mkdir(parents=True, exist_ok=True)
        pixels = np.asarray(colour_photo(True)).copy()
        pixels[: i * 4, 24:, 1] = 255
        Image.fromarray(pixels).save(tmp_path / "photos" / "own" / f"{i}.png")
    new = fk.read_images(tmp_path / "photos", progress=False)
    pair = fk.compare(study, "own", images=new, model=colour_model, name="new", overwrite=True, progress=False)
    found = fk.suggest_strength(pair, [1], progress=False)
    assert found["n_photos"].values.tolist() == [2, 3]
    held = found.relative_drop.values[found.half_of.values == "evaluate"]
    np.testing.assert_allclose(found["mean_drop"].sel(half="evaluate"), held.mean(0))
    np.testing.assert_allclose(found.standard_error.sel(half="evaluate"), held.std(0, ddof=1) / 3**0.5)
    best = list(found.strength.values).index(float(found.suggested))
    gain = held[:, best] - held[:, 0]
    np.testing.assert_allclose([found.gain, found.gain_standard_error], [gain.mean(), gain.std(ddof=1) / 3**0.5])


# --- maps ---


@pytest.mark.parametrize("shape", [(28, 42), (33, 10), (3, 4), (5, 2)])
def test_upsampling_is_that_of_torch(shape):
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    expected = torch.nn.functional.interpolate(torch.from_numpy(maps), size=shape, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(upsample(maps, shape), expected.numpy(), atol=1e-12)


def test_sampling_at_centres_gives_the_cells():
    maps = np.random.default_rng(1).normal(size=(3, 4))
    np.testing.assert_allclose(sample(maps, np.arange(3), np.arange(4)), maps)


def test_means_over_cells():
    pixels = np.random.default_rng(2).normal(size=(12, 20))
    exact = pixels.reshape(3, 4, 5, 4).mean((1, 3))
    np.testing.assert_allclose(cell_means(pixels, 0, 0, 4, 4, (3, 5)), exact)
    ones = cell_means(np.ones((10, 7)), -2.5, 0, 5, 3.5, (3, 3))
    np.testing.assert_allclose(ones, np.outer([0.5, 1, 0.5], [1, 1, 0]))  # outside counts as zero


def test_ties_go_by_signed_evidence_then_row_by_row():
    signed = np.array([[0.0, -1, 2], [0, -2, 3]])
    order = strongest_first(ranking(np.maximum(signed, 0), signed))
    assert order.tolist() == [5, 2, 0, 3, 1, 4]


def test_baselines_do_not_depend_on_other_photos():
    assert (random_map("a", (4, 4), 0) == random_map("a", (4, 4), 0)).all()
    assert (random_map("a", (4, 4), 0) != random_map("b", (4, 4), 0)).any()
    assert (random_map("a", (4, 4), 0) != random_map("a", (4, 4), 1)).any()


def test_the_edge_map_is_where_the_edge_is():
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, 25:] = 200
    edges = edge_map(pixels, (4, 4))
    np.testing.assert_allclose(edges[:, 2], 2 * 100 / 10)  # two columns of ten have a central difference of 100
    assert (edges[:, [0, 1, 3]] == 0).all()


def test_random_maps_score_as_chance(tmp_path):
    maps = np.stack([random_map(str(i), (14, 14), 0) for i in range(100)])
    mask = np.zeros((120, 160), bool)
    mask[30:80, 40:100] = True
    share = mask.mean()
    placed = Maps(maps, maps, Preprocess(224).placement(160.0, 120.0, (14, 14)))
    found = animal_scores(placed, mask) | trait_scores(placed, mask, (0.05,))
    assert found["energy"].mean() == pytest.approx(share, abs=0.01)
    assert found["pointing"].mean() == pytest.approx(share, abs=0.08)
    assert found["average_precision"].mean() == pytest.approx(share, abs=0.05)
    assert found["trait_precision"].mean() == pytest.approx(share, abs=0.05)
    assert found["trait_recall"].mean() == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
@pytest.mark.parametrize("size", [(200, 120), (120, 200), (2600, 1400)])
def test_places_are_found_however_photos_are_fitted(fit, size):
    """A map of one strong cell, and a mask of the pixels that the network saw there."""
    width, height = size
    place = Preprocess(80, fit).placement(float(width), float(height), (5, 5))
    maps = np.zeros((1, 5, 5))
    maps[0, 2, 3] = 1
    left, top = place.left + 3 * place.cell_width, place.top + 2 * place.cell_height
    y, x = np.mgrid[:height, :width] + 0.5
    inside = (x > left) & (x < left + place.cell_width) & (y > top) & (y < top + place.cell_height)
    placed = Maps(maps, maps, place)
    here, away = animal_scores(placed, inside), animal_scores(placed, ~inside)
    assert here["pointing"].item() == 1
    assert away["pointing"].item() == 0
    assert here["energy"].item() == pytest.approx(1, abs=0.06)
    assert here["energy"].item() + away["energy"].item() == pytest.approx(1)
    trait = trait_scores(placed, inside, (inside.mean() / 4,))
    assert trait["trait_precision"].item() == pytest.approx(1, abs=0.01)
    assert trait["trait_recall"].item() == pytest.approx(0.25, abs=0.02)
    assert trait["average_precision"].item() > 0.7


def test_what_the_network_never_saw_comes_last():
    """Cropped ends: a trait there is missed, though all maps are equal."""
    place = Preprocess(80, "crop").placement(200.0, 100.0, (5, 5))
    maps = np.ones((1, 5, 5))
    ends = np.zeros((100, 200), bool)
    ends[:, :50] = True
    found = trait_scores(Maps(maps, maps, place), ends, (0.5,))
    assert found["trait_recall"].item() == 0
    assert animal_scores(Maps(maps, maps, place), ends)["energy"].item() == 0


# --- masking ---


def test_fills_touch_only_hidden_pixels():
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (37, 37, 3), np.uint8)
    hidden = rng.uniform(size=(37, 37)) < 0.4
    for fill in FILLS:
        filled = filler(pixels, fill, (0.5, 0.25, 0))(hidden)
        assert filled.dtype == np.uint8
        assert (filled[~hidden] == pixels[~hidden]).all()
    assert (filler(pixels, "mean", (0.5, 0.25, 0))(hidden)[hidden] == (128, 64, 0)).all()
    assert (filler(pixels, "inpaint", (0.5, 0.25, 0))(np.ones_like(hidden)) == (128, 64, 0)).all()
    assert (pixels == np.random.default_rng(3).integers(0, 256, (37, 37, 3), np.uint8)).all()


def test_the_blur_keeps_the_mean_and_loses_the_marks():
    pixels = np.random.default_rng(4).integers(0, 256, (64, 64, 3), np.uint8)
    blurred = filler(pixels, "blur", (0, 0, 0))(np.ones((64, 64), bool)).astype(float)
    np.testing.assert_allclose(blurred.mean((0, 1)), pixels.mean((0, 1)), atol=2)
    assert blurred.std() < 0.1 * pixels.std()


def test_inpainting_nearly_solves_laplace():
    """Against a direct solution: a smooth picture with a hole; the edge of the hole does not show."""
    n = 48
    y, x = np.mgrid[:n, :n] / n
    picture = 255 * np.stack([x, 0.5 + 0.4 * np.sin(5 * y), 0.5 * x + 0.5 * y], -1)
    pixels = picture.round().astype(np.uint8)
    hidden = (x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.06
    index = -np.ones((n, n), int)
    index[hidden] = np.arange(hidden.sum())
    matrix, right = lil_matrix((hidden.sum(),) * 2), np.zeros((hidden.sum(), 3))
    for row, (i, j) in enumerate(np.argwhere(hidden)):
        matrix[row, row] = 4
        for a, b in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if hidden[a, b]:
                matrix[row, index[a, b]] = -1
            else:
                right[row] += pixels[a, b]
    exact = spsolve(matrix.tocsr(), right)
    filled = inpaint(pixels, hidden)
    assert np.abs(filled[hidden] - exact).max() < 6
    assert (inpaint(np.full((9, 14, 3), 77, np.uint8), np.eye(9, 14, dtype=bool)) == 77).all()


def test_the_fill_is_used_and_said(pair):
    found = {
        f: fk.score(pair, 1, "deletion", fill=f, steps=4, images=pair.image.values[:1], progress=False) for f in FILLS
    }
    assert [found[f].attrs["fill"] for f in FILLS] == list(FILLS)
    # Blurring keeps every mean colour, so that hiding all changes little; black hides it.
    end = {f: found[f].deletion.sel(map_kind="contrast").isel(step=-1).item() for f in FILLS}
    assert end["mean"] == pytest.approx(0.5, abs=1e-6)
    assert end["inpaint"] == pytest.approx(0.5, abs=1e-6)
    assert end["blur"] == pytest.approx(sigmoid(0.5), abs=0.05)


# --- tables ---


def test_the_table_holds_baselines_and_says_what_it_is(pair):
    masks = {i: block(GREEN) for i in pair.image.values}
    scores = fk.score(pair, metrics=METRICS, masks=masks, trait_masks=masks, progress=False)
    assert scores.relative_drop.dims == ("image", "map_kind", "strength", "top")
    assert scores.deletion.dims == scores.insertion.dims == ("image", "map_kind", "strength", "step")
    assert scores.energy.dims == scores.deletion_area.dims == ("image", "map_kind", "strength")
    assert scores["map_kind"].values.tolist() == ["contrast", "random", "edge"]
    assert scores.strength.values.tolist() == [0, 0.6, 1]
    assert scores.top.values.tolist() == [0.01, 0.05, 0.1]
    for name in METRICS:
        for one in ("random", "edge"):
            values = scores[name].sel(map_kind=one)
            assert (values == values.isel(strength=0)).all()  # baselines know no strength
        assert {"units", "definition", "long_name"} <= set(scores[name].attrs)
    assert (target_of(scores), references_of(scores)) == ("own", ["other"])
    assert scores.attrs["nearest_reference"] == "other"
    assert (scores.attrs["fill"], scores.attrs["seed"]) == ("mean", 0)
    mean = scores.mean("image")
    assert set(METRICS) <= set(mean.data_vars)
    assert not any(bool(v.isnull().any()) for v in mean.values())
    assert mean.relative_drop.sel(map_kind="contrast", strength=1, top=0.05) > mean.relative_drop.sel(
        map_kind="random", strength=1, top=0.05
    )


def test_the_same_seed_gives_the_same_scores(pair):
    def run(seed=0, images=None):
        return fk.score(pair, [0, 1], "relative_drop", seed=seed, images=images, progress=False)

    first = run()
    np.testing.assert_array_equal(first.relative_drop, run().relative_drop)
    some = run(images=pair.image[[4, 1]])
    assert some.image.values.tolist() == pair.image.values[[4, 1]].tolist()
    np.testing.assert_array_equal(some.relative_drop, first.relative_drop.sel(image=some.image))
    other = run(seed=1)
    assert (other.relative_drop.sel(map_kind="random") != first.relative_drop.sel(map_kind="random")).any()
    np.testing.assert_array_equal(
        other.relative_drop.sel(map_kind=["contrast", "edge"]), first.relative_drop.sel(map_kind=["contrast", "edge"])
    )


def test_one_photo_or_a_node_of_the_study_will_do(pair, colours):
    whole = fk.score(pair, 1, "relative_drop", progress=False)
    one = fk.score(pair.isel(image=2), 1, "relative_drop", progress=False)
    np.testing.assert_array_equal(one.relative_drop[0], whole.relative_drop[2])
    node = next(iter(fk.open_study(colours)["comparisons"].children.values()))
    assert target_of(node) == "own"
    fk.score(node, 1, "relative_drop", progress=False)


def test_many_masked_photos_take_few_batches(pair, colour_model, monkeypatch):
    sizes, original = [], colour_model.features
    monkeypatch.setattr(colour_model, "features", lambda pixels: (sizes.append(len(pixels)), original(pixels))[1])
    fk.score(
        pair,
        [0, 1],
        ("relative_drop", "deletion"),
        top=(0.1, 0.2),
        steps=10,
        images=pair.image.values[:1],
        progress=False,
    )
    # 4 maps, 9 shares each (0.1 and 0.2 are steps of the curve too), the whole photo and the hidden one: 38 inputs.
    assert sum(sizes) == 38
    assert len(sizes) == 38 / colour_model.batch_size


def test_chosen_references_and_objective_are_used(pair):
    scores = fk.score(pair, 1, "relative_drop", references=["other"], objective="softmax", progress=False)
    assert references_of(scores) == ["other"]
    assert scores.attrs["objective"] == "softmax"


# --- what cannot be scored ---


def test_empty_maps_are_nan_and_marked(pair):
    dark = pair.load().copy(deep=True)
    dark["evidence"][0] = -1.0
    dark["evidence"][0, 1:] = 0.0
    masks = {i: block(GREEN) for i in pair.image.values}
    scores = fk.score(dark, [0, 1], METRICS, masks=masks, trait_masks=masks, progress=False)
    assert scores.empty.sel(map_kind="contrast")[0].values.tolist() == [1, 1]
    assert (scores.empty.sel(map_kind="contrast")[1:] == 0).all()
    assert scores.status.values[0] == "ok"
    for name in METRICS:
        assert np.isnan(scores[name].sel(map_kind="contrast")[0]).all(), name
        assert np.isfinite(scores[name].sel(map_kind="random")[0]).all(), name
        assert np.isfinite(scores[name][1:]).all(), name
    found = fk.suggest_strength(dark, [1], top=TOP, progress=False)
    assert (found.relative_drop[0] == 0).all()  # points at nothing


def test_photos_that_fail_do_not_stop_the_others(colours, colour_model, tmp_path):
    photos = shutil.copytree(colours.parent / "photos", tmp_path / "photos")
    images = fk.read_images(photos, progress=False)
    study = fk.open_study(shutil.copytree(colours, tmp_path / "s.zarr"))
    pair = fk.compare(study, "own", images=images, model=colour_model, progress=False).load()
    pair = elsewhere(pair, [str(photos / i) for i in pair["image"].values])
    (photos / "own" / "0.png").unlink()
    (photos / "own" / "4.png").write_bytes(b"no photo")
    pair["evidence"][7] = np.nan
    pair["status"][8] = "was broken before"
    with pytest.warns(fk.PhotoWarning, match="4 of 12 photos could not be scored.*file not found"):
        scores = fk.score(pair, 1, ("relative_drop", "pointing"), masks=lambda i: block(GREEN), progress=False)
    bad = [6, 7, 8, 10]
    assert scores.status.values[7] == "its evidence is not finite"
    assert scores.status.values[8] == "was broken before"
    assert scores.status.values[10].startswith("not an image")
    assert np.isnan(scores.relative_drop[bad]).all()
    assert np.isnan(scores.pointing[bad]).all()
    assert np.isfinite(scores.relative_drop[[9, 11]]).all()
    assert bool(scores.mean("image").relative_drop.notnull().all())


def test_nothing_usable_is_a_table_of_nan(pair, colour_model):
    lost = elsewhere(pair.load(), ["nowhere.png"] * 6)
    with pytest.warns(fk.PhotoWarning, match="6 of 6 photos could not be scored"):
        scores = fk.score(lost, 1, progress=False)
    assert np.isnan(scores.relative_drop).all()
    assert np.isnan(scores.probability).all()
    with pytest.warns(fk.PhotoWarning), pytest.raises(ValueError, match="At least two photos are needed.*Got 0"):
        fk.suggest_strength(lost, progress=False)


def test_masks_that_lack_or_do_not_fit(pair):
    ids = pair.image.values
    masks = {ids[0]: block(GREEN), ids[1]: np.ones((5, 5), bool), ids[2]: np.zeros((SIDE, SIDE), bool)}
    with pytest.warns(fk.PhotoWarning, match=r"1 of 6 .*of 'own/1.png' must be \(height, width\) = \(32, 32\). Got"):
        scores = fk.score(pair, 1, ["pointing", "average_precision"], masks=masks, trait_masks=masks, progress=False)
    assert scores.pointing.sel(map_kind="contrast", strength=1).values[:3].tolist()[::2] == [1, 0]
    assert np.isnan(scores.pointing[[1, 3, 4, 5]]).all()
    assert np.isnan(scores.average_precision[2]).all()  # no trait to find
    assert scores.status.values[3] == "ok"

    def lost(image):
        raise FileNotFoundError(f"no mask file for {image}")

    with pytest.warns(fk.PhotoWarning, match="no mask file for own/0.png"):
        scores = fk.score(pair, 1, ["relative_drop", "energy"], masks=lost, progress=False)
    assert np.isfinite(scores.relative_drop).all()  # what needs no mask is there


def test_messages_say_what_to_do(pair, colours, tmp_path):
    homeless = pair.drop_attrs(deep=False).assign_attrs({k: v for k, v in pair.attrs.items() if k != "store"})
    with pytest.raises(ValueError, match="does not say which study it belongs to: pass study="):
        fk.score(homeless, metrics="relative_drop")
    study = fk.open_study(colours)
    assert fk.score(homeless, 1, "relative_drop", study=study, progress=False).status.values[0] == "ok"
    moved = pair.assign_attrs(store=str(tmp_path / "gone.zarr"))
    with pytest.raises(FileNotFoundError, match="is no longer at .*gone.zarr.*fk.open_study"):
        fk.score(moved, metrics="deletion")
    with pytest.raises(ValueError, match="'energy' needs to know where to look: pass masks="):
        fk.score(pair, metrics=["energy"])
    with pytest.raises(ValueError, match="'trait_recall' needs to know where to look: pass trait_masks="):
        fk.score(pair, metrics=["trait_recall"], masks={})
    with pytest.raises(
        ValueError, match="metrics must be one of .*Got 'relative drop' instead. Did you mean 'relative_d"
    ):
        fk.score(pair, metrics="relative drop")
    with pytest.raises(ValueError, match="metrics is empty: name some of 'relative_drop'"):
        fk.score(pair, metrics=[])
    with pytest.raises(ValueError, match=r"top must be one or more shares in the range \(0, 1\]. Got 5"):
        fk.score(pair, top=5)
    with pytest.raises(ValueError, match=r"steps must be an int in the range \[1, inf\). Got 0"):
        fk.score(pair, steps=0)
    with pytest.raises(ValueError, match="fill must be one of 'mean', 'blur', 'inpaint'. Got 'black'"):
        fk.score(pair, fill="black")
    with pytest.raises(ValueError, match=r"strength must be one or more numbers in the range \[0, inf\)"):
        fk.score(pair, -1)
    with pytest.raises(ValueError, match="No photo in this comparison named 'own/9.png'. Did you mean"):
        fk.score(pair, images="own/9.png")
    with pytest.raises(ValueError, match="images is empty"):
        fk.score(pair, images=[])
    with pytest.raises(TypeError, match="Expected a comparison, as fk.compare.* Got a DataArray instead"):
        fk.score(fk.contrast(pair))


@pytest.mark.parametrize("part", ["study", "network", "head"])
def test_another_study_network_or_head_is_refused(pair, part):
    other = pair.assign_attrs({f"{part}_id": "another"})
    with pytest.raises(ValueError, match=f"another .*{part}"):
        fk.score(other, metrics="deletion")
    with pytest.raises(ValueError, match=f"another .*{part}"):
        sanity_check(other)


# --- real networks ---


@pytest.fixture(scope="module")
def network():
    return fk.load_model("test_efficientnet", 96, "cpu", pretrained=False)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory, network):
    root = tmp_path_factory.mktemp("shapes")
    images = fk.read_images(write_photos(root / "photos", per_species=4), progress=False)
    for head in ("linear", "model"):
        fk.analyze(images, network, root / f"{head}.zarr", head=head, folds=2, progress=False)
    return root


def test_the_networks_own_classes_are_judged_by_its_logits(shapes, network):
    study = fk.open_study(shapes / "model.zarr")
    ids = [f"{SPECIES[0]}/00.png", f"{SPECIES[2]}/01.png"]
    pair = fk.compare(study, "tabby, tabby cat", ["tiger cat"], "gradcam", images=ids, progress=False)
    scores = fk.score(pair, [0.6], progress=False, steps=2)
    pixels = np.stack([network.preprocess.pixels(fk.load_image(p)) for p in pair.path.values])
    logits = network.logits(pixels).astype(float)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    expected = (odds / odds.sum(1, keepdims=True))[:, network.class_names.index("tabby, tabby cat")]
    np.testing.assert_allclose(scores.probability, expected, rtol=1e-4)
    assert np.isfinite(scores.relative_drop).all()


def test_scores_do_not_depend_on_the_number_of_cores(shapes, network):
    pair = fk.compare(fk.open_study(shapes / "linear.zarr"), SPECIES[0], 1, model=network, progress=False)
    photos = zip(pair["image"].values, pair["height"].values, pair["width"].values, strict=True)
    sizes, asked_from = {str(i): (int(h), int(w)) for i, h, w in photos}, set()

    def masks(image):
        asked_from.add(threading.current_thread())
        return block(GREEN, sizes[image])

    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(
                fk.score(pair, [0, 1], ["relative_drop", "energy"], masks=masks, model=network, progress=False)
            )
    finally:
        torch.set_num_threads(before)
    xr.testing.assert_identical(*(scores.drop_attrs() for scores in found))
    assert asked_from == {threading.main_thread()}  # users' functions need not be made for several


@pytest.mark.parametrize("method", ["cam", "gradcam"])
@pytest.mark.parametrize("head", ["linear", "model"])
def test_maps_change_when_weights_are_shuffled(shapes, network, method, head):
    study = fk.open_study(shapes / f"{head}.zarr")
    names = SPECIES[:2] if head == "linear" else ("tabby, tabby cat", "tiger cat")
    ids = [f"{SPECIES[0]}/{i:02}.png" for i in range(4)]
    pair = fk.compare(study, names[0], [names[1]], method, images=ids, progress=False)
    before = network.module.state_dict()["bn1.running_mean"].clone(), network.module.classifier.weight.clone()
    found = sanity_check(pair, [0, 1])
    assert found.rank_correlation.dims == ("shuffled", "image", "strength")
    assert np.isfinite(found.rank_correlation).all()
    assert (np.abs(found.rank_correlation.mean("image")) < 0.8).all()
    np.testing.assert_array_equal(found.rank_correlation, sanity_check(pair, [0, 1]).rank_correlation)
    assert (found.rank_correlation != sanity_check(pair, [0, 1], seed=1).rank_correlation).any()
    after = network.module.state_dict()["bn1.running_mean"], network.module.classifier.weight
    assert all((a == b).all() for a, b in zip(before, after, strict=True))  # the model in use is not touched
    assert not network.module.training


def test_a_network_without_weights_fails_the_sanity_check(pair):
    found = sanity_check(pair, [1.0])
    np.testing.assert_allclose(found.rank_correlation.sel(shuffled="network"), 1)
    assert (found.rank_correlation.sel(shuffled="head") < 1).all()


def test_photos_that_cannot_be_checked_are_said(colours, pair):
    paths = list(pair["path"].values)
    lost = elsewhere(pair.load(), [paths[0], "nowhere.png", *paths[2:]])
    with pytest.warns(fk.PhotoWarning, match="1 of 6 photos could not be checked.*file not found"):
        found = sanity_check(lost, 1.0, study=fk.open_study(colours))
    assert np.isnan(found.rank_correlation[:, 1]).all()
    assert np.isfinite(found.rank_correlation[:, 2:]).all()


def test_scores_can_be_kept(pair, tmp_path):
    scores = fk.score(pair, 1, "relative_drop", progress=False)
    disk.write_group(tmp_path / "scores.zarr", "scores", scores)
    again = disk.read_group(tmp_path / "scores.zarr", "scores", committed=False)
    xr.testing.assert_equal(again.load(), scores)
