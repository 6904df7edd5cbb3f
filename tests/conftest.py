"""Fixtures that several test modules share."""

import os

# Before torch: several processes share the cores in these tests.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from browser import browser, lab  # noqa: F401 - fixtures
from bucket import serving
from guides import guide  # noqa: F401 - a fixture
from PIL import Image

ORIENTATION = 0x0112


def _stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels a camera stores, from the EXIF standard's table of where the first row and column belong."""
    first_row, first_column = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }[orientation]
    sides = {first_row, first_column}
    pixels = upright[::-1] if "bottom" in sides else upright
    pixels = pixels[:, ::-1] if "right" in sides else pixels
    return np.swapaxes(pixels, 0, 1) if first_row in {"left", "right"} else pixels


@pytest.fixture(scope="session")
def save_turned():
    """Write upright pixels to a file as a camera held in another way would store them."""

    def save(upright, path, orientation, **options):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        Image.fromarray(np.ascontiguousarray(_stored(np.asarray(upright), orientation))).save(
            path, exif=exif, **options
        )
        return path

    return save


@pytest.fixture(scope="session")
def bucket():
    """Options for addresses "s3://studies/..." of a server that runs while the tests do."""
    with serving() as options:
        yield options
