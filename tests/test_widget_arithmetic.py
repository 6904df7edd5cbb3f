"""Browser and Python agree on the same numbers: contrasts, thresholds, margins, and the pixels that are drawn."""

import numpy as np
import pytest
from javascript import run
from samples import random_pair
from scipy.ndimage import map_coordinates

import finerkit as fk
from finerkit.figures.colours import colours
from finerkit.roles import references_of
from finerkit.traits.cells import strong_cells
from finerkit.widgets.paint import Place, paint, tables
from finerkit.widgets.snapshot import shown_cells

SUBSETS = ([True, True, True], [False, True, True], [False, False, True], [True, False, False])


@pytest.mark.parametrize("objective", ["mean", "softmax", "official"])
def test_contrast_and_margin(objective, tmp_path):
    pair = random_pair(tmp_path)
    pair["logit"] = pair["logit"] / 10  # so that no softmax is all or nothing
    strengths = [0, 0.35, 1, 2]
    cases = [(i, active, s) for i in range(3) for active in SUBSETS for s in strengths]
    found = run(
        """
        const { coefficients, contrast, margin } = await at("evidence.js");
        done(data.cases.map(([i, active, strength]) => {
          const factors = coefficients(data.logit[i], active, strength, data.objective);
          const map = contrast(new Float32Array(data.evidence[i].flat(2)), factors);
          return [Array.from(map), margin(data.logit[i], active, data.objective)];
        }));
        """,
        {
            "cases": cases,
            "logit": pair["logit"].values.tolist(),
            "evidence": pair["evidence"].values.tolist(),
            "objective": objective,
        },
        tmp_path,
    )
    for (i, active, strength), (cells, margin) in zip(cases, found, strict=True):
        chosen = [r for r, on in zip(references_of(pair), active, strict=True) if on]
        expected = fk.contrast(pair, strength, objective, references=chosen, relu=False).isel(image=i).values
        np.testing.assert_allclose(np.array(cells).reshape(expected.shape), expected, atol=2e-5)
        table = fk.evidence_table(pair, 1.0, objective, references=chosen)
        assert margin == pytest.approx(table["margin"].iloc[i], abs=1e-5)


@pytest.mark.parametrize("signed", [False, True])
def test_threshold_keeps_the_fewest_cells_that_hold_the_share(signed, tmp_path):
    rng = np.random.default_rng(3)
    maps = rng.normal(0, 1, (6, 4, 5)).astype(np.float32)
    maps[4] = np.round(maps[4])  # ties
    maps[5] = 0
    shares = [0.05, 0.3, 0.5, 0.95, 1]
    found = run(
        """
        const { keepStrongest } = await at("evidence.js");
        const kept = (map, share) => Array.from(keepStrongest(new Float32Array(map), share, data.signed));
        done(data.maps.map((map) => data.shares.map((share) => kept(map, share))));
        """,
        {"maps": maps.reshape(6, -1).tolist(), "shares": shares, "signed": signed},
        tmp_path,
    )
    for i, of_map in enumerate(found):
        for share, cells in zip(shares, of_map, strict=True):
            kept = np.array(cells, np.float32).reshape(4, 5)
            if share < 1:
                counted = np.abs(maps[i]) if signed else maps[i]
                np.testing.assert_array_equal(kept, np.where(strong_cells(counted[None], share)[0], maps[i], 0))
            np.testing.assert_array_equal(kept, shown_cells(maps[i], share, signed))


