"""Draw a still picture of the species explorer: map, tree and look-alikes as it shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from finerkit.figures.colours import colours
from finerkit.figures.words import shown
from finerkit.photo_display import display_photo
from finerkit.similarity_tree import SimilarityTree, branches
from finerkit.widgets.snapshot import fit, sheet

if TYPE_CHECKING:
    from finerkit.widgets.species import SpeciesExplorer

_MAP, _TREE, _NAMES, _EDGE = 420, 90, 190, 12
_TILE, _LOOK_ALIKES = 200, 7
_ACCENT = "#1667b7"


def species_snapshot(explorer: SpeciesExplorer) -> Image.Image:
    """The map of all species above a typical photo of the chosen one and of its look-alikes."""
    upper, lower = _map_picture(explorer), _photo_sheet(explorer)
    picture = Image.new("RGB", (max(upper.width, lower.width), upper.height + lower.height), "white")
    picture.paste(upper, (0, 0))
    picture.paste(lower, (0, upper.height))
    return picture


def _map_picture(explorer: SpeciesExplorer) -> Image.Image:
    tree, values = explorer.tree, explorer.matrix.values
    n = len(tree.order)
    cell = min(30.0, _MAP / n)
    side = round(cell * n)
    left, top = _EDGE + _TREE, 36
    picture = Image.new("RGB", (left + side + _NAMES + _EDGE, top + side + _EDGE), "white")
    draw = ImageDraw.Draw(picture)
    title = f"How similar {n} species are, by {explorer.by}"
    draw.text((_EDGE, 10), fit(draw, title, ImageFont.load_default(15), picture.width - 2 * _EDGE), "black",
              font=ImageFont.load_default(15))  # fmt: skip
    heat = Image.fromarray(heat_pixels(values, explorer.cmap)).resize((side, side), Image.Resampling.NEAREST)
    picture.paste(heat, (left, top))
    _draw_tree(draw, tree, (_EDGE, top, left), cell)
    names = [str(s) for s in explorer.matrix["species"].values]
    _draw_names(draw, names, explorer.species, (left + side + 8, top), cell)
    return picture


def heat_colours(cmap: str) -> np.ndarray:
    """A colour map as 256 x 4 bytes, opaque."""
    table = np.rint(255 * colours(cmap, signed=False, opacity=1)).astype(np.uint8)
    table[:, 3] = 255
    return table


def heat_pixels(values: np.ndarray, cmap: str) -> np.ndarray:
    """A matrix as red, green, blue; grey on the diagonal and where there is no number."""
    apart = np.where(np.eye(len(values), dtype=bool), np.nan, values)
    low, high = np.nanmin(apart), np.nanmax(apart)
    level = np.rint(255 * np.clip((apart - low) / (high - low), 0, 1)) if high > low else np.full(apart.shape, 255.0)
    pixels = heat_colours(cmap)[np.nan_to_num(level).astype(int)][..., :3].copy()
    pixels[np.isnan(apart)] = 235
    return pixels


def _draw_tree(draw: ImageDraw.ImageDraw, tree: SimilarityTree, place: tuple[int, int, int], cell: float) -> None:
    left, top, right = place
    low, high = tree.similarity.min(), tree.similarity.max()
    span = (high - low) or 1.0

    def x(similarity: float) -> float:
        return right - 4 if np.isnan(similarity) else left + (right - left - 14) * (similarity - low) / span

    for b in branches(tree):
        upper, lower = (top + (p + 0.5) * cell for p in (b.first, b.last))
        here = x(b.similarity)
        draw.line([(x(b.first_stem), upper), (here, upper), (here, lower), (x(b.last_stem), lower)], "#555555")


def _draw_names(draw: ImageDraw.ImageDraw, names: list[str], chosen: str, place: tuple[int, int], cell: float) -> None:
    font = ImageFont.load_default(11)
    step = max(1, int(np.ceil(13 / cell)))
    at = names.index(chosen) if chosen in names else 0
    for i in range(at % step, len(names), step):
        y = place[1] + (i + 0.5) * cell - 7
        colour = _ACCENT if names[i] == chosen else "black"
        draw.text((place[0], y), fit(draw, shown(names[i]), font, _NAMES - 8), colour, font=font)


def _photo_sheet(explorer: SpeciesExplorer) -> Image.Image:
    target = explorer.species
    rows = [(target, shown(target))]
    for name, value in list(explorer.listed().items())[:_LOOK_ALIKES]:
        rows.append((name, f"{value:.2f} {shown(name)}" + (" (reference)" if name in explorer.references else "")))
    tiles = []
    for name, words in rows:
        for one in explorer.typical(name, 1):
            photo = display_photo(one.path, (max(one.width, 1), max(one.height, 1)), _TILE)
            tiles.append((photo.convert("RGB"), words))
    return sheet(tiles, f"{shown(target)} and its look-alikes")
