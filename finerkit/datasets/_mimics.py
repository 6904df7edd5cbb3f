"""The mimics data set: counts and names of pairs enter; photos, masks, a table and a Dataset of them leave."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from finerkit.datasets._folders import cache_folder, is_complete, written_whole
from finerkit.datasets._masks import MASK_KINDS
from finerkit.datasets._pairs import PAIRS, SPECIES, Pair
from finerkit.images import read_images
from finerkit.names import resolve

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import xarray as xr

    from finerkit.datasets._photo import Plan, Rendered

#: Raise when the same parameters give other photos; it is part of the cache folder's name.
VERSION = 1
_QUALITY = 88
_SMALLEST = 64
_PALETTE = (0, 0, 0, 230, 159, 0, 86, 180, 233, 0, 158, 115, 204, 121, 167)


def mimics(
    n_per_species: int = 24,
    pairs: int | str | Sequence[str] | None = None,
    *,
    seed: int = 0,
    image_size: int | tuple[int, int] = 512,
    shortcut: bool = False,
    out: str | os.PathLike[str] | None = None,
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
    seed
        Seed of everything random.
    image_size
        Longest side in pixels (landscape, portrait and square photos), or (width, height) of every photo.
    shortcut
        Plant a shortcut on purpose: most photos of the species that shows the trait get a pink label or a magenta
        flower, which its look-alike hardly ever gets. A model that leans on it is right for the wrong reason. Only
        backgrounds change.
    out
        Folder to write. By default a folder in the user's cache, named after the parameters. A complete folder is
        reused; a killed run leaves none.
    progress
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        Of `finerkit.read_images`: dim ``image``; ``species``, ``path``, ``width``, ``height``, ``status`` and the
        table's columns ``pair``, ``sex``, ``scene``, ``trait``, ``trait_kind``, ``trait_present``, ``n_animals``,
        ``partial``, ``shortcut`` (whether the shortcut is in that photo). ``attrs["masks"]`` is the folder that
        `mask` reads. Written: ``images/<species>/*.jpg``, ``masks/<animal, parts or trait>/<species>/*.png``,
        ``table.csv`` and, last, ``done.json``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as described.
    FileExistsError
        If `out` holds something else.

    Examples
    --------
    >>> images = fk.datasets.mimics(8, ["Velanthis"])  # doctest: +SKIP
    >>> fk.datasets.mask(images, images.image.values[0], "trait").any()  # doctest: +SKIP
    """
    chosen = _chosen(pairs)
    parameters = {
        "version": VERSION,
        "n_per_species": _whole(n_per_species, "n_per_species", 1),
        "pairs": [pair.genus for pair in chosen],
        "seed": _whole(seed, "seed", 0),
        "image_size": _size(image_size),
        "shortcut": bool(shortcut),
    }
    root = cache_folder(_folder_name(parameters)) if out is None else Path(out).absolute()
    if not is_complete(root, parameters):
        with written_whole(root, parameters) as part:
            _write_all(part, chosen, parameters, progress)
    images = read_images(root / "images", root / "table.csv", progress=False)
    images.attrs["masks"] = str(root / "masks")
    return images


# --- parameters ---------------------------------------------------------------------------------------------


def _chosen(pairs: int | str | Sequence[str] | None) -> list[Pair]:
    """Pairs in the table's order, each once."""
    if pairs is None:
        return list(PAIRS)
    if isinstance(pairs, int | np.integer) and not isinstance(pairs, bool):
        if not 1 <= pairs <= len(PAIRS):
            raise ValueError(f"pairs must be in the range [1, {len(PAIRS)}], or names of pairs. Got {pairs} instead.")
        return list(PAIRS[:pairs])
    names = [pairs] if isinstance(pairs, str) else list(pairs) if np.iterable(pairs) else None
    if not names:
        raise ValueError(f"pairs must be a number or names such as ['{PAIRS[0].genus}']. Got {pairs!r} instead.")
    known = [pair.genus for pair in PAIRS]
    wanted = {resolve(name, known, "pair", "See fk.datasets.PAIRS.") for name in names}
    return [pair for pair in PAIRS if pair.genus in wanted]


def _whole(value: object, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an int. Got {value!r} instead.")
    if value < least:
        raise ValueError(f"{name} must be an int in the range [{least}, inf). Got {value} instead.")
    return int(value)


def _size(value: object) -> int | list[int]:
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"image_size must be one int or (width, height). Got {value!r} instead.")
        return [_whole(v, "image_size", _SMALLEST) for v in value]
    return _whole(value, "image_size", _SMALLEST)


def _folder_name(parameters: dict[str, Any]) -> str:
    """Say every parameter in a folder's name."""
    size = parameters["image_size"]
    pairs = "all" if len(parameters["pairs"]) == len(PAIRS) else "-".join(parameters["pairs"])
    return "_".join(
        [
            f"mimics-v{parameters['version']}",
            f"n{parameters['n_per_species']}",
            f"{len(PAIRS)}pairs" if pairs == "all" else pairs,
            f"seed{parameters['seed']}",
            f"{size}px" if isinstance(size, int) else "{}x{}px".format(*size),
            *(["shortcut"] if parameters["shortcut"] else []),
        ]
    )


# --- writing ------------------------------------------------------------------------------------------------


def _write_all(root: Path, pairs: list[Pair], parameters: dict[str, Any], progress: bool) -> None:
    """Render and write every photo and mask, then the table."""
    from finerkit.datasets._photo import has_shortcut, plan_photo, render

    size = parameters["image_size"]
    size = size if isinstance(size, int) else tuple(size)
    todo = [
        (pair, species, i) for pair in pairs for species in pair.species for i in range(parameters["n_per_species"])
    ]
    rows = []
    for pair, species, i in tqdm(todo, "drawing butterflies", unit="photo", disable=not progress):
        plan = plan_photo(parameters["seed"], SPECIES.index(species), i, size)
        planted = parameters["shortcut"] and has_shortcut(plan, species)
        shows = species == pair.shows
        path = f"{species}/{species.lower().replace(' ', '-')}-{i:03d}.jpg"
        _write_photo(root, path, render(plan, pair.genus, shows=shows, shortcut=planted))
        rows.append(_row(path, species, pair, plan, planted))
    with (root / "table.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _row(path: str, species: str, pair: Pair, plan: Plan, planted: bool) -> dict[str, object]:
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


def _write_photo(root: Path, path: str, photo: Rendered) -> None:
    target = root / "images" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo.picture).save(target, quality=_QUALITY)
    for kind in MASK_KINDS:
        values = getattr(photo, kind)
        if kind == "parts":
            png = Image.fromarray(values).convert("P")
            png.putpalette(_PALETTE)
        else:
            png = Image.fromarray(values)
        target = (root / "masks" / kind / path).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        png.save(target, optimize=True)