def drawn_in_browser(cases, tmp_path):
    return run(
        """
        const { paint } = await at("paint.js");
        done(data.map((c) => Array.from(paint(new Float32Array(c.map), c.rows, c.columns,
          { ...c, table: new Uint8Array(c.table) }))));
        """,
        cases,
        tmp_path,
    )


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("smooth", [False, True])
def test_drawn_pixels_agree_to_two_levels(signed, smooth, tmp_path):
    pair = random_pair(tmp_path, grid=(5, 7), seed=4)
    table = tables()["PuOr_r" if signed else "cividis"]
    cases, expected = [], []
    for i, strength in [(0, 0), (1, 0.6), (2, 2)]:
        one = pair.isel(image=i)
        size = int(one.width), int(one.height)
        place = Place(*(float(one[v]) for v in ("cell_left", "cell_top", "cell_width", "cell_height")))
        values = fk.contrast(pair, strength, references=["Rubra b"], relu=False).isel(image=i).values
        options = {"signed": signed, "smooth": smooth, "opacity": 0.6}
        keys = ("left", "top", "cellWidth", "cellHeight")
        cases.append(
            {"map": values.ravel().tolist(), "rows": 5, "columns": 7, "width": size[0], "height": size[1],
             "table": table.ravel().tolist(), "top": 1.3, "place": dict(zip(keys, place, strict=True)), **options}
        )  # fmt: skip
        expected.append(paint(values, size, place, table, 1.3, **options))
    for pixels, python in zip(drawn_in_browser(cases, tmp_path), expected, strict=True):
        drawn = np.array(pixels).reshape(python.shape)
        assert (drawn[..., 3] > 0).any()
        assert (drawn[..., 3] == 0).any()
        seen = drawn[..., 3:] / 255
        assert np.abs(drawn[..., :3] * seen - python[..., :3] * seen).max() <= 2
        assert np.abs(drawn[..., 3] - python[..., 3].astype(int)).max() <= 2


@pytest.mark.parametrize(("signed", "name"), [(False, "viridis"), (True, "RdBu_r")])
def test_painting_is_interpolation_of_values_then_colour(signed, name):
    """Against SciPy's interpolation and the figures' own colours."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (4, 6))
    place = Place(3.0, -2.0, 8.0, 11.0)
    x = (np.arange(60) + 0.5 - place.left) / place.cell_width - 0.5
    y = (np.arange(40) + 0.5 - place.top) / place.cell_height - 0.5
    smooth = map_coordinates(values, np.meshgrid(y, x, indexing="ij"), order=1, mode="nearest")
    position = np.clip(smooth / 2 / (2 if signed else 1) + (0.5 if signed else 0), 0, 1)
    rgba = colours(name, signed, 1.0)[np.rint(255 * position - 1e-9).astype(int)]
    outside = (x < -0.5) | (x > 5.5)
    rgba[:, outside, 3] = 0
    rgba[(y < -0.5) | (y > 3.5), :, 3] = 0
    drawn = paint(values, (60, 40), place, tables()[name], 2.0, signed=signed)
    alpha = rgba[..., 3:]
    assert np.abs(drawn[..., 3] - 255 * rgba[..., 3]).max() <= 2
    assert np.abs((drawn[..., :3] - 255 * rgba[..., :3]) * alpha).max() <= 2.5


def test_photos_that_could_not_be_explained_are_transparent(tmp_path):
    values = np.full((2, 2), np.nan)
    place = {"left": 0, "top": 0, "cellWidth": 2, "cellHeight": 2}
    for signed in (False, True):
        table = tables()["RdBu_r" if signed else "viridis"]
        case = {"map": [None] * 4, "rows": 2, "columns": 2, "width": 4, "height": 4, "table": table.ravel().tolist(),
                "top": 1, "place": place, "signed": signed, "smooth": True, "opacity": 1}  # fmt: skip
        (pixels,) = run(
            """
            const { paint } = await at("paint.js");
            done(data.map((c) => Array.from(paint(new Float32Array(4).fill(NaN), 2, 2,
              { ...c, table: new Uint8Array(c.table) }))));
            """,
            [case],
            tmp_path,
        )
        assert not np.array(pixels).reshape(4, 4, 4)[..., 3].any()
        assert not paint(values, (4, 4), Place(0, 0, 2, 2), table, 1.0, signed=signed)[..., 3].any()
