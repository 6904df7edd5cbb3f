"""Paint the wing patterns of each genus, with the trait shown or lacking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mimics_generator.canvas import Colour, Ink, mix
from mimics_generator.geometry import WingShape, bezier, move, ribbon, smooth

if TYPE_CHECKING:
    from mimics_generator.wing import Wing

BLACK: Colour = (0.07, 0.05, 0.05)
WHITE: Colour = (0.97, 0.96, 0.92)

Painter = Callable[["Wing", Colour, bool], None]


@dataclass(frozen=True)
class Genus:
    """What a pair shares: wing shapes, ground colours by sex, body colours, and how the wings are painted.

    A painter takes the wing, the individual's ground colour and whether to show the trait. It draws the same random
    numbers either way, and strokes of the trait stay apart from all others: the same individual can be drawn as both
    species.
    """

    forewing: WingShape
    hindwing: WingShape
    ground: dict[str, Colour]
    body: Colour
    hair: Colour
    stripe: Colour
    paint_forewing: Painter
    paint_hindwing: Painter
    size: float = 1.0
    club: Colour = (0.1, 0.07, 0.06)


# --- Velanthis: russet, eyespot on the hindwing -------------------------------------------------------------


def _velanthis_fore(wing: Wing, ground: Colour, _shows: bool) -> None:
    dark, cream = (0.17, 0.09, 0.06), (0.98, 0.86, 0.62)
    wing.ground(ground)
    wing.fade(0.35, 0.9, (0.93, 0.62, 0.24), 0.35, v=(0.3, 1.2))
    wing.fade(0.0, 0.34, mix(ground, dark, 0.75), 0.75)
    for u, inner, v in ((0.36, 0.31, 0.50), (0.53, 0.44, 0.46)):
        wing.stripe((u, 0.0), (inner, v), (0.036, 0.040, 0.036, 0.020), dark)
        wing.stripe((u, 0.0), (inner, v), (0.0, 0.010, 0.019, 0.018, 0.002), mix(dark, (0.45, 0.42, 0.55), 0.5))
    wing.band(lambda v: 0.70 + 0.62 * np.clip(v - 0.08, 0, 1) ** 1.1, 1.05, dark, v=(-0.2, 0.52), rough=0.012)
    wing.band(lambda v: 0.885 + 0.01 * np.cos(2 * np.pi * 8 * v), 1.05, dark, rough=0.005)
    wing.veins(dark, 0.006, 0.55)
    wing.spots(0.745, (0.10, 0.2, 0.3), 0.024, WHITE, 1.5)
    wing.lunules(0.925, wing.bays[1:], 0.034, 0.02, mix(ground, cream, 0.5))
    wing.eyespot(0.73, 0.70, 0.062, [(1, cream), (0.8, BLACK), (0.38, (0.28, 0.34, 0.62))], WHITE)
    wing.rim(dark, 0.012)


def _velanthis_hind(wing: Wing, ground: Colour, shows: bool) -> None:
    dark, cream = (0.17, 0.09, 0.06), (0.98, 0.86, 0.62)
    wing.ground(ground)
    wing.fade(0.35, 0.8, (0.93, 0.62, 0.24), 0.3)
    wing.fade(0.0, 0.5, mix(ground, dark, 0.7), 0.8)
    wing.fade(0.0, 0.95, mix(ground, (0.55, 0.45, 0.35), 0.7), 0.75, v=(0.82, 1.2))
    wing.band(lambda v: 0.875 + 0.012 * np.cos(2 * np.pi * 8 * v), 1.06, dark, rough=0.005)
    wing.veins(dark, 0.006, 0.5, cell=0.42)
    wing.lunules(0.92, wing.bays[:-1], 0.04, 0.024, mix(ground, cream, 0.5))
    wing.spots(0.765, wing.bays[4:-1], 0.017, dark)
    wing.rim(dark, 0.012)
    u, v = 0.63 + wing.jitter(0.012), 0.40 + wing.jitter(0.01)
    radius = 0.135 * (1 + wing.jitter(0.06))
    rings = [
        (1.0, dark),
        (0.87, (0.97, 0.80, 0.40)),
        (0.70, BLACK),
        (0.44, (0.25, 0.30, 0.68)),
        (0.25, (0.45, 0.55, 0.88)),
    ]
    _trait(wing, shows, lambda: wing.eyespot(u, v, radius, rings, WHITE))


def _trait(wing: Wing, shows: bool, paint: Callable[[], object]) -> None:
    """Record a presence trait's outline, the largest path painted, and keep its strokes only where it is shown."""
    before = len(wing.inks)
    paint()
    wing.trait.append(wing.inks[before].path)
    if not shows:
        del wing.inks[before:]


