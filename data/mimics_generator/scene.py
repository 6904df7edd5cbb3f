"""Paint empty scenes: a board with a label, or leaves and flowers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.path import Path
from PIL import Image, ImageDraw, ImageFont

from mimics_generator.canvas import Colour, Ink, blur, blur_rgba, bumpy, draw, mix, over, shifted, vary
from mimics_generator.geometry import affine, bezier, blob, move, ribbon, smooth

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Accent colours (label paper, flowers) that every species gets alike, and the one that a shortcut plants.
ACCENTS: dict[str, tuple[Colour, ...]] = {
    "pinned": ((0.97, 0.96, 0.93), (0.96, 0.93, 0.83), (0.90, 0.92, 0.93), (0.95, 0.94, 0.78)),
    "outdoors": ((0.96, 0.95, 0.93), (0.98, 0.84, 0.22), (0.66, 0.56, 0.86), (0.97, 0.66, 0.30)),
}
SHORTCUT_ACCENT: dict[str, Colour] = {"pinned": (0.95, 0.50, 0.66), "outdoors": (0.88, 0.12, 0.52)}

_BOARDS: tuple[Colour, ...] = ((0.93, 0.92, 0.89), (0.89, 0.86, 0.79), (0.86, 0.88, 0.89), (0.90, 0.83, 0.72))
_GREENS: tuple[Colour, ...] = (
    (0.22, 0.36, 0.14),
    (0.34, 0.47, 0.18),
    (0.16, 0.29, 0.15),
    (0.45, 0.54, 0.26),
    (0.29, 0.40, 0.26),
)
_EARTHS: tuple[Colour, ...] = ((0.42, 0.33, 0.22), (0.52, 0.45, 0.32), (0.30, 0.25, 0.18))
_PERCHES: tuple[Colour, ...] = ((0.93, 0.90, 0.94), (0.95, 0.80, 0.30), (0.74, 0.66, 0.86), (0.92, 0.72, 0.62))
_PLACES = (
    "Alder Ford",
    "Cold Spring",
    "Long Meadow",
    "Mill Heath",
    "Stone Pass",
    "West Fen",
    "Fox Hollow",
    "High Dunes",
)
_PEOPLE = ("A. Field", "R. Moss", "T. Brook", "I. Thorn", "E. Vale", "S. Hill")


@dataclass(frozen=True)
class Spot:
    """Where an animal will be: centre in pixels and pixels per forewing length."""

    centre: tuple[float, float]
    unit: float


def paint_scene(
    scene: str, rng: np.random.Generator, size: tuple[int, int], spots: Sequence[Spot], accent: Colour
) -> np.ndarray:
    """Paint a background, float32 (height, width, 3) in 0..1; the accent changes colours only, no random number."""
    return _pinned(rng, size, accent) if scene == "pinned" else _outdoors(rng, size, spots, accent)


def paint_pin(rng: np.random.Generator, size: tuple[int, int], spots: Sequence[Spot]) -> np.ndarray:
    """Pin heads on the thorax of pinned animals: rgba (height, width, 4)."""
    head: Colour = ((0.12, 0.12, 0.13), (0.80, 0.80, 0.82), (0.85, 0.75, 0.45))[rng.integers(3)]
    inks = []
    for spot in spots:
        centre, radius = np.array(spot.centre) + rng.normal(0, 0.006, 2) * spot.unit, 0.019 * spot.unit
        inks += [
            Ink(_disc(centre + 0.6 * radius, 1.15 * radius), face=(0, 0, 0), alpha=0.35),
            Ink(_disc(centre, radius), face=head),
            Ink(_disc(centre - 0.35 * radius, 0.3 * radius), face=(1, 1, 1), alpha=0.85),
        ]
    return draw(inks, *size)


def _disc(centre: np.ndarray, radius: float) -> Path:
    turn = np.arange(12) / 12 * 2 * np.pi
    return bezier(np.asarray(centre) + radius * np.stack([np.cos(turn), np.sin(turn)], 1))


# --- pinned -------------------------------------------------------------------------------------------------


def _pinned(rng: np.random.Generator, size: tuple[int, int], accent: Colour) -> np.ndarray:
    width, height = size
    unit = max(size) / 512
    board = vary(_BOARDS[rng.integers(len(_BOARDS))], rng, 0.02)
    picture = np.ones((height, width, 3), np.float32) * np.float32(board)
    texture = 0.020 * bumpy(rng, height, width, 120 * unit) + 0.012 * bumpy(rng, height, width, 9 * unit)
    texture += 0.010 * bumpy(rng, height, width, 2.2 * unit)
    picture += texture[..., None]
    picture = over(picture, draw(_pinholes(rng, size, unit), width, height))
    left = bool(rng.random() < 0.5)
    picture = _with_label(rng, picture, unit, accent, left=left)
    picture = _with_scale_bar(picture, unit, rng, left=not left)
    if rng.random() < 0.35:
        picture = over(picture, draw(_colour_card(rng, size, unit), width, height))
    return np.clip(picture, 0, 1)


def _pinholes(rng: np.random.Generator, size: tuple[int, int], unit: float) -> list[Ink]:
    inks = []
    for _ in range(rng.integers(2, 9)):
        at = rng.uniform(0, 1, 2) * size
        inks += [Ink(_disc(at + 0.5 * unit, 1.5 * unit), face=(1, 1, 1), alpha=0.5)]
        inks += [Ink(_disc(at, 1.2 * unit), face=(0.3, 0.26, 0.22), alpha=0.7)]
    return inks


def _colour_card(rng: np.random.Generator, size: tuple[int, int], unit: float) -> list[Ink]:
    """Strip of grey and colour patches along the upper edge, as museums lay beside specimens."""
    patches: list[Colour] = [(g, g, g) for g in (0.12, 0.30, 0.48, 0.66, 0.84)]
    patches += [(0.70, 0.22, 0.20), (0.25, 0.52, 0.28), (0.20, 0.32, 0.62), (0.88, 0.76, 0.20)]
    step = 17 * unit
    x0, y0 = rng.uniform(8, 20) * unit, rng.uniform(7, 12) * unit
    if rng.random() < 0.5:
        x0 = size[0] - x0 - step * len(patches)
    inks = [
        Ink(
            _box(x0 - 3 * unit, y0 - 3 * unit, step * len(patches) + 6 * unit, step + 6 * unit), face=(0.96, 0.96, 0.96)
        )
    ]
    for number, colour in enumerate(patches):
        inks.append(Ink(_box(x0 + number * step + unit, y0 + unit, step - 2 * unit, step - 2 * unit), face=colour))
    return inks


def _box(x: float, y: float, width: float, height: float) -> Path:
    return Path([(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)], closed=True)


def _with_label(
    rng: np.random.Generator, picture: np.ndarray, unit: float, accent: Colour, *, left: bool
) -> np.ndarray:
    """Lay a printed label into a lower corner."""
    height, width = picture.shape[:2]
    lines = [
        f"{_PLACES[rng.integers(len(_PLACES))]}, {rng.integers(40, 1900)} m",
        f"{rng.integers(1, 29)}.{('v', 'vi', 'vii', 'viii')[rng.integers(4)]}.{rng.integers(1961, 2024)}",
        f"leg. {_PEOPLE[rng.integers(len(_PEOPLE))]}",
    ]
    fine = 3
    font = ImageFont.load_default(12 * unit * fine)
    wide = int(max(font.getlength(line) for line in lines) + 16 * unit * fine)
    tall = int(50 * unit * fine)
    tile = Image.new("RGB", (wide, tall), _bytes(accent))
    pen = ImageDraw.Draw(tile)
    pen.rectangle((2 * fine, 2 * fine, wide - 2 * fine, tall - 2 * fine), outline=(70, 65, 60), width=max(1, fine // 2))
    for number, line in enumerate(lines):
        pen.text((8 * unit * fine, (4 + 14 * number) * unit * fine), line, font=font, fill=(45, 42, 40))
    turn = float(rng.normal(0, 3.5))
    shape = Image.new("L", tile.size, 255)
    small = tuple(int(s / fine) for s in tile.rotate(turn, expand=True).size)
    label = tile.rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor=_bytes(accent)).resize(
        small, Image.Resampling.BOX
    )
    mask = shape.rotate(turn, Image.Resampling.BICUBIC, expand=True).resize(small, Image.Resampling.BOX)
    x = int(rng.uniform(8, 18) * unit)
    x = x if left else width - x - small[0]
    y = height - small[1] - int(rng.uniform(8, 16) * unit)
    shadow = Image.new("L", (width, height), 0)
    shadow.paste(mask, (x + int(2 * unit), y + int(2.5 * unit)))
    picture = picture * (1 - 0.35 * blur(np.asarray(shadow, np.float32) / 255, 2.2 * unit))[..., None]
    sheet = Image.fromarray(np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8))
    sheet.paste(label, (x, y), mask)
    return np.asarray(sheet, np.float32) / np.float32(255)


def _with_scale_bar(picture: np.ndarray, unit: float, rng: np.random.Generator, *, left: bool) -> np.ndarray:
    """Draw a bar of "10 mm" into the other lower corner."""
    height, width = picture.shape[:2]
    long = 62 * unit
    x = rng.uniform(14, 26) * unit
    x = x if left else width - x - long
    y = height - rng.uniform(14, 24) * unit
    ink: Colour = (0.13, 0.13, 0.13)
    bars = [Ink(_box(x, y, long / 2, 4 * unit), face=ink), Ink(_box(x, y, long, 4 * unit), edge=ink, width=0.9 * unit)]
    picture = over(picture, draw(bars, width, height))
    sheet = Image.fromarray(np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8))
    font = ImageFont.load_default(11 * unit)
    ImageDraw.Draw(sheet).text((x + long / 2, y - 3 * unit), "10 mm", font=font, fill=(33, 33, 33), anchor="ms")
    return np.asarray(sheet, np.float32) / np.float32(255)


def _bytes(colour: Colour) -> tuple[int, int, int]:
    r, g, b = (round(255 * c) for c in colour)
    return r, g, b


# --- outdoors -----------------------------------------------------------------------------------------------


def _outdoors(rng: np.random.Generator, size: tuple[int, int], spots: Sequence[Spot], accent: Colour) -> np.ndarray:
    width, height = size
    unit = max(size) / 512
    picture = _far(rng, size, unit)
    middle = draw(_foliage(rng, size, unit), width // 2, height // 2)
    middle = blur_rgba(middle, 2.6 * unit)
    picture = over(picture, _enlarge(middle, size))
    flowers = blur_rgba(
        draw(_accent_flowers(rng, size, spots, unit, accent), width, height), rng.uniform(0.9, 2.0) * unit
    )
    picture = over(picture, flowers)
    near = [ink for spot in spots for ink in _perch(rng, spot)]
    perch = blur_rgba(draw(near, width, height), 0.5 * unit)
    shade = blur(shifted(perch[..., 3], 0, int(8 * unit)), 9 * unit)
    picture = over(picture * (1 - 0.45 * shade)[..., None], perch)
    dapple = 1 + 0.16 * bumpy(rng, height, width, 110 * unit) + 0.03 * bumpy(rng, height, width, 5 * unit)
    return np.clip(picture * dapple[..., None], 0, 1)


def _far(rng: np.random.Generator, size: tuple[int, int], unit: float) -> np.ndarray:
    """Far, fully blurred ground with bokeh, painted at half size."""
    width, height = size[0] // 2, size[1] // 2
    first, second = vary(_GREENS[rng.integers(5)], rng), vary((*_GREENS, *_EARTHS)[rng.integers(8)], rng)
    slope = rng.uniform(-1, 1)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    ramp = np.clip(ys / height + slope * (xs / width - 0.5) + 0.35 * bumpy(rng, height, width, 90 * unit), 0, 1)[
        ..., None
    ]
    ground = np.float32(first) * (1 - ramp) + np.float32(second) * ramp
    inks = []
    for _ in range(26):
        colour = vary((*_GREENS, *_GREENS, *_EARTHS)[rng.integers(13)], rng, 0.09)
        centre, radius = rng.uniform(-0.1, 1.1, 2) * (width, height), rng.uniform(12, 55) * unit
        stretch = affine((radius, radius * rng.uniform(0.2, 0.7)), rng.uniform(0, np.pi), tuple(centre))
        inks.append(Ink(bezier(move(stretch, blob(rng, 0.15))), face=colour, alpha=0.7))
    ground = over(ground, blur_rgba(draw(inks, width, height), 9 * unit))
    lights = []
    for _ in range(rng.integers(4, 16)):
        centre, radius = rng.uniform(0, 1, 2) * (width, height), rng.uniform(4, 15) * unit
        tone = mix((0.95, 0.97, 0.80), (0.80, 0.90, 0.55), float(rng.random()))
        lights.append(
            Ink(_disc(centre, radius), face=tone, edge=tone, width=1.2 * unit, alpha=float(rng.uniform(0.10, 0.30)))
        )
    ground = over(ground, blur_rgba(draw(lights, width, height), 0.9 * unit))
    return _enlarge(np.clip(ground, 0, 1), size)


def _enlarge(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.fromarray(np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC), np.float32) / np.float32(255)


def _foliage(rng: np.random.Generator, size: tuple[int, int], unit: float) -> list[Ink]:
    """Leaves, stems and small blossoms of the middle distance, in half-size pixels."""
    width, height = size[0] / 2, size[1] / 2
    inks: list[Ink] = []
    for _ in range(rng.integers(4, 9)):
        foot = np.array([rng.uniform(-0.1, 1.1) * width, height * 1.05])
        top = np.array([foot[0] + rng.normal(0, 0.22) * width, rng.uniform(-0.1, 0.6) * height])
        middle = (foot + top) / 2 + rng.normal(0, 0.06, 2) * width
        blade = ribbon(smooth(np.array([foot, middle, top])), np.linspace(rng.uniform(1.5, 4), 0.4, 29) * unit)
        inks.append(Ink(bezier(blade), face=vary(_GREENS[rng.integers(5)], rng, 0.08), alpha=0.85))
    for _ in range(rng.integers(5, 10)):
        at, long = rng.uniform(-0.05, 1.05, 2) * (width, height), rng.uniform(38, 90) * unit
        inks += _leaf(rng, at, rng.uniform(0, 2 * np.pi), long, vary(_GREENS[rng.integers(5)], rng, 0.07))
    for _ in range(rng.integers(0, 5)):
        inks += _flower(
            rng, rng.uniform(0, 1, 2) * (width, height), rng.uniform(5, 11) * unit, _PERCHES[rng.integers(4)]
        )
    return inks


def _leaf(rng: np.random.Generator, foot: np.ndarray, turn: float, long: float, colour: Colour) -> list[Ink]:
    """One leaf from its foot, with a lighter half, midrib and side veins."""
    broad, bow = rng.uniform(0.17, 0.28), rng.normal(0, 0.05)
    s = np.linspace(0, 1, 11)
    half = broad * np.sin(np.pi * s**0.8) ** 0.85
    spine = np.stack([s, bow * np.sin(np.pi * s)], 1)
    frame = affine((long, long), turn, tuple(foot))
    whole = bezier(move(frame, ribbon(spine, half)))
    lit = bezier(move(frame, np.vstack([spine, (spine + np.stack([0 * s, half], 1))[::-1]])))
    rib = mix(colour, (0.78, 0.84, 0.55), 0.45)
    inks = [Ink(whole, face=colour), Ink(lit, face=mix(colour, (0.85, 0.92, 0.55), 0.13), clip=whole)]
    for start in np.linspace(0.08, 0.82, 9):
        a = np.array([start, bow * np.sin(np.pi * start)])
        for side in (-1, 1):
            reach = np.array([0.13, side * broad * 1.02])
            side_vein = bezier(move(frame, np.array([a, a + reach * (0.5, 0.58), a + reach])), closed=False)
            inks.append(Ink(side_vein, edge=rib, width=0.006 * long, alpha=0.55, clip=whole))
    midrib = bezier(move(frame, ribbon(spine, np.linspace(0.011, 0.002, 11))))
    return [*inks, Ink(midrib, face=rib), Ink(whole, edge=mix(colour, (0, 0, 0), 0.35), width=0.006 * long, alpha=0.6)]


def _flower(rng: np.random.Generator, centre: np.ndarray, radius: float, colour: Colour) -> list[Ink]:
    """One composite flower: two whorls of rays around a dotted disc."""
    inks: list[Ink] = []
    n = int(rng.integers(11, 19))
    core: Colour = ((0.85, 0.62, 0.12), (0.45, 0.30, 0.12), (0.72, 0.70, 0.25))[rng.integers(3)]
    s = np.linspace(0, 1, 6)
    for whorl, reach in ((0, 1.0), (1, 0.86)):
        for k in range(n):
            turn = 2 * np.pi * (k + 0.5 * whorl) / n + rng.normal(0, 0.05)
            long, broad = radius * reach * rng.uniform(0.9, 1.08), 2.5 / n * rng.uniform(0.85, 1.1)
            frame = affine((long, long), turn, tuple(centre))
            half = broad * np.interp(s, [0, 0.4, 0.75, 0.95, 1], [0.35, 0.75, 1.0, 0.7, 0.25])
            petal = bezier(move(frame, ribbon(np.stack([0.12 + 0.88 * s, 0 * s], 1), half)))
            tone = mix(colour, (0, 0, 0), float(0.14 * (1 - whorl) + np.clip(rng.normal(0.04, 0.04), 0, 0.15)))
            inks.append(Ink(petal, face=tone))
            inks.append(Ink(petal, edge=mix(tone, (0, 0, 0), 0.3), width=0.012 * radius, alpha=0.5))
            crease = bezier(move(frame, np.array([(0.3, 0.0), (0.6, 0.012), (0.9, 0.0)])), closed=False)
            inks.append(Ink(crease, edge=mix(tone, (0, 0, 0), 0.25), width=0.02 * radius, alpha=0.45))
    inks.append(Ink(_disc(centre + 0.02 * radius, 0.31 * radius), face=mix(core, (0, 0, 0), 0.45)))
    inks.append(Ink(_disc(centre, 0.28 * radius), face=core))
    dots = 26
    for k in range(dots):
        turn, out = k * 2.39996, 0.25 * radius * np.sqrt((k + 0.5) / dots)
        at = centre + out * np.array([np.cos(turn), np.sin(turn)])
        inks.append(Ink(_disc(at, 0.025 * radius), face=mix(core, (1, 0.95, 0.6), float(rng.uniform(0.1, 0.6)))))
    return inks


def _accent_flowers(
    rng: np.random.Generator, size: tuple[int, int], spots: Sequence[Spot], unit: float, accent: Colour
) -> list[Ink]:
    """One to three flowers of the accent colour, away from the animals' middles."""
    inks: list[Ink] = []
    for _ in range(rng.integers(1, 4)):
        places = rng.uniform(0.06, 0.94, (12, 2)) * size
        room = [min(np.linalg.norm(place - spot.centre) / spot.unit for spot in spots) for place in places]
        centre = places[int(np.argmax(np.minimum(room, 0.95) + 0.01 * rng.random(12)))]
        foot = np.array([centre[0] + rng.normal(0, 0.1) * size[0], 1.1 * size[1]])
        stem = ribbon(smooth(np.array([centre, (centre + foot) / 2 + (8 * unit, 0), foot])), 2.2 * unit)
        inks.append(Ink(bezier(stem), face=vary(_GREENS[1], rng, 0.04)))
        inks += _flower(rng, centre, rng.uniform(30, 50) * unit, accent)
    return inks


