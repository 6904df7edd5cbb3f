"""Draw a still picture of a trait explorer: rows of crops with numbers, and the map of regions."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from finerkit.figures.words import share
from finerkit.roles import target_of
from finerkit.widgets.trait_state import colour

if TYPE_CHECKING:
    from finerkit.widgets.traits import TraitExplorer

_TILE, _GAP, _MAP = 110, 8, 260


def trait_snapshot(explorer: TraitExplorer) -> Image.Image:
    """The rows that the explorer shows, and its map."""
    rows = explorer._rows["rows"]  # noqa: SLF001 - the explorer's own picture
    columns = max((len(r["crops"]) for r in rows), default=1)
    width = max(columns * (_TILE + _GAP) + _GAP, 640)
    height = 36 + len(rows) * (_TILE + 24 + _GAP) + _MAP + 2 * _GAP
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((_GAP, 10), explorer._about["title"], "black", font=ImageFont.load_default(15))  # noqa: SLF001
    top = 36
    for r in rows:
        draw.rectangle((_GAP, top + 4, _GAP + 9, top + 13), fill=r["colour"])
        draw.text((_GAP + 16, top + 1), _words(r), "black", font=ImageFont.load_default(12))
        for i, one in enumerate(r["crops"]):
            picture.paste(_crop(one, r["colour"]), (_GAP + i * (_TILE + _GAP), top + 20))
        top += _TILE + 24 + _GAP
    _map(draw, explorer, (_GAP, top, width - _GAP, top + _MAP))
    return picture


def _words(r: dict[str, Any]) -> str:
    def percent(value: float | None) -> str:
        return "unknown" if value is None else f"{value:.0%}"

    words = [
        share(np.nan if r["share"] is None else r["share"]),
        f"in {percent(r['prevalence'])} of the photos",
        f"in {percent(r['elsewhere'])} of the references'",
    ]
    return f"{r['name']}: {', '.join(words)}{'; BACKGROUND' if r['background'] else ''}"


def _crop(one: dict[str, Any], ink: str) -> Image.Image:
    left, top, right, bottom = one["box"]
    scale = _TILE / max(right - left, bottom - top, 1)
    tile = Image.new("RGB", (_TILE, _TILE), "#eeeeee")
    x0, y0, x1, y1 = ((v - o) * scale for v, o in zip(one["place"], (left, top, left, top), strict=True))
    size = max(round(x1 - x0), 1), max(round(y1 - y0), 1)
    tile.paste(Image.open(io.BytesIO(one["photo"])).resize(size, Image.Resampling.LANCZOS), (round(x0), round(y0)))
    draw = ImageDraw.Draw(tile)
    for ring in one["rings"]:
        points = [((x - left) * scale, (y - top) * scale) for x, y in ring]
        draw.line(points, fill="white", width=4)
        draw.line(points, fill=ink, width=2)
    return tile


def _map(draw: ImageDraw.ImageDraw, explorer: TraitExplorer, frame: tuple[int, int, int, int]) -> None:
    """Regions as points; those of other species' photos hollow."""
    left, top, right, bottom = frame
    draw.rectangle(frame, outline="#cccccc")
    traits, at = explorer.traits, explorer.places
    if not len(at):
        return
    own = traits["true_species"].values == target_of(traits)
    own = own[traits.indexes["image"].get_indexer(traits["region_image"].values)]
    low, high = at.min(0), at.max(0)
    scale = min((right - left - 24) / max(high[0] - low[0], 1e-9), (bottom - top - 24) / max(high[1] - low[1], 1e-9))
    x, y = ((at - (low + high) / 2) * scale * [1, -1] + [(left + right) / 2, (top + bottom) / 2]).T
    for i in np.argsort(own, kind="stable"):
        if not (own[i] or explorer.references_shown):
            continue
        ink = ImageColor.getrgb(colour(int(traits["region_trait"].values[i])))
        draw.ellipse((x[i] - 3, y[i] - 3, x[i] + 3, y[i] + 3), fill=ink if own[i] else None, outline=ink)