# --- Ruvessa: velvet black, long wings, band across the forewing --------------------------------------------


def _ruvessa_fore(wing: Wing, ground: Colour, shows: bool) -> None:
    wing.ground(ground)
    wing.fade(0.0, 0.5, mix(ground, (0.10, 0.14, 0.32), 0.8), 0.75)
    wing.veins(BLACK, 0.007, 0.8, cell=0.5)
    wing.band(0.10, 0.42, (0.86, 0.55, 0.20), v=(0.60, 0.70), rough=0.006, alpha=0.9)
    wing.spots(0.90, wing.bays[2:-1:1], 0.011, WHITE, 1.3)
    wing.spots(0.86, (0.07, 0.17), 0.02, WHITE, 1.5)
    wing.rim(BLACK, 0.01)
    crimson, yellow = (0.74, 0.09, 0.10), (0.95, 0.85, 0.48)
    slant, width = wing.jitter(0.015), 0.215 * (1 + wing.jitter(0.05))
    path = wing.band_path(
        lambda v: 0.48 + slant + 0.13 * v - 0.010 * np.cos(2 * np.pi * 8 * v),
        lambda v: 0.48 + slant + 0.13 * v + width * np.sin(np.pi * np.clip(v * 0.9 + 0.02, 0, 1)) ** 0.45,
        v=(0.11, 0.93),
        rough=0.008,
    )
    wing.paint(path, crimson if shows else yellow)
    wing.trait.append(path)
    wing.veins(BLACK, 0.006, 0.55, cell=0.5)


def _ruvessa_hind(wing: Wing, ground: Colour, _shows: bool) -> None:
    pale = (0.95, 0.88, 0.62)
    wing.ground(ground)
    wing.fade(0.0, 0.55, mix(ground, (0.10, 0.14, 0.32), 0.8), 0.75)
    wing.fade(0.0, 0.9, (0.36, 0.33, 0.33), 0.7, v=(-0.2, 0.10))
    wing.veins(BLACK, 0.007, 0.8, cell=0.42)
    wing.stripe((0.14, 0.34), (0.80, 0.30), (0.030, 0.052, 0.062, 0.060, 0.018), pale)
    wing.spots(0.885, wing.bays[1:-1], 0.015, pale, 1.5)
    wing.spots(0.17, (0.58, 0.72), 0.024, (0.80, 0.20, 0.12), 1.3)
    wing.rim(BLACK, 0.01)


# --- Ostrelia: cream and black, tailed or round -------------------------------------------------------------


def _ostrelia_fore(wing: Wing, ground: Colour, _shows: bool) -> None:
    wing.ground(ground)
    wing.fade(0.5, 0.1, mix(ground, (0.85, 0.75, 0.35), 0.6), 0.6)
    wing.fade(0.0, 0.2, BLACK, 0.75)
    for u, inner, v, half in ((0.24, 0.24, 1.0, 0.036), (0.40, 0.34, 0.80, 0.036), (0.54, 0.46, 0.60, 0.032)):
        wing.stripe((u, -0.02), (inner, v), (half * 1.2, half, half * 0.75, half * 0.3), BLACK)
    wing.stripe((0.68, -0.02), (0.60, 0.40), (0.032, 0.028, 0.012), BLACK)
    wing.veins(BLACK, 0.009, 0.85)
    wing.band(lambda v: 0.78 + 0.05 * v + 0.01 * np.cos(2 * np.pi * 8 * v), 1.05, BLACK, rough=0.005)
    wing.dust((0.72, 0.8), (0.05, 0.98), 60, BLACK, 0.6)
    wing.spots(0.915, wing.bays[1:], 0.022, ground, 1.05)
    wing.rim(BLACK, 0.012)


