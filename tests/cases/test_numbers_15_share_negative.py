"""A trait's share of the margin, where the margin of the target's photos is near zero or below."""

import numpy as np
import pytest
import xarray as xr

from finerkit.base.roles import species_coords
from finerkit.base.wording import share
from finerkit.traits.numbers import trait_numbers


def shares(inside, outside):
    """Of one trait with `inside` logits in a cell, and `outside` in each of the three others."""
    maps = np.full((4, 2, 2), outside, np.float32)
    maps[:, 0, 0] = inside
    label = np.full((4, 2, 2), -1)
    label[:, 0, 0] = 0
    rest = np.where(label < 0, maps, 0).sum((1, 2))
    variables = {"contrast": (("image", "y", "x"), maps), "remainder": ("image", rest)}
    coords = {"image": list("abcd"), "true_species": ("image", ["A"] * 4), **species_coords("A", [])}
    photos = xr.Dataset(variables, coords, {"presence": 0.25})
    return trait_numbers(photos, label, 1)["share_of_margin"]


@pytest.mark.parametrize("outside", [-1.0, -2 / 3, -0.61])  # margins of -1, 0 and 0.17 where 2 argue for the target
def test_no_share_is_given_of_a_margin_near_zero_or_below(outside):
    found = shares(2.0, outside)
    assert np.isnan(found).all()
    assert "NaN where their margin" in found.attrs["comment"]


def test_shares_of_other_margins_are_as_they_were():
    np.testing.assert_allclose(shares(2.0, -0.59), 2 / 0.23, rtol=1e-5)
    np.testing.assert_allclose(shares(2.0, -0.5), 2 / 0.5)
    np.testing.assert_allclose(shares(2.0, 1.0), 2 / 5)
    np.testing.assert_allclose(shares(-1.0, 1.0), -1 / 2)


def test_a_share_that_is_not_given_is_said_in_words():
    assert share(0.254) == "25% of the margin"
    assert share(np.nan) == "share not given, as the margin is near zero"
