"""Small photos and studies that several test modules share."""

import itertools
from pathlib import Path

import numpy as np
import xarray as xr
from PIL import Image, ImageDraw

from finerkit.base.roles import species_coords

SPECIES = ("Rubra quadrata", "Rubra rotunda", "Viridis alba")


def draw(species, seed, size=(96, 72)):
    """A photo of one of three kinds: red square, red disc, green square; noise and place vary."""
    rng = np.random.default_rng([seed, SPECIES.index(species)])
    noise = rng.integers(90, 150, (size[1], size[0], 3), np.uint8)
    photo = Image.fromarray(noise)
    x, y = rng.integers(8, size[0] - 40), rng.integers(8, size[1] - 40)
    colour = (200, 40, 30) if species.startswith("Rubra") else (40, 180, 60)
    shape = ImageDraw.Draw(photo).ellipse if species.endswith("rotunda") else ImageDraw.Draw(photo).rectangle
    shape((x, y, x + 30, y + 30), fill=colour)
    return photo


def write_photos(root: Path, per_species=6):
    """One folder per species; returns the root."""
    for species in SPECIES:
        folder = root / species
        folder.mkdir(parents=True)
        for i in range(per_species):
            size = ((96, 72), (64, 96), (80, 80))[i % 3]
            draw(species, i, size).save(folder / f"{i:02}.png")
    return root


def stops_at(batch, features):
    """A model's `features` that are interrupted, as by Ctrl-C, at a batch (the first is 0); later ones go on."""
    calls = itertools.count()

    def interrupted(pixels):
        if next(calls) == batch:
            raise KeyboardInterrupt
        return features(pixels)

    return interrupted


def random_pair(folder, photos=3, references=3, grid=(5, 7), seed=0):
    """A comparison of random evidence over photos of several shapes, as `finerkit.compare` returns it."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [((60, 40), (30, 90), (50, 50))[i % 3] for i in range(photos)]
    paths = [str(folder / f"{i:03}.png") for i in range(photos)]
    for path, size in zip(paths, sizes, strict=True):
        Image.fromarray(rng.integers(0, 255, (*size[::-1], 3), np.uint8)).save(path)
    names = ["Rubra quadrata", *(f"Rubra {c}" for c in "abcdefg"[:references])]
    width, height = np.array(sizes, float).T
    evidence = rng.normal(0, 1, (photos, len(names), *grid)).astype(np.float32)
    per_image = {
        "true_species": np.array([names[0]] * photos, object),
        "path": np.array(paths, object),
        "status": np.array(["ok"] * photos, object),
        "width": width.astype(int),
        "height": height.astype(int),
        "cell_left": -0.05 * width,
        "cell_top": 0.1 * height,
        "cell_width": width / grid[1],
        "cell_height": 0.8 * height / grid[0],
        "row": np.full(photos, -1),
    }
    return xr.Dataset(
        {
            "evidence": (("image", "species", "y", "x"), evidence),
            "logit": (("image", "species"), evidence.sum((2, 3))),
            "bias": ("species", np.zeros(len(names))),
        },
        {
            "image": np.array([f"{i:03}.png" for i in range(photos)], object),
            **{name: ("image", values) for name, values in per_image.items()},
            **species_coords(names[0], names[1:]),
        },
        {
            "objective": "mean",
            "method": "cam",
            "additive": 1,
            "picked_by": "embedding",
            "model": "random",
        },
    )
