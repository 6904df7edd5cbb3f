"""Draw still pictures of explorers, for readers who cannot run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from finerkit.evidence import contrast
from finerkit.figures.words import shown
from finerkit.photo_display import display_photo
from finerkit.roles import target_of
from finerkit.traits.cells import strong_cells
from finerkit.widgets.paint import Place, paint, tables

if TYPE_CHECKING:
    from finerkit.widgets.strength import StrengthExplorer

_TILE, _GAP, _COLUMNS, _PHOTOS = 200, 12, 4, 8


def strength_snapshot(explorer: StrengthExplorer) -> Image.Image:
    """The first photos of the page, with the contrast drawn over them, and a line that says what it is."""
    images = explorer._page["images"][:_PHOTOS]  # noqa: SLF001 - the explorer's own picture
    part = explorer.pair.sel(image=images)
    maps = contrast(part, explorer.strength, explorer.objective, references=explorer.references, relu=False).values
    table = tables()[explorer.cmap_signed if explorer.signed else explorer.cmap]
    tiles = []
    for i, image in enumerate(images):
        one = part.isel(image=i)
        size = int(one["width"]), int(one["height"])
        photo = display_photo(str(one["path"].item()), (max(size[0], 1), max(size[1], 1)), _TILE)
        values = shown_cells(maps[i], explorer.share, explorer.signed)
        largest = float(np.nan_to_num(np.abs(values) if explorer.signed else values).max(initial=0))
        place = Place(*(float(one[v]) for v in ("cell_left", "cell_top", "cell_width", "cell_height")))
        over = paint(
            values,
            photo.size,
            place.scaled(photo.width / max(size[0], 1), photo.height / max(size[1], 1)),
            table,
            explorer.limit if explorer.scale == "common" else largest,
            signed=explorer.signed,
            smooth=explorer.smooth,
            opacity=explorer.opacity,
        )
        tiles.append(
            (
                Image.alpha_composite(photo.convert("RGBA"), Image.fromarray(over)).convert("RGB"),
                image.rpartition("/")[2],
            )
        )
    references = ", ".join(shown(r) for r in explorer.references)
    return sheet(tiles, f"{shown(target_of(explorer.pair))} against {references}, strength {explorer.strength:g}")


def shown_cells(values: np.ndarray, share: float, signed: bool) -> np.ndarray:
    """A map with only the cells that hold `share` of its evidence; the others 0."""
    if share >= 1:
        return values
    return np.where(strong_cells((np.abs(values) if signed else values)[None], share)[0], values, 0)


def sheet(tiles: list[tuple[Image.Image, str]], title: str) -> Image.Image:
    """Pictures in rows, each with a line of text below, under a title."""
    font, small = ImageFont.load_default(15), ImageFont.load_default(11)
    columns = min(_COLUMNS, max(len(tiles), 1))
    rows = -(-len(tiles) // columns)
    height = max((t[0].height for t in tiles), default=0) + 18 + _GAP
    picture = Image.new("RGB", (max(columns * (_TILE + _GAP) + _GAP, 480), 36 + rows * height + _GAP), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((_GAP, 10), fit(draw, title, font, picture.width - 2 * _GAP), "black", font=font)
    for i, (tile, text) in enumerate(tiles):
        left, top = _GAP + i % columns * (_TILE + _GAP), 36 + i // columns * height
        picture.paste(tile, (left, top))
        draw.text((left, top + tile.height + 3), fit(draw, text, small, _TILE), "black", font=small)
    return picture


def fit(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The beginning of a text that fits, on one line."""
    text = " ".join(text.split())
    while len(text) > 1 and draw.textlength(text, font=font) > width:
        text = text[:-2].rstrip() + "…"
    return text
