"""Draw the sample that ships with finerkit: ``PYTHONPATH=data python -m mimics_generator.sample data/mimics``."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from finerkit.datasets import PAIRS
from mimics_generator.draw import planned, save_masks, save_photo, table_row
from mimics_generator.photo import has_shortcut, render

#: Parameters of the shipped photos. The wheel holds at most 9 MB of them.
N_PER_SPECIES = 24
SEED = 0
IMAGE_SIZE = 448
QUALITY = 85

#: The pair whose photos are there a second time, with the shortcut.
SHORTCUT_PAIR = "Nervada"

#: Photos that a careless person labelled as the look-alike.
WRONG_LABELS = frozenset(
    {
        "Velanthis corvida/velanthis-corvida-005.jpg",
        "Ruvessa calyra/ruvessa-calyra-003.jpg",
        "Ruvessa tolmera/ruvessa-tolmera-014.jpg",
        "Ostrelia senda/ostrelia-senda-009.jpg",
        "Nervada tessia/nervada-tessia-018.jpg",
        "Nervada ilvana/nervada-ilvana-007.jpg",
    }
)


def write_sample(folder: Path) -> None:
    """Write photos, masks and the table."""
    rows = []
    for path, species, pair, plan in tqdm(list(planned(PAIRS, N_PER_SPECIES, SEED, IMAGE_SIZE)), unit="photo"):
        shows = species == pair.shows
        photo = render(plan, pair.genus, shows=shows)
        save_photo(photo, folder / "images" / path, QUALITY)
        save_masks(photo, folder / "masks", path)
        seen = False
        if pair.genus == SHORTCUT_PAIR:
            other = render(plan, pair.genus, shows=shows, shortcut=has_shortcut(plan, species))
            save_photo(other, folder / "shortcut" / path, QUALITY)
            seen = bool((other.picture != photo.picture).any())  # a label may be out of the frame
        look_alike = pair.lacks if shows else pair.shows
        row = table_row(path, species, pair, plan, seen)
        rows.append(row | {"careless_label": look_alike if path in WRONG_LABELS else species})
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="photos, masks and the table there are replaced")
    write_sample(parser.parse_args().folder)
