"""Draw one butterfly, an individual of a species, as pixels and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finerkit.datasets._masks import PART_LABELS
from mimics_generator.canvas import Ink, blur, bumpy, draw, fill, mix, shifted, vary
from mimics_generator.geometry import affine, bezier, blob, move, ribbon, segments, smooth
from mimics_generator.patterns import GENERA, Genus
from mimics_generator.wing import Jitter, Wing

if TYPE_CHECKING:
    from matplotlib.path import Path

    from mimics_generator.geometry import WingShape

#: What the numbers in an index picture mean, as parts.
_ORDER = ("background", "hindwings", "hindwings", "forewings", "forewings", "antennae", "body")
_BASES = {"forewings": (0.035, 0.06), "hindwings": (0.03, -0.015)}


@dataclass(frozen=True)
class Individual:
    """Everything about one animal but its species; angles in radians, `unit` is pixels per forewing length."""

    sex: str
    centre: tuple[float, float]
    unit: float
    heading: float
    fold: tuple[float, float]
    raise_fore: tuple[float, float]
    raise_hind: tuple[float, float]
    wear: float
    fading: float
    antennae: tuple[float, float]
    bend: float
    seed: int


@dataclass
class Drawn:
    """One drawn animal: rgba (height, width, 4) and masks (height, width)."""

    rgba: np.ndarray
    parts: np.ndarray
    trait: np.ndarray


def sample_individual(
    rng: np.random.Generator, sex: str, scene: str, centre: tuple[float, float], unit: float
) -> Individual:
    """Draw pose, wear and pattern seed; pinned animals are spread flat and face up, others rest as they like."""
    pinned = scene == "pinned"
    fold = rng.uniform(0, 12, 2) if pinned else rng.uniform(8, 44) + rng.uniform(-7, 7, 2)
    heading = rng.normal(0, 7) if pinned else rng.uniform(-180, 180)
    fore = rng.normal(2, 3) if pinned else rng.uniform(-13, 5)
    hind = 0.5 * fore + rng.normal(0, 2)
    aside = rng.normal(0, 1.5, 4)
    wear = float(rng.beta(1.3, 3.0))
    rad = np.deg2rad
    return Individual(
        sex=sex,
        centre=centre,
        unit=unit * (1.04 if sex == "female" else 0.96),
        heading=float(rad(heading)),
        fold=(float(rad(max(fold[0], 0))), float(rad(max(fold[1], 0)))),
        raise_fore=(float(rad(fore + aside[0])), float(rad(fore + aside[1]))),
        raise_hind=(float(rad(hind + aside[2])), float(rad(hind + aside[3]))),
        wear=wear,
        fading=float(wear * rng.uniform(0.3, 1.0)),
        antennae=(float(rad(rng.normal(27, 6))), float(rad(rng.normal(27, 6)))),
        bend=float(rng.normal(0, 0.025)),
        seed=int(rng.integers(2**31)),
    )


def draw_butterfly(who: Individual, genus_name: str, shows: bool, width: int, height: int) -> Drawn:
    """Draw one individual as the species that shows its genus' trait, or as the one that lacks it."""
    genus = GENERA[genus_name]
    frame = animal_matrix(who, genus)
    wings = _wings(who, genus, frame, shows)
    body, body_paths = _body(who, genus, frame)
    feelers, feeler_paths = _antennae(who, genus, frame)
    inks = [ink for wing in wings for ink in wing.under] + [ink for wing in wings for ink in wing.inks]
    rgba = draw([*inks, *feelers, *body], width, height)
    shapes = [fill([wing.outline, *wing.tails], width, height) for wing in wings]
    index = np.zeros((height, width), np.uint8)
    for number, shape in enumerate(shapes, 1):
        index[shape] = number
    index[fill(feeler_paths, width, height)] = 5
    index[fill(body_paths, width, height)] = 6
    parts = np.array([PART_LABELS[part] for part in _ORDER], np.uint8)[index]
    light = _light(who, wings, frame, index, shapes)
    rgba[..., :3] = np.clip(_fade(who, rgba[..., :3], index, width, height) * light[..., None], 0, 1)
    return Drawn(rgba, parts, _trait_mask(wings, index, width, height))


def animal_matrix(who: Individual, genus: Genus) -> np.ndarray:
    """Matrix (3, 3) from animal space (head towards +y) to pixels (y down)."""
    unit = who.unit * genus.size
    return affine(shift=who.centre) @ affine(turn=who.heading) @ affine((unit, -unit))


# --- wings --------------------------------------------------------------------------------------------------


