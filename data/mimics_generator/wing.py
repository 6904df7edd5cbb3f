"""One wing in its pose: brush strokes in wing coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mimics_generator.canvas import Colour, Ink
from mimics_generator.geometry import WingShape, bezier, blob, move, ribbon, segments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.path import Path

#: A value of u, or a function that gives it at values of v.
Along = float | Callable[[np.ndarray], np.ndarray]


@dataclass
class Jitter:
    """Individual variation: mostly shared by the left and right wing, a little of its own."""

    shared: np.random.Generator
    own: np.random.Generator

    def __call__(self, scale: float, size: int | tuple[int, ...] | None = None) -> np.ndarray:
        """Normal random numbers of that scale."""
        return scale * (self.shared.standard_normal(size) + 0.3 * self.own.standard_normal(size))


@dataclass
class Wing:
    """A wing in its pose; `matrix` (3, 3) brings wing space to pixels, `cuts` (n,) shortens the outline where worn."""

    shape: WingShape
    matrix: np.ndarray
    part: str
    side: int
    jitter: Jitter
    cuts: np.ndarray
    inks: list[Ink] = field(default_factory=list)
    under: list[Ink] = field(default_factory=list)
    tails: list[Path] = field(default_factory=list)
    trait: list[Path] = field(default_factory=list)
    trait_outside: list[Path] = field(default_factory=list)

    @cached_property
    def outline(self) -> Path:
        """The worn outline in pixels; everything but tails is clipped to it."""
        return bezier(move(self.matrix, self.shape.points[:-1] * self.cuts[:-1, None]))

    @property
    def unit(self) -> float:
        """Pixels per forewing length."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:2, :2]))))

    def path(self, points: np.ndarray) -> Path:
        """Closed smooth path in pixels through points of wing space."""
        return bezier(move(self.matrix, points))

    # --- strokes --------------------------------------------------------------------------------------------

    def paint(self, path: Path, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a path, confined to the wing."""
        self.inks.append(Ink(path, face=colour, alpha=alpha, clip=self.outline))

    def line(self, path: Path, colour: Colour, width: float, alpha: float = 1.0) -> None:
        """Stroke a path; width in forewing lengths."""
        self.inks.append(Ink(path, edge=colour, width=width * self.unit, alpha=alpha, clip=self.outline))

    def ground(self, colour: Colour) -> None:
        """Colour the whole wing."""
        self.inks.append(Ink(self.outline, face=colour))

    def band_path(self, inner: Along, outer: Along, v: tuple[float, float] = (-0.2, 1.2), rough: float = 0.008) -> Path:
        """Outline of a band between two values (or functions of v) of u."""
        vs = np.linspace(*v, 30)
        lo = (inner(vs) if callable(inner) else np.full(30, inner)) + self._rough(rough)
        hi = (outer(vs) if callable(outer) else np.full(30, outer)) + self._rough(rough)
        return self.path(np.vstack([self.shape.at(lo, vs), self.shape.at(hi, vs)[::-1]]))

    def band(
        self,
        inner: Along,
        outer: Along,
        colour: Colour,
        v: tuple[float, float] = (-0.2, 1.2),
        rough: float = 0.008,
        alpha: float = 1.0,
    ) -> None:
        """Fill the band between two values (or functions of v) of u."""
        self.paint(self.band_path(inner, outer, v, rough), colour, alpha)

    def fade(
        self, inner: float, outer: float, colour: Colour, alpha: float = 0.8, v: tuple[float, float] = (-0.2, 1.2)
    ) -> None:
        """Fill a band whose edge at `outer` is soft (swap the two for a soft inner edge)."""
        steps = 7
        for step in range(1, steps + 1):
            edge = inner + (outer - inner) * step / steps
            lo, hi = sorted((inner, edge)) if inner < outer else (edge, inner)
            self.paint(self.band_path(lo, hi, v, 0.004), colour, 1 - (1 - alpha) ** (1 / steps))

    def spot_path(self, u: float, v: float, radius: float, aspect: float = 1.0, wobble: float = 0.04) -> Path:
        """Outline of a roundish spot; `aspect` above 1 stretches it from the base outwards."""
        turn = float(self.shape.angle(v))
        points = blob(self.jitter.shared, wobble) * (radius * aspect, radius)
        c, s = np.cos(turn), np.sin(turn)
        return self.path(points @ np.array([[c, s], [-s, c]]) + self.shape.at(u, v))

    def spot(
        self, u: float, v: float, radius: float, colour: Colour, aspect: float = 1.0, wobble: float = 0.04
    ) -> None:
        """Fill a roundish spot."""
        self.paint(self.spot_path(u, v, radius, aspect, wobble), colour)

    def spots(
        self, u: float, vs: Iterable[float], radius: float, colour: Colour, aspect: float = 1.0, spread: float = 0.012
    ) -> None:
        """Fill a row of spots, each jittered in place and size."""
        for v in vs:
            du, dv, dr = self.jitter(1.0, 3)
            self.spot(u + spread * du, v + spread * dv / 2, radius * (1 + 0.1 * dr), colour, aspect)

    def lunules(self, u: float, vs: Iterable[float], width: float, height: float, colour: Colour) -> None:
        """Fill a row of crescents that open towards the base."""
        arch = np.array([(-1, -0.05), (-0.6, 0.7), (0, 1), (0.6, 0.7), (1, -0.05), (0.5, 0.12), (0, 0.2), (-0.5, 0.12)])
        for v in vs:
            du, dv, dr = self.jitter(1.0, 3)
            turn = float(self.shape.angle(v)) - np.pi / 2
            c, s = np.cos(turn), np.sin(turn)
            points = arch * (width * (1 + 0.08 * dr), height * (1 + 0.08 * dr))
            centre = self.shape.at(u + 0.006 * du, v + 0.004 * dv)
            self.paint(self.path(points @ np.array([[c, s], [-s, c]]) + centre), colour)

    def eyespot(self, u: float, v: float, radius: float, rings: list[tuple[float, Colour]], gleam: Colour) -> Path:
        """Paint an eyespot, ring by ring from outside in, with a gleam; return its outline."""
        outline = self.spot_path(u, v, radius, wobble=0.015)
        du, dv = self.jitter(0.006, 2)
        for share, colour in rings:
            self.paint(self.spot_path(u + du * (1 - share), v + dv * (1 - share), radius * share, 1, 0.012), colour)
        self.paint(self.spot_path(u + 0.1 * radius, v - 0.25 * radius, radius * 0.15, 1, 0.05), gleam)
        return outline

    def veins(self, colour: Colour, width: float = 0.006, alpha: float = 0.6, cell: float = 0.46) -> None:
        """Stroke the veins: a rounded cell near the base and one vein per margin bay."""
        even = cell * float(self.shape.radius(0.47))

        def start(v: np.ndarray) -> np.ndarray:
            reach = even * (1 - 0.9 * (v - 0.47) ** 2)
            return np.minimum(reach / self.shape.radius(v), 0.62)

        for v in np.arange(1, self.shape.veins) / self.shape.veins:
            root = 0.26 + 0.42 * v
            first = float(start(np.array(root)))
            us = np.array([first, first + 0.35 * (1 - first), first + 0.7 * (1 - first), 1.03])
            self._stroke(self.shape.at(us, np.array([root, 0.55 * v + 0.45 * root, v, v])), colour, width, alpha)
        rim = np.linspace(0.26, 0.68, 9)
        cell_rim = np.vstack([self.shape.at(0.03, 0.26), self.shape.at(start(rim), rim), self.shape.at(0.03, 0.68)])
        self._stroke(cell_rim, colour, width, alpha)

    def _stroke(self, points: np.ndarray, colour: Colour, width: float, alpha: float) -> None:
        self.line(bezier(move(self.matrix, points), closed=False), colour, width, alpha)

    def stripe(
        self, start: tuple[float, float], end: tuple[float, float], half: tuple[float, ...], colour: Colour
    ) -> Path:
        """Fill a straight stripe between two places (u, v), with half widths along it; return its outline."""
        s = np.linspace(0, 1, 13)
        a, b = self.shape.at(*start), self.shape.at(*end)
        bow = self.jitter(0.010, 2) * np.sin(np.pi * s)[:, None]
        spine = a + s[:, None] * (b - a) + bow
        widths = np.interp(s, np.linspace(0, 1, len(half)), half) * (1 + self.jitter(0.05) + self.jitter(0.03, 13))
        path = self.path(ribbon(spine, widths))
        self.paint(path, colour)
        return path

    def dust(self, u: tuple[float, float], v: tuple[float, float], n: int, colour: Colour, alpha: float = 0.5) -> None:
        """Scatter single scales: short strokes along the wing."""
        us = self.jitter.shared.uniform(*u, n)
        vs = self.jitter.shared.uniform(*v, n)
        starts, ends = self.shape.at(us, vs), self.shape.at(us + 0.012, vs)
        self.line(segments(move(self.matrix, starts), move(self.matrix, ends)), colour, 0.007, alpha)

    def rim(self, colour: Colour, width: float = 0.008, alpha: float = 0.9) -> None:
        """Stroke the outline."""
        self.inks.append(Ink(self.outline, edge=colour, width=width * self.unit, alpha=alpha, clip=self.outline))

    def _rough(self, amount: float) -> np.ndarray:
        """Irregularity (30,) of a band's edge."""
        coarse = self.jitter(amount, 10)
        return np.interp(np.linspace(0, 9, 30), np.arange(10), coarse) + self.jitter.own.normal(0, amount / 3, 30)

    @property
    def bays(self) -> np.ndarray:
        """Values of v half way between the veins."""
        return (np.arange(self.shape.veins) + 0.5) / self.shape.veins
