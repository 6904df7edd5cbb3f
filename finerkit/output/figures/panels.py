"""Gather what a contrast grid shows, before it is drawn: photos, values, places and words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finerkit.base.checks import whole
from finerkit.base.geometry import GridPlace
from finerkit.base.names import choice, resolve
from finerkit.base.roles import target_of
from finerkit.base.text import typed_names
from finerkit.base.wording import counted, join, shown
from finerkit.evidence.comparison import as_pair
from finerkit.evidence.contrast import chosen_references, contrast
from finerkit.output.tables.frames import evidence_table
from finerkit.photos.display import display_photo
from finerkit.store.photo_paths import located

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr
    from PIL import Image

_SCALE_WORDS = {
    "shared": "one scale for all panels",
    "image": "share of the photo's largest value",
    "panel": "share of the panel's largest value",
}
_PICKED_BY = {"user": "chosen by hand", "embedding": "the nearest by the cosine of centred mean embeddings"}


@dataclass(frozen=True)
class Row:
    """One photo and its maps.

    ``values`` (strength, y, x) in logits; ``tops`` (strength) are the values at full colour. Sizes and places in pixels
    of the upright original; ``photo`` may be smaller.
    """

    image: str
    photo: Image.Image
    width: int
    height: int
    place: GridPlace
    margin: float
    values: np.ndarray
    tops: np.ndarray


@dataclass(frozen=True)
class Grid:
    """All that a contrast grid shows. Texts are plain: whoever draws them escapes them.

    ``limits``: values at the ends of the colour bar, logits on the shared scale, shares on relative ones.
    """

    title: str
    strengths: tuple[float, ...]
    rows: tuple[Row, ...]
    scale: str
    limits: tuple[float, float]
    legend: str
    caption: str


def contrast_panels(
    pair: xr.Dataset,
    strengths: float | Iterable[float],
    images: int | str | Iterable[str],
    *,
    objective: str | None,
    references: Iterable[str] | None,
    relu: bool,
    scale: str,
    pixels: int,
) -> Grid:
    """Gather what `finerkit.figures.contrast_grid` draws, from its parameters; `pixels` is the photos' longest side."""
    choice(scale, _SCALE_WORDS, "scale")
    pair = as_pair(pair)
    strengths = np.unique(np.asarray([strengths] if np.isscalar(strengths) else list(strengths), np.float64))
    chosen = located(pair.sel(image=_pick(pair, images, objective, references)))
    maps = contrast(chosen, strengths, objective, references=references, relu=relu)
    names = chosen_references(pair, references)
    values = maps.transpose("image", "strength", "y", "x").values
    over = {"shared": (0, 1, 2, 3), "image": (1, 2, 3), "panel": (2, 3)}[scale]
    tops = np.broadcast_to(np.abs(values).max(over, keepdims=True), values.shape)[..., 0, 0]
    margins = evidence_table(chosen, 1.0, objective, references=references)["margin"].to_numpy()
    rows = []
    for i, image in enumerate(chosen.image.values):
        one = chosen.isel(image=i)
        size = int(one.width), int(one.height)
        photo = display_photo(str(one["path"].item()), size, pixels)
        rows.append(Row(str(image), photo, *size, GridPlace.of(one), float(margins[i]), values[i], tops[i]))
    top = (float(tops.max()) or 1.0) if scale == "shared" else 1.0
    return Grid(
        title=f"What tells {shown(target_of(pair))} from {join([shown(r) for r in names])}",
        strengths=tuple(float(s) for s in strengths),
        rows=tuple(rows),
        scale=scale,
        limits=(0.0 if relu else -top, top),
        legend=_legend(relu, scale),
        caption=_caption(maps, pair, names, relu, scale),
    )


def _pick(
    pair: xr.Dataset, images: int | str | Iterable[str], objective: str | None, references: Iterable[str] | None
) -> list[str]:
    """Ids of photos to show; a number means that many, evenly spread from the largest margin to the smallest."""
    usable = pair.isel(image=pair["status"].values.astype(str) == "ok")
    if not usable.sizes["image"]:
        raise ValueError("No photo of this comparison could be explained: its 'status' says why.")
    wanted = typed_names(images)
    if wanted is None:
        number = whole(images, "images", hint="Or give ids of photos of this comparison.")
        table = evidence_table(usable, 1.0, objective, references=references)
        order = table["margin"].sort_values(ascending=False, kind="stable").index
        return list(order[np.unique(np.linspace(0, len(order) - 1, min(number, len(order))).round().astype(int))])
    if not wanted:
        raise ValueError("images is empty: name at least one photo, or give a number.")
    known = [str(i) for i in usable.image.values]
    return [resolve(w, known, "photo in this comparison") for w in wanted]


def _legend(relu: bool, scale: str) -> str:
    what, unit = "contrast" if relu else "contrast, signed", "in logits" if scale == "shared" else "max: in logits"
    first, second = (unit, _SCALE_WORDS[scale]) if scale == "shared" else (_SCALE_WORDS[scale], unit)
    return f"{what}, {first}\n({second})"


def _caption(maps: xr.DataArray, pair: xr.Dataset, references: list[str], relu: bool, scale: str) -> str:
    attrs, images = pair.attrs, [str(i) for i in maps.image.values]
    picked_by = attrs.get("picked_by", "user")
    rule = _PICKED_BY.get(picked_by, f"picked by {picked_by}")
    photos = f"photo {images[0]}" if len(images) == 1 else counted(len(images), "photo")
    adds = "of one class add up to its logit less the bias" if attrs.get("additive") else "do not add up to the logits"
    scales = " With every other species as reference, the strength only scales the map."
    return (
        f"Contrastive class activation maps (Finer-CAM, Zhang et al. 2025; {attrs['method']}, objective "
        f"{maps.attrs['objective']}) of {shown(target_of(pair))} against {join([shown(r) for r in references])} "
        f"({rule}), comparison strength {', '.join(f'{s:g}' for s in maps.strength.values)}; "
        f"{'positive part' if relu else 'signed'}; colours: {_SCALE_WORDS[scale]}; max: the panel's largest value "
        f"before scaling, in logits. Shown: {photos} of {pair.sizes['image']}. Cells {adds}. Network "
        f"{attrs.get('model')}, {pair.sizes['y']} x {pair.sizes['x']} cells, smoothed between cell centres for display."
    ) + (scales if attrs.get("strength_only_scales") else "")
