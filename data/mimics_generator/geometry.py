"""Smooth outlines, Bezier paths and wing coordinates (u, v)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from matplotlib.path import Path


def smooth(knots: np.ndarray, steps: int = 14) -> np.ndarray:
    """Points (n, 2) of the open curve through the knots (k, 2) (Catmull-Rom)."""
    knots = np.asarray(knots, float)
    p = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    curve = b + t * (c - a) / 2 + t**2 * (a - 2.5 * b + 2 * c - d / 2) + t**3 * (1.5 * (b - c) + (d - a) / 2)
    return np.vstack([curve.reshape(-1, 2), knots[-1]])


def bezier(points: np.ndarray, *, closed: bool = True) -> Path:
    """Cubic Bezier path through the points (n, 2)."""
    p = np.asarray(points, float)
    if closed:
        before, after, ends = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -1, 0)
        tangent = (after - before) / 6
        controls = np.stack([p + tangent, ends - np.roll(tangent, -1, 0), ends], 1).reshape(-1, 2)
    else:
        tangent = np.gradient(p, axis=0) / 3
        controls = np.stack([p[:-1] + tangent[:-1], p[1:] - tangent[1:], p[1:]], 1).reshape(-1, 2)
    codes = np.full(len(controls) + 1, Path.CURVE4, np.uint8)
    codes[0] = Path.MOVETO
    path = Path(np.vstack([p[:1], controls]), codes)
    return Path(np.vstack([path.vertices, p[:1]]), np.append(codes, Path.CLOSEPOLY)) if closed else path


def segments(starts: np.ndarray, ends: np.ndarray) -> Path:
    """One path of many separate straight strokes, from starts (n, 2) to ends (n, 2)."""
    vertices = np.stack([starts, ends], 1).reshape(-1, 2)
    return Path(vertices, np.tile([Path.MOVETO, Path.LINETO], len(starts)))


def ribbon(points: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    """Outline (2 n, 2) of a stroke along points (n, 2) with the given half width, which may vary along it."""
    along = np.gradient(points, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.maximum(np.linalg.norm(along, axis=1), 1e-9)[:, None]
    side = normal * np.broadcast_to(width, len(points))[:, None]
    return np.vstack([points + side, (points - side)[::-1]])


def blob(rng: np.random.Generator, wobble: float = 0.08, n: int = 12) -> np.ndarray:
    """Points (n, 2) of a roughly round outline of radius 1."""
    angle = np.arange(n) / n * 2 * np.pi
    radius = 1 + wobble * rng.standard_normal(n)
    return np.stack([np.cos(angle) * radius, np.sin(angle) * radius], 1)


def affine(scale: tuple[float, float] = (1, 1), turn: float = 0.0, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Matrix (3, 3) that scales, then turns (radians), then shifts."""
    c, s = np.cos(turn), np.sin(turn)
    return np.array([[c * scale[0], -s * scale[1], shift[0]], [s * scale[0], c * scale[1], shift[1]], [0, 0, 1.0]])


def move(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a matrix (3, 3) to points (..., 2)."""
    return points @ matrix[:2, :2].T + matrix[:2, 2]


@dataclass(frozen=True)
class WingShape:
    """The outline of a right wing; its base is the origin, the forewing is about 1 long, the head is towards +y.

    Patterns are placed in wing coordinates: u runs from 0 at the base to 1 at the margin, v from 0 at the leading
    edge to 1 at the inner edge.
    """

    knots: tuple[tuple[float, float], ...]
    veins: int = 8
    scallop: float = 0.0
    _grid: int = field(default=256, repr=False)

    @cached_property
    def points(self) -> np.ndarray:
        """Outline (n, 2), from the base around the wing and back."""
        return smooth(np.array([(0, 0), *self.knots, (0, 0)])) * self._scalloped[:, None]

    @cached_property
    def v(self) -> np.ndarray:
        """Wing coordinate v (n,) of every outline point."""
        return np.clip((self._first - self._angles) / (self._first - self._last), 0, 1)

    @cached_property
    def _angles(self) -> np.ndarray:
        curve = smooth(np.array([(0, 0), *self.knots, (0, 0)]))
        curve[0], curve[-1] = curve[1], curve[-2]
        return np.minimum.accumulate(np.unwrap(np.arctan2(curve[:, 1], curve[:, 0])))

    @cached_property
    def _limits(self) -> tuple[float, float]:
        """Directions of v = 0 and v = 1: the edges of the outer half of the wing."""
        curve = smooth(np.array([(0, 0), *self.knots, (0, 0)]))
        reach = np.linalg.norm(curve, axis=1)
        outer = np.flatnonzero(reach > 0.5 * reach.max())
        return float(self._angles[outer[0]]), float(self._angles[outer[-1]])

    @property
    def _first(self) -> float:
        return self._limits[0]

    @property
    def _last(self) -> float:
        return self._limits[1]

    @cached_property
    def _scalloped(self) -> np.ndarray:
        inside = np.clip(np.minimum(self.v - 0.12, 0.97 - self.v) / 0.1, 0, 1)
        return 1 + self.scallop * inside * np.cos(2 * np.pi * self.veins * self.v)

    @cached_property
    def _radii(self) -> np.ndarray:
        radius = np.linalg.norm(self.points, axis=1)
        outer = radius > 0.5 * radius.max()
        order = np.argsort(self.v[outer], kind="stable")
        return np.interp(np.linspace(0, 1, self._grid), self.v[outer][order], radius[outer][order])

    def radius(self, v: np.ndarray | float) -> np.ndarray:
        """Distance from base to margin at v."""
        return np.interp(v, np.linspace(0, 1, self._grid), self._radii)

    def angle(self, v: np.ndarray | float) -> np.ndarray:
        """Direction from the base, in radians, at v."""
        return self._first - np.asarray(v) * (self._first - self._last)

    def at(self, u: np.ndarray | float, v: np.ndarray | float) -> np.ndarray:
        """Points (..., 2) at wing coordinates."""
        u, v = np.broadcast_arrays(np.asarray(u, float), np.asarray(v, float))
        reach = (u * self.radius(np.clip(v, 0, 1)))[..., None]
        return reach * np.stack([np.cos(self.angle(v)), np.sin(self.angle(v))], -1)

    def coordinates(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Wing coordinates u, v of points (..., 2)."""
        turn = np.arctan2(points[..., 1], points[..., 0])
        turn = np.where(turn > self._first + 0.6, turn - 2 * np.pi, turn)
        v = np.clip((self._first - turn) / (self._first - self._last), 0, 1)
        return np.hypot(points[..., 0], points[..., 1]) / self.radius(v), v