def _ostrelia_hind(wing: Wing, ground: Colour, shows: bool) -> None:
    blue, red = (0.32, 0.46, 0.85), (0.88, 0.28, 0.10)
    wing.ground(ground)
    wing.fade(0.1, 0.6, mix(ground, (0.99, 0.96, 0.80), 0.7), 0.5)
    wing.band(0.0, lambda v: 0.30 + 0.62 * v**3, BLACK, v=(0.72, 1.2), rough=0.006, alpha=0.85)
    wing.veins(BLACK, 0.009, 0.85, cell=0.42)
    wing.band(lambda v: 0.66 - 0.03 * v + 0.012 * np.cos(2 * np.pi * 8 * v), 1.08, BLACK, rough=0.005)
    wing.dust((0.6, 0.68), (0.05, 0.9), 60, BLACK, 0.6)
    wing.lunules(0.745, wing.bays[1:-1], 0.032, 0.034, blue)
    wing.lunules(0.895, wing.bays[:-1], 0.05, 0.042, ground)
    wing.spot(0.70, 0.93, 0.052, red, 0.9)
    wing.spot(0.70, 0.94, 0.022, BLACK, 0.9)
    wing.rim(BLACK, 0.014)
    _tail(wing, ground, shows)


def _tail(wing: Wing, ground: Colour, shows: bool) -> None:
    """Hang a tail, painted below the wing, on the margin near the inner corner; the trait reaches into the margin."""
    length, curl = 0.27 * (1 + wing.jitter(0.07)), wing.jitter(0.03)
    v = 0.735 + wing.jitter(0.006)
    root, turn = wing.shape.at(0.93, v), float(wing.shape.angle(v)) + 0.12
    along = np.array([np.cos(turn), np.sin(turn)])
    across = np.array([-along[1], along[0]])
    s = np.linspace(0, 1, 9)
    spine = root + np.outer(s * (length + 0.05), along) + np.outer((0.05 + curl) * s**2 - 0.02 * s, across)
    half = np.interp(s, [0, 0.15, 0.5, 0.82, 0.95, 1], [0.062, 0.030, 0.022, 0.034, 0.026, 0.008])
    path = wing.path(ribbon(spine, half))
    vein = bezier(move(wing.matrix, smooth(spine)), closed=False)
    lobe = wing.path(ribbon(spine[4:-1] + 0.006 * across, half[4:-1] * 0.28))
    wing.trait_outside.append(path)
    if shows:
        wing.tails.append(path)
        wing.under += [
            Ink(path, face=BLACK),
            Ink(vein, edge=(0.2, 0.16, 0.12), width=0.007 * wing.unit, clip=path),
            Ink(lobe, face=ground, alpha=0.9, clip=path),
        ]


# --- Lumisca: blue, solid or hollow forewing spots ----------------------------------------------------------


def _lumisca_fore(wing: Wing, ground: Colour, shows: bool) -> None:
    edge = (0.13, 0.12, 0.20)
    wing.ground(ground)
    wing.fade(0.1, 0.75, mix(ground, (0.62, 0.76, 1.0), 0.7), 0.55)
    wing.fade(0.0, 0.25, mix(ground, edge, 0.45), 0.6)
    wing.veins(edge, 0.006, 0.55)
    wing.fade(1.0, 0.76, edge, 0.85)
    wing.band(0.968, 1.06, WHITE, v=(0.10, 1.2), rough=0.002)
    wing.dust((0.968, 1.0), (0.1, 0.98), 30, edge, 0.5)
    wing.stripe((0.47, 0.34), (0.45, 0.62), (0.012, 0.018, 0.012), edge)
    wing.rim(edge, 0.006, 0.6)
    ink, pale = (0.08, 0.07, 0.12), (0.94, 0.95, 1.0)
    wave = (0.69, 0.685, 0.665, 0.66, 0.675, 0.68)
    for u, v in zip(wave, np.linspace(0.16, 0.88, 6), strict=True):
        du, dv, dr = wing.jitter(1.0, 3)
        place = (u + 0.010 * du, v + 0.007 * dv, 0.034 * (1 + 0.08 * dr))
        path = wing.spot_path(*place, 1.15)
        wing.paint(path, ink)
        wing.trait.append(path)
        inner = wing.spot_path(place[0], place[1], place[2] * 0.62, 1.15)
        if not shows:
            wing.paint(inner, pale)


def _lumisca_hind(wing: Wing, ground: Colour, _shows: bool) -> None:
    edge, orange = (0.13, 0.12, 0.20), (0.97, 0.55, 0.14)
    wing.ground(ground)
    wing.fade(0.1, 0.7, mix(ground, (0.62, 0.76, 1.0), 0.7), 0.5)
    wing.fade(0.0, 0.3, mix(ground, edge, 0.45), 0.6)
    wing.fade(0.0, 0.95, mix(ground, (0.75, 0.76, 0.80), 0.8), 0.6, v=(0.84, 1.2))
    wing.veins(edge, 0.006, 0.55, cell=0.42)
    wing.fade(1.0, 0.8, edge, 0.5)
    wing.lunules(0.80, wing.bays[2:-1], 0.052, 0.05, orange)
    wing.spots(0.885, wing.bays[1:-1], 0.027, edge)
    wing.band(0.968, 1.06, WHITE, v=(0.10, 1.2), rough=0.002)
    wing.dust((0.968, 1.0), (0.1, 0.9), 30, edge, 0.5)
    wing.rim(edge, 0.006, 0.6)


