"""Draw the exemplar sheet: rows of crops that show each trait best, with its numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finerkit.base.checks import whole
from finerkit.base.roles import references_of, target_of
from finerkit.base.wording import counted, join, share, shown
from finerkit.output.figures.page import page, per_line, settle, wrap
from finerkit.output.figures.paper import PrintFigure
from finerkit.photos.display import display_crop
from finerkit.store.photo_paths import located
from finerkit.store.study import with_paths
from finerkit.traits.crops import around, exemplar_regions

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

_PIXELS = 600  # longest side of a crop
_LEAST = 21.0  # millimetres of a picture


class Crop(NamedTuple):
    """A part of a photo: where it is, and the outlines of the trait's regions, in pixels of the upright original."""

    image: str
    box: tuple[float, float, float, float]  # left, top, right, bottom
    outlines: list[list[list[float]]]
    evidence: float


class Picture(NamedTuple):
    """A crop with its pixels; `place` says which part of the original they are: left, top, right, bottom."""

    crop: Crop
    photo: Image.Image
    place: tuple[float, float, float, float]


@dataclass(frozen=True)
class Sheet:
    """All that a trait sheet shows: per trait a line of numbers and its pictures. Texts are plain."""

    title: str
    words: tuple[str, ...]
    pictures: tuple[tuple[Picture, ...], ...]
    caption: str


def trait_sheet(traits: xr.Dataset, count: int = 6, *, study: xr.DataTree | None = None) -> PrintFigure:
    """Draw each trait's best examples, cropped and outlined, with its name and numbers.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    count
        Examples per trait, at most 8.
    study
        Where the photos were moved: the study, opened with ``fk.open_study(store, photos=...)``.

    Returns
    -------
    PrintFigure
        Shows itself in a notebook; ``.save("sheet.pdf", width_mm=180)`` writes PNG, SVG, PDF or HTML offline;
        ``.caption`` says what was computed.
    """
    traits = traits if study is None else with_paths(study, traits)
    count = whole(count, "count", 1, 8, hint="It is the number of examples per trait.")
    number = traits.sizes["trait"]
    crops = [exemplar_crops(traits, traits, k, count) for k in range(number)]
    photos = located(traits, {crop.image for row in crops for crop in row})
    pictures = [tuple(_picture(crop, photos.sel(image=crop.image)) for crop in row) for row in crops]
    words = tuple(_numbers(traits, k) for k in range(number))
    sheet = Sheet(f"Traits of {shown(target_of(traits))}", words, tuple(pictures), _caption(traits))
    return PrintFigure(content=sheet, paper=partial(_print, sheet))


def _numbers(traits: xr.Dataset, k: int) -> str:
    """One line on a trait: name, share of the margin, prevalence, stability, and whether it looks like background."""
    one = traits.isel(trait=k)
    words = [
        f"{one.trait.item()}: {share(float(one.share_of_margin))}",
        f"in {float(one.prevalence):.0%} of the photos",
        f"stability {float(one.stability):.2f}" if one.stability.notnull() else "made by hand",
    ]
    return ", ".join(words) + ("; looks like BACKGROUND" if bool(one.background) else "")


def exemplar_crops(traits: xr.Dataset, photos: xr.Dataset, k: int, count: int) -> list[Crop]:
    """Squares around the strongest region of a trait, in its best photos."""
    crops = []
    mine = traits["region_trait"].values == k
    for best in exemplar_regions(traits, k, count):
        image = traits["region_image"].values[best]
        size = (int(photos[side].sel(image=image)) for side in ("width", "height"))
        box = around(traits["region_box"].values[best], *size)
        at = np.flatnonzero(mine & (traits["region_image"].values == image))
        outlines = [ring for i in at for ring in json.loads(str(traits["region_outline"].values[i]))]
        crops.append(Crop(str(image), box, outlines, float(traits["region_evidence"][best])))
    return crops


def _picture(crop: Crop, photo: xr.Dataset) -> Picture:
    """The crop's pixels, as fine as the original has them, up to `_PIXELS`."""
    width, height = int(photo["width"]), int(photo["height"])
    left, top, right, bottom = crop.box
    within = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
    return Picture(crop, display_crop(str(photo["path"].item()), (width, height), within, _PIXELS), within)


def _caption(traits: xr.Dataset) -> str:
    attrs = traits.attrs
    own = int((traits["true_species"].values.astype(str) == target_of(traits)).sum())
    untold = " Shares are not given where the margin is near zero or below: they would mean nothing."
    shares = untold if traits["share_of_margin"].isnull().any() else ""
    return (
        f"Traits of {shown(target_of(traits))} against {join(shown(r) for r in references_of(traits))}: cells of the "
        f"contrast (strength {attrs['strength']:g}, objective {attrs['objective']}) that hold the top "
        f"{attrs['share']:.0%} of a photo's positive evidence, over {counted(own, 'photo')} of the target, clustered "
        f"by contribution vector ({attrs['method']}). Per trait: its share of the margin in logits between target and "
        "references, the share of the target's photos that show it, and its stability (mean clusterwise Jaccard index "
        f"over bootstraps of the photos, 1 at best).{shares} Pictures: the photos with the most evidence of "
        "the trait, cropped; white lines: the trait's cells, to within a cell."
    )


def _print(sheet: Sheet, width: float) -> Figure:
    """Draw the sheet, `width` millimetres wide; a trait's pictures take as many lines as legible ones need."""
    columns = per_line(max(1, *(len(p) for p in sheet.pictures)), width, _LEAST)
    lines: list[tuple[str, tuple[Picture, ...]]] = []
    for words, pictures in zip(sheet.words, sheet.pictures, strict=True):
        starts = range(0, max(len(pictures), 1), columns)
        lines += [(words if i == 0 else "", pictures[i : i + columns]) for i in starts]
    ratios = [1 if pictures else 0.1 for _, pictures in lines]
    figure, axes = page(sheet.title, width, columns, ratios)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[], frame_on=False)
    for line, (words, pictures) in zip(axes, lines, strict=True):
        if words:  # written over the first panel, they run on over the others, and a blank title makes room for them
            text = wrap(words, width - 2)
            line[0].set_title(" \n" * text.count("\n") + " ")
            line[0].annotate(text, (0, 1), (0, 2), "axes fraction", "offset points", va="bottom", in_layout=False)
        for ax, picture in zip(line, pictures, strict=False):
            _print_picture(ax, picture)
    return settle(figure)


def _print_picture(ax: Axes, picture: Picture) -> None:
    left, top, right, bottom = picture.place
    ax.imshow(np.asarray(picture.photo), extent=(left, right, bottom, top), interpolation="lanczos")
    for ring in picture.crop.outlines:
        for colour, size in (("black", 1.6), ("white", 0.8)):
            ax.plot(*np.transpose(ring), color=colour, linewidth=size)
    left, top, right, bottom = picture.crop.box
    ax.set(xlim=(left, right), ylim=(bottom, top))
