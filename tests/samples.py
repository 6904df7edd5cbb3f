"""Small photos and studies that several test modules share."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

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
