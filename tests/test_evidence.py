"""The algebra of evidence against closed forms and brute force."""

import numpy as np
import pytest
import torch
import xarray as xr

import finerkit as fk
from finerkit.base.roles import species_coords
from finerkit.evidence.contrast import cam_evidence


def make_pair(seed=0, images=5, references=("b", "c", "d"), grid=(3, 4), objective="mean"):
    rng = np.random.default_rng(seed)
    species = ["a", *references]
    evidence = rng.normal(size=(images, len(species), *grid)).astype(np.float32)
    bias = rng.normal(size=len(species)).astype(np.float32)
    return xr.Dataset(
        {
            "evidence": (("image", "species", "y", "x"), evidence),
            "logit": (("image", "species"), evidence.sum((2, 3)) + bias),
            "bias": ("species", bias),
        },
        {
            "image": [f"{i}.jpg" for i in range(images)],
            "true_species": ("image", ["a"] * images),
            **species_coords("a", references),
        },
        {"objective": objective},
    )


def test_evidence_is_the_weighted_feature_at_each_cell():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(2, 3, 5, 7))
    weight = rng.normal(size=(4, 7))
    evidence = cam_evidence(features, weight)
    assert evidence.shape == (2, 4, 3, 5)
    assert evidence.dtype == np.float32
    for image, k, y, x in [(0, 0, 0, 0), (1, 3, 2, 4), (1, 2, 0, 3)]:
        assert evidence[image, k, y, x] == pytest.approx(features[image, y, x] @ weight[k] / 15, abs=1e-5)
    np.testing.assert_allclose(evidence.sum((2, 3)), features.mean((1, 2)) @ weight.T, atol=1e-5)


def test_contrast_is_linear_in_the_strength_before_the_relu():
    pair = make_pair()
    maps = fk.contrast(pair, [0.0, 0.6, 1.0, 2.5], relu=False)
    assert maps.dims == ("image", "strength", "y", "x")
    target, mean = pair.evidence.values[:, 0], pair.evidence.values[:, 1:].mean(1)
    for j, g in enumerate(maps.strength.values):
        np.testing.assert_allclose(maps.values[:, j], target - g * mean, atol=1e-5)
    np.testing.assert_allclose(fk.contrast(pair, 0.6).values, np.maximum(target - 0.6 * mean, 0), atol=1e-5)


def test_cells_at_strength_one_add_up_to_the_margin():
    pair = make_pair()
    total = fk.contrast(pair, 1, relu=False).sum(("y", "x"))
    margin = pair.logit.values[:, 0] - pair.logit.values[:, 1:].mean(1)
    bias = pair.bias.values[0] - pair.bias.values[1:].mean()
    np.testing.assert_allclose(total, margin - bias, atol=1e-5)


def test_softmax_weights_are_the_softmax_over_the_references():
    pair = make_pair()
    weights = fk.reference_weights(pair, "softmax")
    np.testing.assert_allclose(weights, torch.softmax(torch.tensor(pair.logit.values[:, 1:]).double(), 1), atol=1e-9)


def test_official_weights_are_the_gradient_through_the_softmax():
    pair = make_pair()
    logit = torch.tensor(pair.logit.values[:, 1:], dtype=torch.float64, requires_grad=True)
    ((torch.softmax(logit, 1) * logit).sum()).backward()
    np.testing.assert_allclose(fk.reference_weights(pair, "official"), logit.grad, atol=1e-9)
    np.testing.assert_allclose(fk.reference_weights(pair, "official").sum("species"), 1, atol=1e-9)


@pytest.mark.parametrize("objective", ["softmax", "official"])
def test_contrast_uses_each_photos_own_weights(objective):
    pair = make_pair(objective=objective)
    r = fk.reference_weights(pair).values
    expected = pair.evidence.values[:, 0] - 0.7 * np.einsum("ir,iryx->iyx", r, pair.evidence.values[:, 1:])
    np.testing.assert_allclose(fk.contrast(pair, 0.7, relu=False), expected, atol=1e-5)