def _perch(rng: np.random.Generator, spot: Spot) -> list[Ink]:
    """What the animal sits on: a large leaf or a flower head with leaves."""
    centre = np.array(spot.centre)
    if rng.random() < 0.5:
        turn = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(turn), np.sin(turn)])
        inks: list[Ink] = []
        for off, share in ((rng.uniform(0.6, 1.3), 0.85), (0.0, 1.0)):
            lean = turn + (off if rng.random() < 0.5 else -off)
            foot = centre - along * spot.unit * 1.35
            inks += _leaf(rng, foot, lean, 2.7 * spot.unit * share, vary(_GREENS[rng.integers(2)], rng, 0.05))
        return inks
    colour = vary(_PERCHES[rng.integers(4)], rng, 0.02)
    foot = centre + np.array([rng.normal(0, 0.5), 3.2]) * spot.unit
    stem = ribbon(
        smooth(np.array([centre, (centre + foot) / 2 + rng.normal(0, 0.15, 2) * spot.unit, foot])), 0.035 * spot.unit
    )
    inks = [Ink(bezier(stem), face=vary(_GREENS[1], rng, 0.04))]
    for _ in range(2):
        at = centre + (foot - centre) * rng.uniform(0.25, 0.4)
        inks += _leaf(rng, at, rng.uniform(0, np.pi), 1.2 * spot.unit, vary(_GREENS[rng.integers(2)], rng, 0.05))
    return inks + _flower(rng, centre + rng.normal(0, 0.12, 2) * spot.unit, rng.uniform(0.5, 0.78) * spot.unit, colour)
