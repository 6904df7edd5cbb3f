"""Runs that are killed: the store opens, a rerun finishes, equal to the bit (twenty kills: benchmarks/kill.py)."""

import pytest
from killed import change, finish, kill_until_done
from samples import write_photos

pytestmark = pytest.mark.slow


def test_killed_runs_end_the_same(tmp_path):
    photos = write_photos(tmp_path / "photos", per_species=40)
    _, left = kill_until_done(photos, tmp_path / "killed.zarr", times=3)
    assert left == sorted(left)  # what was done stays done


def test_growing_that_is_killed_ends_the_same(tmp_path):
    photos = write_photos(tmp_path / "photos", per_species=40)
    finish(photos, tmp_path / "killed.zarr")
    change(photos)
    kill_until_done(photos, tmp_path / "killed.zarr", times=3)