# --- Nervada: chocolate with a white band, orange corner spot or none ---------------------------------------


def _white_band(
    wing: Wing, inner: Callable[[float], float], width: Callable[[float], float], first: int, last: int
) -> None:
    """Lay a white band as one block per bay, so that the dark veins part it."""
    half = 0.45 / wing.shape.veins
    for v in wing.bays[first:last]:
        lo, w = inner(v) + wing.jitter(0.006), width(v) * (1 + wing.jitter(0.06))
        wing.band(lo, lo + w, WHITE, v=(v - half, v + half), rough=0.003)


def _nervada_fore(wing: Wing, ground: Colour, _shows: bool) -> None:
    rust, slate = (0.50, 0.22, 0.10), (0.45, 0.50, 0.58)
    wing.ground(ground)
    wing.fade(0.55, 0.95, mix(ground, BLACK, 0.6), 0.7)
    wing.fade(0.0, 0.4, mix(ground, rust, 0.6), 0.6)
    wing.band(0.16, 0.40, rust, v=(0.36, 0.52), rough=0.008, alpha=0.75)
    wing.veins(mix(ground, BLACK, 0.7), 0.008, 0.8)
    _white_band(wing, lambda v: 0.66 - 0.34 * (v - 0.3), lambda v: 0.10 + 0.09 * v, 3, 8)
    wing.spots(0.60, (0.13, 0.24), 0.028, WHITE, 1.5)
    wing.spots(0.82, (0.08, 0.16), 0.018, WHITE, 1.2)
    wing.lunules(0.90, wing.bays[1:], 0.036, 0.016, slate)
    wing.rim(BLACK, 0.012)


def _nervada_hind(wing: Wing, ground: Colour, shows: bool) -> None:
    rust, slate = (0.50, 0.22, 0.10), (0.45, 0.50, 0.58)
    wing.ground(ground)
    wing.fade(0.55, 0.95, mix(ground, BLACK, 0.6), 0.7)
    wing.fade(0.0, 0.4, mix(ground, rust, 0.6), 0.6)
    wing.fade(0.0, 0.9, (0.45, 0.40, 0.38), 0.7, v=(0.88, 1.2))
    wing.veins(mix(ground, BLACK, 0.7), 0.008, 0.8, cell=0.4)
    _white_band(wing, lambda v: 0.43 + 0.17 * v, lambda v: 0.20 - 0.14 * v, 0, 7)
    wing.lunules(0.90, wing.bays[:-1], 0.046, 0.018, slate)
    wing.spots(0.78, wing.bays[1:-2], 0.018, BLACK)
    wing.rim(BLACK, 0.012)
    u, v = 0.80 + wing.jitter(0.01), 0.83 + wing.jitter(0.008)
    _trait(wing, shows, lambda: wing.spot(u, v, 0.056, (0.96, 0.47, 0.10), 0.9))


