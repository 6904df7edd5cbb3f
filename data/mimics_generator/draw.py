"""Draw photos, masks and a table of invented butterflies into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from PIL import Image
from tqdm.auto import tqdm

from finerkit import read_images
from finerkit.base.checks import whole
from finerkit.datasets._folders import is_complete, written_whole
from finerkit.datasets._masks import MASK_KINDS
from finerkit.datasets._pairs import chosen
from mimics_generator.pairs import PAIRS, SPECIES
from mimics_generator.photo import has_shortcut, plan_photo, render

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    import xarray as xr

    from finerkit.datasets import Pair
    from mimics_generator.photo import Plan, Rendered

#: Raise when the same parameters give other photos.
VERSION = 1
_QUALITY = 88
_SMALLEST = 64
_PALETTE = (0, 0, 0, 230, 159, 0, 86, 180, 233, 0, 158, 115, 204, 121, 167)


def draw_mimics(
    n_per_species: int = 24,
    pairs: int | str | Sequence[str] | None = None,
    *,
    out: str | os.PathLike[str],
    seed: int = 0,
    image_size: int | tuple[int, int] = 512,
    shortcut: bool = False,
    progress: bool = True,
) -> xr.Dataset:
    """Draw photos of invented butterflies: pairs of look-alike species that differ in one planted trait.

    The two species of a pair (`PAIRS`) share wing shape, colours, pattern, sexes and backgrounds; only the
    planted trait tells them apart, and masks say where it is. Photos come as pinned specimens and outdoors, in
    several poses, sizes, shapes and states of wear; some show two animals or part of one. The same parameters
    give the same photos; a smaller `n_per_species`, or fewer pairs, gives a part of the same photos.

    Parameters
    ----------
    n_per_species
        Photos of each species.
    pairs
        How many pairs, or the names of some, as in `PAIRS` (e.g. ``["Velanthis"]``). By default all.
    out
        Folder to write. A complete folder is reused; a killed run leaves none.
    seed
        Seed of everything random.
    image_size
        Longest side in pixels (landscape, portrait and square photos), or (width, height) of every photo.
    shortcut
        Plant a shortcut on purpose: most photos of the species that shows the trait get a pink label or a magenta
        flower, which its look-alike hardly ever gets. A model that leans on it is right for the wrong reason. Only
        backgrounds change.
    progress
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        As of `finerkit.datasets.mimics`. Written: ``images/<species>/*.jpg``, ``masks/<animal, parts or
        trait>/<species>/*.png``, ``table.csv`` and, last, ``done.json``.

    Raises
    ------
    ValueError
        If a parameter is not as described.
    FileExistsError
        If `out` holds something else.

    Examples
    --------
    >>> images = draw_mimics(80, ["Velanthis"], out="velanthis")  # doctest: +SKIP
    """
    pairs = chosen(pairs, PAIRS)
    parameters = {
        "version": VERSION,
        "n_per_species": whole(n_per_species, "n_per_species"),
        "pairs": [pair.genus for pair in pairs],
        "seed": whole(seed, "seed", 0),
        "image_size": _size(image_size),
        "shortcut": bool(shortcut),
    }
    root = Path(out).absolute()
    if not is_complete(root, parameters):
        with written_whole(root, parameters) as part:
            _write_all(part, pairs, parameters, progress)
    images = read_images(root / "images", root / "table.csv", progress=False)
    images.attrs["masks"] = str(root / "masks")
    return images


def _size(value: object) -> int | list[int]:
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"image_size must be one int or (width, height). Got {value!r} instead.")
        return [whole(v, "image_size", _SMALLEST) for v in value]
    return whole(value, "image_size", _SMALLEST)


def _write_all(root: Path, pairs: list[Pair], parameters: dict, progress: bool) -> None:
    """Draw and write every photo and mask, then the table."""
    size = parameters["image_size"]
    size = size if isinstance(size, int) else tuple(size)
    plans = list(planned(pairs, parameters["n_per_species"], parameters["seed"], size))
    rows = []
    for path, species, pair, plan in tqdm(plans, "drawing butterflies", unit="photo", disable=not progress):
        planted = parameters["shortcut"] and has_shortcut(plan, species)
        photo = render(plan, pair.genus, shows=species == pair.shows, shortcut=planted)
        save_photo(photo, root / "images" / path)
        save_masks(photo, root / "masks", path)
        rows.append(table_row(path, species, pair, plan, planted))
    pd.DataFrame(rows).to_csv(root / "table.csv", index=False, lineterminator="\n")


def planned(
    pairs: Sequence[Pair], n_per_species: int, seed: int, size: int | tuple[int, int]
) -> Iterator[tuple[str, str, Pair, Plan]]:
    """Path, species, pair and plan of every photo, in the table's order."""
    for pair in pairs:
        for species in pair.species:
            for i in range(n_per_species):
                path = f"{species}/{species.lower().replace(' ', '-')}-{i:03d}.jpg"
                yield path, species, pair, plan_photo(seed, SPECIES.index(species), i, size)


def table_row(path: str, species: str, pair: Pair, plan: Plan, planted: bool) -> dict[str, object]:
    """Return what the table says of a photo."""
    return {
        "path": path,
        "species": species,
        "pair": pair.genus,
        "sex": plan.sex,
        "scene": plan.scene,
        "trait": pair.trait,
        "trait_kind": pair.kind,
        "trait_present": species == pair.shows,
        "n_animals": len(plan.animals),
        "partial": plan.partial,
        "shortcut": planted,
    }


def save_photo(photo: Rendered, target: Path, quality: int = _QUALITY) -> None:
    """Write the picture as JPEG."""
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo.picture).save(target, quality=quality)


def save_masks(photo: Rendered, folder: Path, path: str) -> None:
    """Write the masks as PNG: 1 bit, or indexed for the parts."""
    for kind in MASK_KINDS:
        values = getattr(photo, kind)
        if kind == "parts":
            png = Image.fromarray(values).convert("P")
            png.putpalette(_PALETTE)
        else:
            png = Image.fromarray(values)
        target = (folder / kind / path).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        png.save(target, optimize=True)