def _wings(who: Individual, genus: Genus, frame: np.ndarray, shows: bool) -> list[Wing]:
    """Left and right hindwing, then left and right forewing, painted."""
    ground = vary(genus.ground[who.sex], np.random.default_rng([who.seed, 1]), 0.022)
    wings = []
    for number, part in enumerate(("hindwings", "forewings")):
        shape = genus.hindwing if part == "hindwings" else genus.forewing
        painter = genus.paint_hindwing if part == "hindwings" else genus.paint_forewing
        for side in (0, 1):
            own = np.random.default_rng([who.seed, 2, number, side])
            wing = Wing(
                shape,
                _wing_matrix(who, frame, part, side),
                part,
                side,
                Jitter(np.random.default_rng([who.seed, 3, number]), own),
                _cuts(own.spawn(1)[0], shape, who.wear),
            )
            painter(wing, ground, shows)
            wings.append(wing)
    return wings


def _wing_matrix(who: Individual, frame: np.ndarray, part: str, side: int) -> np.ndarray:
    lift = (who.raise_fore if part == "forewings" else who.raise_hind)[side]
    mirror = affine((1 if side else -1, 1))
    fold = affine((float(np.cos(who.fold[side])), 1))
    return frame @ mirror @ affine(shift=_BASES[part]) @ fold @ affine(turn=lift)


def _cuts(rng: np.random.Generator, shape: WingShape, wear: float) -> np.ndarray:
    """Factors (n,) that shorten the outline: chips and tears of the margin."""
    v = shape.v
    cuts = 1 + rng.normal(0, 0.002, len(v))
    for _ in range(rng.poisson(3.2 * wear)):
        at, half, depth = rng.uniform(0.2, 0.93), rng.uniform(0.014, 0.04), rng.uniform(0.02, 0.09)
        bite = np.clip(1 - np.abs(v - at) / half, 0, 1) ** 0.6
        cuts -= depth * bite * rng.uniform(0.7, 1.1, len(v))
    return np.where((v < 0.05) | (v > 0.97), 1.0, np.clip(cuts, 0.75, 1.01))


def _trait_mask(wings: list[Wing], index: np.ndarray, width: int, height: int) -> np.ndarray:
    """Where the trait is, or would be: bool (height, width), what other parts hide left out."""
    mask = np.zeros((height, width), bool)
    for number, wing in enumerate(wings, 1):
        if wing.trait:
            mask |= fill(wing.trait, width, height) & (index == number)
        if wing.trait_outside:
            mask |= fill(wing.trait_outside, width, height) & ((index == number) | (index == 0))
    return mask


# --- light and age ------------------------------------------------------------------------------------------


def _light(
    who: Individual, wings: list[Wing], frame: np.ndarray, index: np.ndarray, shapes: list[np.ndarray]
) -> np.ndarray:
    """Brightness factor (height, width): scales, vein relief, wing tilt, the body's roundness, shadow between wings."""
    height, width = index.shape
    light = np.ones((height, width), np.float32)
    rng = np.random.default_rng([who.seed, 4])
    grain = rng.standard_normal((256, 256)).astype(np.float32)
    long = (grain + np.roll(grain, 1, 0) + np.roll(grain, 2, 0) + np.roll(grain, 3, 0)) / 2
    for number, wing in enumerate(wings, 1):
        where = np.nonzero(index == number)
        if len(where[0]):
            light[where] = _wing_light(who, wing, np.stack([where[1] + 0.5, where[0] + 0.5], -1), long)
    size = who.unit
    for fore in (2, 3):
        soft = blur(shifted(shapes[fore].astype(np.float32), 0, 0), 0.035 * size)
        beneath = (index == 1) | (index == 2)
        light[beneath] *= 1 - 0.55 * soft[beneath]
    where = np.nonzero(index == 6)
    if len(where[0]):
        local = move(np.linalg.inv(frame), np.stack([where[1] + 0.5, where[0] + 0.5], -1))
        around = np.clip((local[:, 0] + 0.02) / 0.085, -1, 1)
        light[where] = 1.18 - 0.55 * around**2 + 0.06 * rng.standard_normal(len(local))
    body_shade = blur((index == 6).astype(np.float32), 0.04 * size)
    on_wings = (index >= 1) & (index <= 4)
    light[on_wings] *= 1 - 0.5 * body_shade[on_wings]
    return light


