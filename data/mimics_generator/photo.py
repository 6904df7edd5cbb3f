"""Plan a photo from three integers, and render it with its masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mimics_generator.butterfly import Individual, draw_butterfly, sample_individual
from mimics_generator.canvas import blur, bumpy, over, shifted
from mimics_generator.pairs import PAIRS, SPECIES
from mimics_generator.scene import ACCENTS, SHORTCUT_ACCENT, Spot, paint_pin, paint_scene

if TYPE_CHECKING:
    from mimics_generator.canvas import Colour

_ASPECTS = ((4, 3), (3, 2), (1, 1), (3, 4), (2, 3))

#: Scene and sex of photo i are entry i % 4, so that every species has the same mix and two photos show both of each.
_CYCLE = (("pinned", "female"), ("outdoors", "male"), ("outdoors", "female"), ("pinned", "male"))

#: With shortcut=True, how often the species that shows its trait gets the planted accent, and its look-alike.
SHORTCUT_RATES = (0.9, 0.05)


@dataclass(frozen=True)
class Plan:
    """Everything about a photo but the species: the same plan can be rendered as either species of any pair."""

    size: tuple[int, int]
    scene: str
    sex: str
    animals: tuple[Individual, ...]
    partial: bool
    accent: Colour
    shortcut_draw: float
    scene_seed: int
    finish_seed: int


@dataclass(frozen=True)
class Rendered:
    """One photo: picture uint8 (height, width, 3); masks (height, width): animal bool, parts uint8, trait bool."""

    picture: np.ndarray
    animal: np.ndarray
    parts: np.ndarray
    trait: np.ndarray


def plan_photo(seed: int, species_index: int, i: int, image_size: int | tuple[int, int]) -> Plan:
    """Draw the plan of photo `i` of a species; every random number comes from these three integers.

    Parameters
    ----------
    seed, species_index, i
        Seed of the data set, place of the species in `SPECIES`, number of the photo.
    image_size
        Longest side in pixels (the aspect is drawn), or (width, height).

    Returns
    -------
    Plan
    """
    rng = np.random.default_rng([seed, species_index, i])
    scene, sex = _CYCLE[i % 4]
    aspect = np.array(_ASPECTS[rng.integers(len(_ASPECTS))])
    kind = rng.random()
    two, partial = bool(kind < 0.10), bool(0.10 <= kind < 0.20)
    width, height = (
        (round(float(image_size) * s / aspect.max()) for s in aspect) if isinstance(image_size, int) else image_size
    )
    spots = _layout(rng, (width, height), scene, two=two, partial=partial)
    return Plan(
        size=(width, height),
        scene=scene,
        sex=sex,
        animals=tuple(sample_individual(rng, sex, scene, spot.centre, spot.unit) for spot in spots),
        partial=partial,
        accent=ACCENTS[scene][rng.integers(4)],
        shortcut_draw=float(rng.random()),
        scene_seed=int(rng.integers(2**31)),
        finish_seed=int(rng.integers(2**31)),
    )


def _layout(rng: np.random.Generator, size: tuple[int, int], scene: str, *, two: bool, partial: bool) -> list[Spot]:
    """Place one or two animals; a pinned one leaves room for the label below it."""
    width, height = size
    side = min(size)
    up = -0.05 * height if scene == "pinned" else 0.0
    if two:
        unit = max(size) * rng.uniform(0.205, 0.235)
        axis = np.array([width, 0.0]) if width >= height else np.array([0.0, height])
        off = 0.25 * axis + rng.uniform(-0.02, 0.02, 2) * side
        middle = np.array([width / 2, height / 2 + up])
        return [Spot(tuple(middle - off), unit), Spot(tuple(middle + off), unit * rng.uniform(0.92, 1.05))]
    unit = side * rng.uniform(0.37, 0.475)
    free = np.maximum(np.array(size) / 2 - 1.06 * unit, 0) * (1.0, 0.75)
    centre = np.array([width / 2, height / 2 + up]) + rng.uniform(-1, 1, 2) * free
    if partial:
        inside = rng.uniform(0.25, 0.5) * unit
        centre[0] = inside if rng.random() < 0.5 else width - inside
    return [Spot(tuple(centre), unit)]


def has_shortcut(plan: Plan, species: str) -> bool:
    """Whether this photo of this species gets the planted accent in a data set made with shortcut=True."""
    pair = PAIRS[SPECIES.index(species) // 2]
    return plan.shortcut_draw < SHORTCUT_RATES[pair.species.index(species)]


def render(plan: Plan, genus: str, *, shows: bool, shortcut: bool = False, clean: bool = False) -> Rendered:
    """Render a plan as the species of a genus that shows the planted trait, or as the one that lacks it.

    Parameters
    ----------
    plan
        From `plan_photo`.
    genus
        Name of the pair.
    shows
        Whether the trait is shown.
    shortcut
        Give the background the planted accent colour.
    clean
        Leave out shadow, colour cast, blur and noise, so that two renderings differ only where their contents do.

    Returns
    -------
    Rendered
    """
    width, height = plan.size
    spots = [Spot(animal.centre, animal.unit) for animal in plan.animals]
    rng = np.random.default_rng([plan.scene_seed, 0])
    picture = paint_scene(plan.scene, rng, plan.size, spots, SHORTCUT_ACCENT[plan.scene] if shortcut else plan.accent)
    parts = np.zeros((height, width), np.uint8)
    trait = np.zeros((height, width), bool)
    cast = np.random.default_rng([plan.scene_seed, 1])
    away = cast.uniform(0.03, 0.08, 2) if plan.scene == "pinned" else cast.uniform(0.02, 0.13, 2)
    dark, soft = cast.uniform(0.35, 0.55), cast.uniform(0.03, 0.06)
    for animal in plan.animals:
        drawn = draw_butterfly(animal, genus, shows, width, height)
        if not clean:
            dx, dy = (round(a * animal.unit) for a in away)
            shadow = blur(shifted(drawn.rgba[..., 3], dx, dy), soft * animal.unit)
            picture = picture * (1 - dark * shadow)[..., None]
        picture = over(picture, drawn.rgba)
        trait = (trait & (drawn.parts == 0)) | drawn.trait
        parts = np.where(drawn.parts > 0, drawn.parts, parts)
    if plan.scene == "pinned":
        picture = over(picture, paint_pin(np.random.default_rng([plan.scene_seed, 2]), plan.size, spots))
    if not clean:
        picture = _finish(np.random.default_rng(plan.finish_seed), picture, plan.scene)
    return Rendered(np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8), parts > 0, parts, trait)


def _finish(rng: np.random.Generator, picture: np.ndarray, scene: str) -> np.ndarray:
    """Light, colour cast, lens and sensor."""
    height, width = picture.shape[:2]
    unit = max(height, width) / 512
    spread = 0.035 if scene == "pinned" else 0.06
    warm = rng.normal(0, spread)
    cast = np.float32([1 + warm, 1 + rng.normal(0, spread / 4), 1 - warm])
    ys, xs = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    lamp = (
        1
        + rng.uniform(0.02, 0.12) * (xs * np.cos(turn) + ys * np.sin(turn))
        - rng.uniform(0.03, 0.12) * (xs**2 + ys**2)
    )
    lamp *= 1 + 0.02 * bumpy(rng, height, width, 150 * unit)
    exposure = float(np.exp(rng.normal(0.03, 0.10)))
    lit = np.clip(picture * cast * (lamp * exposure)[..., None], 0, 1.4)
    lit = np.where(lit > 0.8, 0.8 + 0.2 * np.tanh((lit - 0.8) / 0.2), lit)
    contrast = rng.normal(1.04, 0.05)
    lit = np.clip((lit - 0.45) * contrast + 0.45, 0, 1)
    lit = blur(lit, max(0.0, rng.normal(0.45, 0.2)) * unit)
    noise = (
        rng.standard_normal((height, width, 1), np.float32) * 0.7
        + rng.standard_normal((height, width, 3), np.float32) * 0.5
    )
    return lit + noise * np.float32(rng.uniform(0.004, 0.018))