GENERA: dict[str, Genus] = {
    "Velanthis": Genus(
        WingShape(
            (
                (0.22, 0.20),
                (0.52, 0.45),
                (0.76, 0.585),
                (0.885, 0.575),
                (0.895, 0.50),
                (0.80, 0.36),
                (0.765, 0.20),
                (0.745, 0.02),
                (0.66, -0.045),
                (0.36, -0.06),
                (0.12, -0.04),
            ),
            scallop=0.008,
        ),
        WingShape(
            (
                (0.10, 0.09),
                (0.24, 0.115),
                (0.46, 0.09),
                (0.66, -0.04),
                (0.715, -0.24),
                (0.645, -0.46),
                (0.49, -0.64),
                (0.31, -0.72),
                (0.17, -0.69),
                (0.075, -0.52),
                (0.02, -0.24),
            ),
            scallop=0.02,
        ),
        {"female": (0.80, 0.46, 0.20), "male": (0.75, 0.34, 0.11)},
        (0.30, 0.19, 0.12),
        (0.52, 0.33, 0.18),
        (0.20, 0.12, 0.08),
        _velanthis_fore,
        _velanthis_hind,
    ),
    "Ruvessa": Genus(
        WingShape(
            (
                (0.25, 0.17),
                (0.60, 0.36),
                (0.88, 0.475),
                (1.03, 0.47),
                (1.06, 0.40),
                (0.97, 0.25),
                (0.82, 0.09),
                (0.68, -0.035),
                (0.55, -0.085),
                (0.30, -0.075),
                (0.11, -0.045),
            ),
        ),
        WingShape(
            (
                (0.10, 0.09),
                (0.24, 0.115),
                (0.48, 0.06),
                (0.66, -0.05),
                (0.70, -0.20),
                (0.62, -0.37),
                (0.46, -0.49),
                (0.28, -0.53),
                (0.14, -0.47),
                (0.05, -0.28),
            ),
        ),
        {"female": (0.20, 0.14, 0.11), "male": (0.12, 0.08, 0.08)},
        (0.12, 0.09, 0.09),
        (0.30, 0.27, 0.25),
        (0.86, 0.78, 0.50),
        _ruvessa_fore,
        _ruvessa_hind,
        size=0.94,
    ),
    "Ostrelia": Genus(
        WingShape(
            (
                (0.20, 0.22),
                (0.48, 0.48),
                (0.74, 0.66),
                (0.87, 0.69),
                (0.90, 0.63),
                (0.835, 0.44),
                (0.755, 0.22),
                (0.685, 0.0),
                (0.60, -0.075),
                (0.30, -0.075),
                (0.11, -0.045),
            ),
        ),
        WingShape(
            (
                (0.10, 0.09),
                (0.24, 0.115),
                (0.40, 0.09),
                (0.58, -0.04),
                (0.635, -0.24),
                (0.61, -0.46),
                (0.52, -0.66),
                (0.38, -0.79),
                (0.22, -0.80),
                (0.11, -0.66),
                (0.045, -0.35),
            ),
            scallop=0.028,
        ),
        {"female": (0.95, 0.86, 0.58), "male": (0.97, 0.88, 0.45)},
        (0.16, 0.13, 0.10),
        (0.45, 0.40, 0.25),
        (0.88, 0.78, 0.42),
        _ostrelia_fore,
        _ostrelia_hind,
    ),
    "Lumisca": Genus(
        WingShape(
            (
                (0.22, 0.22),
                (0.48, 0.45),
                (0.70, 0.575),
                (0.815, 0.56),
                (0.845, 0.45),
                (0.825, 0.27),
                (0.775, 0.09),
                (0.69, -0.035),
                (0.56, -0.085),
                (0.30, -0.075),
                (0.11, -0.045),
            ),
        ),
        WingShape(
            (
                (0.10, 0.09),
                (0.24, 0.115),
                (0.44, 0.09),
                (0.62, -0.03),
                (0.675, -0.21),
                (0.63, -0.41),
                (0.49, -0.57),
                (0.31, -0.645),
                (0.155, -0.60),
                (0.055, -0.40),
            ),
        ),
        {"female": (0.44, 0.42, 0.62), "male": (0.30, 0.43, 0.86)},
        (0.20, 0.20, 0.26),
        (0.62, 0.66, 0.80),
        (0.12, 0.12, 0.18),
        _lumisca_fore,
        _lumisca_hind,
        size=0.92,
    ),
    "Nervada": Genus(
        WingShape(
            (
                (0.24, 0.19),
                (0.54, 0.42),
                (0.80, 0.565),
                (0.92, 0.56),
                (0.945, 0.47),
                (0.885, 0.30),
                (0.81, 0.12),
                (0.735, -0.02),
                (0.62, -0.08),
                (0.32, -0.075),
                (0.11, -0.045),
            ),
            scallop=0.006,
        ),
        WingShape(
            (
                (0.10, 0.09),
                (0.24, 0.115),
                (0.46, 0.08),
                (0.66, -0.06),
                (0.72, -0.26),
                (0.67, -0.47),
                (0.53, -0.64),
                (0.34, -0.72),
                (0.18, -0.68),
                (0.07, -0.48),
                (0.02, -0.22),
            ),
            scallop=0.016,
        ),
        {"female": (0.33, 0.23, 0.16), "male": (0.23, 0.14, 0.10)},
        (0.17, 0.12, 0.10),
        (0.36, 0.26, 0.20),
        (0.55, 0.50, 0.44),
        _nervada_fore,
        _nervada_hind,
    ),
}
