"""Read the shipped sample of invented look-alikes, or copy it to a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from finerkit.base.checks import whole
from finerkit.datasets._folders import is_complete, written_whole
from finerkit.datasets._masks import MASK_KINDS
from finerkit.datasets._pairs import PAIRS, chosen
from finerkit.photos.read import read_images

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import xarray as xr

    from finerkit.datasets._pairs import Pair

#: Where the sample lies: inside an installed finerkit, or beside it in a checkout.
_PLACES = tuple(folder / "data" / "mimics" for folder in Path(__file__).parents[1:3])

_PHOTOS = 24
_WITH_SHORTCUT = tuple(pair for pair in PAIRS if pair.genus == "Nervada")
_DRAW = (
    "Draw others in a checkout of finerkit, with data/ on the path (PYTHONPATH=data): "
    "mimics_generator.draw_mimics(n_per_species, pairs, out=folder, seed=0, image_size=512, shortcut=False)."
)


def mimics(
    n_per_species: int = _PHOTOS,
    pairs: int | str | Sequence[str] | None = None,
    *,
    shortcut: bool = False,
    wrong_labels: bool = False,
    out: str | os.PathLike[str] | None = None,
    **drawing: object,
) -> xr.Dataset:
    """List drawn photos of invented butterflies: pairs of look-alike species that differ in one planted trait.

    The two species of a pair (`PAIRS`) share wing shape, colours, pattern, sexes and backgrounds; only the
    planted trait tells them apart, and masks say where it is. Photos come as pinned specimens and outdoors, in
    several poses, sizes, shapes and states of wear; some show two animals or part of one. They ship with finerkit; a
    smaller `n_per_species`, or fewer pairs, gives a part of the same photos.

    Parameters
    ----------
    n_per_species
        Photos of each species, the first so many of 24.
    pairs
        How many pairs, or the names of some, as in `PAIRS` (e.g. ``["Velanthis"]``). By default all.
    shortcut
        Whether photos have a shortcut, planted on purpose: most of the species that shows the trait get a pink label
        or a magenta flower, which its look-alike hardly ever gets. A model that leans on it is right for the wrong
        reason. Only backgrounds change. Of the pair *Nervada* only, which is then the default of `pairs`.
    wrong_labels
        Give the species as a careless person wrote it, who took 6 of the 192 for the look-alike; the column
        ``true_label`` says what they are.
    out
        Folder to copy photos, masks and table into. By default nothing is written. A complete folder is reused; a
        killed run leaves none.
    **drawing
        Parameters of the generator (``seed``, ``image_size``) are refused: these photos are already drawn.

    Returns
    -------
    xarray.Dataset
        Of `finerkit.read_images`: dim ``image``; ``species``, ``path``, ``width``, ``height``, ``status`` and the
        table's columns ``pair``, ``sex``, ``scene``, ``trait``, ``trait_kind``, ``trait_present``, ``n_animals``,
        ``partial``, ``shortcut`` (whether the shortcut is in that photo), and ``true_label`` with `wrong_labels`.
        ``attrs["masks"]`` is the folder that `mask` reads. Written to `out`: ``images/<species>/*.jpg``,
        ``masks/<animal, parts or trait>/<species>/*.png``, ``table.csv`` and, last, ``done.json``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as described, or the sample does not have what is asked for.
    FileExistsError
        If `out` holds something else.

    Examples
    --------
    >>> images = fk.datasets.mimics(8, ["Velanthis"])  # doctest: +SKIP
    >>> fk.datasets.mask(images, images.image.values[0], "trait").any()  # doctest: +SKIP
    """
    if drawing:
        raise TypeError(f"mimics() reads photos that are drawn already, and takes no {', '.join(drawing)}. {_DRAW}")
    photos = whole(n_per_species, "n_per_species", 1, _PHOTOS, hint=_DRAW)
    pairs = _with_shortcut(pairs) if shortcut else chosen(pairs, PAIRS)
    table = _table(photos, pairs, shortcut, wrong_labels)
    folder = _sample()
    root, images = folder, folder / ("shortcut" if shortcut else "images")
    if out is not None:
        root = Path(out).absolute()
        _copy(table, images, folder / "masks", root, {
            "n_per_species": photos,
            "pairs": [pair.genus for pair in pairs],
            "shortcut": bool(shortcut),
            "wrong_labels": bool(wrong_labels),
        })  # fmt: skip
        images = root / "images"
    found = read_images(images, table, progress=False)
    found.attrs["masks"] = str(root / "masks")
    return found


def _with_shortcut(pairs: int | str | Sequence[str] | None) -> list[Pair]:
    """Pairs of the sample that have photos with the shortcut, all of them unless the person names some."""
    if pairs is None:
        return list(_WITH_SHORTCUT)
    wanted = chosen(pairs, PAIRS)
    if missing := [pair.genus for pair in wanted if pair not in _WITH_SHORTCUT]:
        have = ", ".join(pair.genus for pair in _WITH_SHORTCUT)
        raise ValueError(f"The sample has the shortcut for {have} only, not for {', '.join(missing)}. {_DRAW}")
    return wanted


def _sample() -> Path:
    """Return the folder of the shipped sample."""
    found = next((place for place in _PLACES if (place / "table.csv").is_file()), None)
    if found is None:
        raise FileNotFoundError("This installation of finerkit holds no sample photos: install it again.")
    return found


def _table(photos: int, pairs: list[Pair], shortcut: bool, wrong_labels: bool) -> pd.DataFrame:
    """Rows of the sample's table that were asked for."""
    table = pd.read_csv(_sample() / "table.csv")
    table = table[table["pair"].isin([pair.genus for pair in pairs])].groupby("species", sort=False).head(photos)
    if not shortcut:
        table["shortcut"] = False
    careless = table.pop("careless_label")
    if wrong_labels:
        table["true_label"] = table["species"]
        table["species"] = careless
    return table.reset_index(drop=True)


def _copy(table: pd.DataFrame, images: Path, masks: Path, root: Path, parameters: dict[str, object]) -> None:
    """Copy photos, masks and table into a folder, unless they are there."""
    if is_complete(root, parameters):
        return
    with written_whole(root, parameters) as part:
        for path in table["path"]:
            files = {images / path: part / "images" / path}
            for kind in MASK_KINDS:
                png = Path(kind, path).with_suffix(".png")
                files[masks / png] = part / "masks" / png
            for source, target in files.items():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        table.to_csv(part / "table.csv", index=False, lineterminator="\n")