def test_a_subset_of_references_equals_a_comparison_with_only_those():
    pair = make_pair()
    only = pair.sel(species=["a", "c"])
    for objective in ("mean", "softmax", "official"):
        xr.testing.assert_allclose(
            fk.contrast(pair, [0.5, 1], objective, references=["c"]), fk.contrast(only, [0.5, 1], objective)
        )


def test_contrast_is_lazy_where_the_evidence_is():
    pair = make_pair().chunk(image=2)
    maps = fk.contrast(pair, [0, 1])
    assert maps.chunks is not None
    np.testing.assert_allclose(maps.compute(), fk.contrast(make_pair(), [0, 1]), atol=1e-6)


def test_normalised_maps_reach_one_and_empty_maps_stay_empty():
    pair = make_pair()
    pair["evidence"][0] = -abs(pair["evidence"][0])
    pair["evidence"][0, 1:] = abs(pair["evidence"][0, 1:])
    maps = fk.contrast(pair, 1.0, normalize=True).values
    assert np.all(maps[0] == 0)
    np.testing.assert_allclose(maps[1:].max((1, 2)), 1)
    signed = fk.contrast(pair, 1.0, relu=False, normalize=True).values
    np.testing.assert_allclose(np.abs(signed).max((1, 2)), 1)


@pytest.mark.parametrize("strength", [-0.1, np.nan, np.inf, []])
def test_a_strength_that_is_none_says_so(strength):
    with pytest.raises(ValueError, match=r"strength must be one or more numbers in the range \[0, inf\)"):
        fk.contrast(make_pair(), strength)


def test_unknown_names_are_explained():
    with pytest.raises(ValueError, match="objective must be one of 'mean', 'softmax', 'official'. Got 'meen' instead"):
        fk.contrast(make_pair(), 1, "meen")
    with pytest.raises(ValueError, match="No reference in this comparison named 'z'.*need their own fk.compare"):
        fk.contrast(make_pair(), 1, references=["z"])
    with pytest.raises(ValueError, match="At least one reference"):
        fk.contrast(make_pair(), 1, references=[])


def test_a_contrast_knows_its_photos_and_says_what_is_compared():
    maps = fk.contrast(make_pair(), [0, 1], references=["d", "b"])
    assert list(maps["true_species"].values) == ["a"] * 5
    assert (maps.attrs["target"], maps.attrs["references"], maps.attrs["relu"]) == ("a", "d, b", 1)
    assert "species" not in maps.coords
    weights = fk.reference_weights(make_pair(), references=["d", "b"])
    assert list(weights["true_species"].values) == ["a"] * 5
    assert list(weights["species"].values) == ["d", "b"]


def test_one_photo_is_a_comparison_too():
    pair = make_pair()
    xr.testing.assert_identical(fk.contrast(pair.isel(image=2), 0.5), fk.contrast(pair.isel(image=[2]), 0.5))


@pytest.mark.parametrize("now", [True, False])  # xarray's defaults change in a future version
def test_two_halves_are_one_comparison(now):
    pair = make_pair()
    how = {"data_vars": None, "coords": "minimal", "compat": "override", "join": "exact"}
    how = how if now else {"data_vars": "all", "coords": "different", "compat": "equals", "join": "outer"}
    joined = xr.concat([pair.isel(image=slice(2)), pair.isel(image=slice(2, None))], "image", **how)
    xr.testing.assert_identical(fk.contrast(joined, [0, 1]), fk.contrast(pair, [0, 1]))


def test_a_comparison_without_its_target_or_roles_says_so():
    pair = make_pair()
    with pytest.raises(ValueError, match="0 target species"):
        fk.contrast(pair.sel(species=["b", "c"]))
    with pytest.raises(ValueError, match="dropped every reference"):
        fk.contrast(pair.sel(species=["a"]))
    with pytest.raises(ValueError, match="coordinate 'role' is gone"):
        fk.contrast(pair.drop_vars("role"))