def _wing_light(who: Individual, wing: Wing, pixels: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """Brightness (n,) of a wing's pixels (n, 2)."""
    u, v = wing.shape.coordinates(move(np.linalg.inv(wing.matrix), pixels))
    n = wing.shape.veins
    scales = grain[(u * 95).astype(int) % 256, (v * 85 + 97 * wing.side).astype(int) % 256]
    rise = np.clip((u - 0.3) / 0.3, 0, 1)
    relief = 0.05 * rise * np.sin(2 * np.pi * n * v + 0.6) + 0.05 * rise * np.cos(2 * np.pi * n * v)
    sun = np.array([-0.5, -0.85])
    outward = wing.matrix[:2, 0] / np.linalg.norm(wing.matrix[:2, 0])
    tilt = 0.30 * np.sin(who.fold[wing.side]) * float(-outward @ sun)
    curl = 0.10 * np.sin(np.pi * np.clip(u, 0, 1)) - 0.04
    return (1 + tilt + relief + curl + 0.045 * scales - 0.22 * np.exp(-u / 0.12)).astype(np.float32)


def _fade(who: Individual, colour: np.ndarray, index: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pale patches where a worn wing has lost its scales."""
    rng = np.random.default_rng([who.seed, 5])
    patches = bumpy(rng, height, width, 0.22 * who.unit) + 0.6 * bumpy(rng, height, width, 0.05 * who.unit)
    share = 0.5 * who.fading * np.clip(patches + 0.15, 0, 1) + 0.10 * who.fading
    share = np.where((index >= 1) & (index <= 4), share, 0)[..., None]
    bare = 0.55 * colour + 0.45 * np.array([0.62, 0.55, 0.46], np.float32)
    return colour + (bare - colour) * share


# --- body ---------------------------------------------------------------------------------------------------


def _body(who: Individual, genus: Genus, frame: np.ndarray) -> tuple[list[Ink], list[Path]]:
    rng = np.random.default_rng([who.seed, 6])
    unit = who.unit * genus.size
    plump = 1.12 if who.sex == "female" else 0.95
    s = np.linspace(0, 1, 9)
    spine = np.stack([who.bend * s**2, -0.06 - 0.50 * s], 1)
    half = plump * np.interp(s, [0, 0.25, 0.6, 0.85, 1], [0.048, 0.058, 0.050, 0.034, 0.010])
    abdomen = bezier(move(frame, ribbon(spine, half)))
    thorax = bezier(move(frame, blob(rng, 0.02) * (0.074 * plump**0.5, 0.15) + np.array([0, 0.045])))
    head = bezier(move(frame, blob(rng, 0.02) * (0.055, 0.05) + (0, 0.205)))
    dark = mix(genus.body, (0, 0, 0), 0.5)
    inks = [Ink(abdomen, face=genus.body)]
    for step in np.linspace(0.14, 0.88, 7):
        centre = np.array([np.interp(step, s, spine[:, 0]), np.interp(step, s, spine[:, 1])])
        reach = np.interp(step, s, half)
        arc = centre + np.array([(-reach, 0.006), (0, -0.010), (reach, 0.006)])
        line = bezier(move(frame, arc), closed=False)
        inks += [Ink(line, edge=genus.stripe, width=0.012 * unit, alpha=0.75, clip=abdomen)]
        lower = bezier(move(frame, arc - np.array([0, 0.014])), closed=False)
        inks += [Ink(lower, edge=dark, width=0.012 * unit, alpha=0.6, clip=abdomen)]
    inks += [
        Ink(abdomen, edge=dark, width=0.008 * unit, alpha=0.7),
        Ink(thorax, face=genus.body),
        Ink(head, face=genus.body),
    ]
    inks += _hairs(rng, genus, frame, unit)
    for side in (-1, 1):
        eye = bezier(move(frame, blob(rng, 0.02, 8) * (0.025, 0.030) + (0.040 * side, 0.222)))
        gleam = bezier(move(frame, blob(rng, 0.02, 8) * 0.008 + (0.040 * side - 0.006, 0.232)))
        inks += [Ink(eye, face=(0.10, 0.07, 0.06)), Ink(gleam, face=(0.85, 0.82, 0.78), alpha=0.8)]
    return inks, [abdomen, thorax, head]


def _hairs(rng: np.random.Generator, genus: Genus, frame: np.ndarray, unit: float) -> list[Ink]:
    """Fur of thorax and head: short strokes in three tones."""
    inks = []
    for tone, n in ((mix(genus.hair, (0, 0, 0), 0.45), 90), (genus.hair, 110), (mix(genus.hair, (1, 1, 1), 0.3), 45)):
        turn, radius = rng.uniform(0, 2 * np.pi, n), np.sqrt(rng.uniform(0, 1, n))
        start = np.stack([0.062 * radius * np.cos(turn), 0.06 + 0.155 * radius * np.sin(turn)], 1)
        lean = np.stack([0.35 * start[:, 0], np.full(n, -0.045)], 1) + rng.normal(0, 0.008, (n, 2))
        inks.append(
            Ink(segments(move(frame, start), move(frame, start + lean)), edge=tone, width=0.007 * unit, alpha=0.8)
        )
    return inks


def _antennae(who: Individual, genus: Genus, frame: np.ndarray) -> tuple[list[Ink], list[Path]]:
    inks, paths = [], []
    for side, angle in zip((-1, 1), who.antennae, strict=True):
        root = np.array([0.02 * side, 0.24])
        reach = 0.46 * np.array([np.sin(angle) * side, np.cos(angle)])
        line = smooth(np.array([root, root + 0.5 * reach - (0.03 * side, 0.0), root + reach]), 8)
        half = np.interp(np.linspace(0, 1, len(line)), [0, 0.82, 0.93, 1], [0.0085, 0.0065, 0.017, 0.008])
        path = bezier(move(frame, ribbon(line, half)))
        inks.append(Ink(path, face=genus.club))
        paths.append(path)
    return inks, paths
