"""Browser and Python agree on the same numbers: contrasts, thresholds, margins, and the pixels that are drawn."""

import numpy as np
import pytest
from javascript import run
from painted import painted
from samples import random_pair

import finerkit as fk
from finerkit.base.geometry import GridPlace
from finerkit.base.roles import references_of
from finerkit.output.widgets.base import tables
from finerkit.traits.cells import strong_cells

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
            counted = np.abs(maps[i]) if signed else maps[i]
            expected = np.where(strong_cells(counted[None], share)[0], maps[i], 0) if share < 1 else maps[i]
            np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize(("signed", "name"), [(False, "cividis"), (True, "PuOr_r")])
@pytest.mark.parametrize("smooth", [False, True])
def test_drawn_pixels_are_interpolation_of_values_then_colour(signed, name, smooth, tmp_path):
    pair = random_pair(tmp_path, grid=(5, 7), seed=4)
    options = {"signed": signed, "smooth": smooth, "opacity": 0.6}
    cases, expected = [], []
    for i, strength in [(0, 0), (1, 0.6), (2, 2), (None, 1)]:
        if i is None:  # cells cut by the edge of the picture, and a map that is smaller than it
            values, size, place = np.random.default_rng(0).normal(size=(5, 7)), (70, 60), GridPlace(3, -2, 8, 11)
        else:
            one = pair.isel(image=i)
            values = fk.contrast(pair, strength, references=["Rubra b"], relu=False).isel(image=i).values
            size, place = (int(one.width), int(one.height)), GridPlace.of(one)
        keys = dict(zip(("left", "top", "cellWidth", "cellHeight"), place, strict=True))
        cases.append(
            {"map": values.ravel().tolist(), "rows": 5, "columns": 7, "width": size[0], "height": size[1],
             "table": tables()[name].ravel().tolist(), "top": 1.3, "place": keys, **options}
        )  # fmt: skip
        expected.append(painted(values, size, place, name, 1.3, **options))
    found = run(
        """
        const { paint } = await at("paint.js");
        done(data.map((c) => Array.from(paint(new Float32Array(c.map), c.rows, c.columns,
          { ...c, table: new Uint8Array(c.table) }))));
        """,
        cases,
        tmp_path,
    )
    for pixels, truth in zip(found, expected, strict=True):
        drawn = np.array(pixels).reshape(truth.shape)
        assert (drawn[..., 3] > 0).any()
        assert (drawn[..., 3] == 0).any()
        assert np.abs((drawn[..., :3] - truth[..., :3]) * truth[..., 3:] / 255).max() <= 2
        assert np.abs(drawn[..., 3] - truth[..., 3]).max() <= 2


def test_photos_that_could_not_be_explained_are_transparent(tmp_path):
    place = {"left": 0, "top": 0, "cellWidth": 2, "cellHeight": 2}
    cases = [
        {"table": tables()[name].ravel().tolist(), "signed": signed, "width": 4, "height": 4, "top": 1, "place": place,
         "smooth": True, "opacity": 1}
        for signed, name in ((False, "viridis"), (True, "RdBu_r"))
    ]  # fmt: skip
    found = run(
        """
        const { paint } = await at("paint.js");
        done(data.map((c) => Array.from(paint(new Float32Array(4).fill(NaN), 2, 2,
          { ...c, table: new Uint8Array(c.table) }))));
        """,
        cases,
        tmp_path,
    )
    assert not np.array(found).reshape(2, 4, 4, 4)[..., 3].any()
