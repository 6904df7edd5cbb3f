"""Gather what a contrast grid shows, before it is drawn: photos, values, places and words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finerkit.evidence import chosen_references, contrast
from finerkit.figures.words import counted, join, short, shown
from finerkit.located import located
from finerkit.names import choice, resolve
from finerkit.pairs import as_pair, typed_names
from finerkit.photo_display import display_photo
from finerkit.roles import target_of
from finerkit.tables import evidence_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr
    from PIL import Image

SCALES = ("shared", "image", "panel")
_SCALE_WORDS = {
    "shared": "one scale for all panels",
    "image": "share of the photo's largest value",
    "panel": "share of the panel's largest value",
}


@dataclass(frozen=True)
class Panel:
    """One map over one photo.

    ``values`` (y, x) in logits, at ``strength``; ``top`` is the value at full colour; ``title`` is plain text.
    """

    values: np.ndarray
    strength: float
    top: float
    title: str


@dataclass(frozen=True)
class Row:
    """One photo and its panels. Sizes and places in pixels of the upright original; ``photo`` may be smaller."""

    image: str
    photo: Image.Image
    width: int
    height: int
    left: float
    top: float
    cell_width: float
    cell_height: float
    margin: float
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Grid:
    """All that a contrast grid shows. Texts are plain: whoever draws them escapes them."""

    target: str
    references: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    signed: bool
    scale: str
    legend: str
    caption: str

    @property
    def title(self) -> str:
        """What is compared."""
        return f"What tells {shown(self.target)} from {join([shown(r) for r in self.references])}"

    @property
    def limits(self) -> tuple[float, float]:
        """Values at the ends of the colour bar: logits on the shared scale, shares on relative ones."""
        top = 1.0
        if self.scale == "shared":
            top = max((p.top for r in self.rows for p in r.panels), default=0.0) or 1.0
        return (-top if self.signed else 0.0), top


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
    choice(scale, SCALES, "scale")
    pair = as_pair(pair)
    strengths = np.unique(np.atleast_1d(np.asarray(strengths, np.float64)))
    chosen = located(pair.sel(image=_pick(pair, images, objective, references)))
    maps = contrast(chosen, strengths, objective, references=references, relu=relu)
    names = chosen_references(pair, references)
    values = maps.transpose("image", "strength", "y", "x").values
    largest = np.abs(values)
    tops = {
        "shared": np.broadcast_to(largest.max(), values.shape[:2]),
        "image": np.broadcast_to(largest.max((1, 2, 3))[:, None], values.shape[:2]),
        "panel": largest.max((2, 3)),
    }[scale]
    margins = evidence_table(chosen, 1.0, objective, references=references)["margin"].to_numpy()
    rows = []
    for i, image in enumerate(chosen.image.values):
        one = chosen.isel(image=i)
        panels = tuple(
            Panel(values[i, j], float(g), float(tops[i, j]), f"max {short(values[i, j].max())}")
            for j, g in enumerate(strengths)
        )
        place = (float(one[v]) for v in ("cell_left", "cell_top", "cell_width", "cell_height"))
        size = int(one.width), int(one.height)
        rows.append(
            Row(
                str(image),
                display_photo(str(one["path"].item()), size, pixels),
                *size,
                *place,
                float(margins[i]),
                panels,
            )
        )
    return Grid(
        target=target_of(pair),
        references=tuple(names),
        columns=("photo", *(f"strength {s:g}" for s in strengths)),
        rows=tuple(rows),
        signed=not relu,
        scale=scale,
        legend=_legend(relu, scale),
        caption=_caption(pair, names, maps.attrs["objective"], strengths, relu, scale, [r.image for r in rows]),
    )


def _pick(
    pair: xr.Dataset, images: int | str | Iterable[str], objective: str | None, references: Iterable[str] | None
) -> list[str]:
    """Ids of photos to show; a number means that many, evenly spread from the largest margin to the smallest."""
    usable = pair.isel(image=pair["status"].values.astype(str) == "ok")
    if not usable.sizes["image"]:
        raise ValueError("No photo of this comparison could be explained: its 'status' says why.")
    known = [str(i) for i in usable.image.values]
    if isinstance(images, int | np.integer) and not isinstance(images, bool):
        if images < 1:
            raise ValueError(f"images must be a number in the range [1, inf), or ids. Got {images} instead.")
        table = evidence_table(usable, 1.0, objective, references=references)
        order = table["margin"].sort_values(ascending=False, kind="stable").index
        return list(order[np.unique(np.linspace(0, len(order) - 1, min(images, len(order))).round().astype(int))])
    wanted = typed_names(images)
    if wanted is None:
        raise TypeError(f"images are ids of this comparison, or how many photos to show. Got {images!r} instead.")
    if not wanted:
        raise ValueError("images is empty: name at least one photo, or give a number.")
    return [resolve(w, known, "photo in this comparison") for w in wanted]


def _legend(relu: bool, scale: str) -> str:
    what = "contrast" if relu else "contrast, signed"
    unit = "in logits" if scale == "shared" else "max: in logits"
    first, second = (unit, _SCALE_WORDS[scale]) if scale == "shared" else (_SCALE_WORDS[scale], unit)
    return f"{what}, {first}\n({second})"


def _caption(
    pair: xr.Dataset,
    references: list[str],
    objective: str,
    strengths: np.ndarray,
    relu: bool,
    scale: str,
    images: list[str],
) -> str:
    reference_rule = {
        "user": "chosen by hand",
        "embedding": "the nearest by the cosine of centred mean embeddings",
    }.get(pair.attrs.get("picked_by", "user"), f"picked by {pair.attrs.get('picked_by')}")
    adds = (
        "Cells of one class add up to its logit less the bias."
        if pair.attrs.get("additive")
        else "Cells do not add up to the logits."
    )
    scales = " With every other species as reference, the strength only scales the map."
    return (
        f"Contrastive class activation maps (Finer-CAM, Zhang et al. 2025; {pair.attrs['method']}, objective "
        f"{objective}) of {shown(target_of(pair))} against {join([shown(r) for r in references])} "
        f"({reference_rule}), comparison strength {', '.join(f'{s:g}' for s in strengths)}; "
        f"{'positive part' if relu else 'signed'}; colours: {_SCALE_WORDS[scale]}; max: the panel's largest value "
        f"before scaling, in logits. Shown: {_photos(images)} of {pair.sizes['image']}. {adds} Network "
        f"{pair.attrs.get('model')}, "
        f"{pair.sizes['y']} x {pair.sizes['x']} cells, smoothed between cell centres for display."
    ) + (scales if pair.attrs.get("strength_only_scales") else "")


def _photos(images: list[str]) -> str:
    return f"photo {images[0]}" if len(images) == 1 else counted(len(images), "photo")
