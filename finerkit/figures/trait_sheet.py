"""The exemplar sheet: traits enter; rows of crops that show each trait best, with its numbers, leave."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from finerkit.figures.panels import display_photo, shown
from finerkit.store import study_of

if TYPE_CHECKING:
    import os

    import xarray as xr
    from matplotlib.axes import Axes

_ENDINGS = (".png", ".svg", ".pdf")


class Crop(NamedTuple):
    """A part of a photo: where it is, and the outlines of the trait's regions, in pixels of the upright original."""

    image: str
    box: tuple[float, float, float, float]  # left, top, right, bottom
    outlines: list[list[list[float]]]
    evidence: float


class TraitSheet:
    """A drawn exemplar sheet; shows itself in a notebook, ``save`` writes it."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        FigureCanvasAgg(figure)

    def save(self, path: str | os.PathLike[str], dpi: int = 200) -> Path:
        """Write a .png, .svg or .pdf file; works offline."""
        path = Path(path)
        if path.suffix.lower() not in _ENDINGS:
            raise ValueError(f"The file must end in {', '.join(_ENDINGS)}. Got {path.name!r} instead.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context({"pdf.fonttype": 42, "svg.fonttype": "path"}):
            self.figure.savefig(path, dpi=dpi)
        return path

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def trait_sheet(
    traits: xr.Dataset,
    count: int = 6,
    *,
    study: xr.DataTree | str | os.PathLike[str] | None = None,
    width_mm: float = 180,
) -> TraitSheet:
    """Draw each trait's best examples, cropped and outlined, with its name and numbers.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`.
    count
        Examples per trait, at most 8.
    study
        See `finerkit.find_traits`.
    width_mm
        Width in millimetres.

    Returns
    -------
    TraitSheet
        ``.save("sheet.pdf")`` writes it.
    """
    photos = study_of(traits, study)["images"].to_dataset()
    names = [str(t) for t in traits["trait"].values]
    crops = [exemplar_crops(traits, photos, k, count) for k in range(len(names))]
    columns = max(len(c) for c in crops)
    side = width_mm / 25.4 / columns
    figure = Figure(figsize=(width_mm / 25.4, len(names) * (side + 0.22) + 0.35), layout="constrained")
    figure.suptitle(f"Traits of {shown(traits.attrs['target'])}", fontsize=9, parse_math=False)
    rows = np.atleast_1d(figure.subfigures(len(names), 1))
    for k, (row, found) in enumerate(zip(rows, crops, strict=True)):
        row.suptitle(numbers(traits, k), fontsize=7, x=0.01, ha="left", parse_math=False)
        axes = row.subplots(1, columns, squeeze=False)[0]
        for ax in axes:
            ax.set_axis_off()
        for ax, crop in zip(axes, found, strict=False):
            _draw(ax, crop, photos.sel(image=crop.image))
    return TraitSheet(figure)


def numbers(traits: xr.Dataset, k: int) -> str:
    """One line on a trait: name, share of the margin, prevalence, stability, and whether it looks like background."""
    one = traits.isel(trait=k)
    words = [
        f"{one.trait.item()}: {float(one.share_of_margin):.0%} of the margin",
        f"in {float(one.prevalence):.0%} of the photos",
        f"stability {float(one.stability):.2f}",
    ]
    return ", ".join(words) + ("; looks like BACKGROUND" if bool(one.background) else "")


def exemplar_crops(traits: xr.Dataset, photos: xr.Dataset, k: int, count: int) -> list[Crop]:
    """Squares around the strongest region of a trait, in its best photos."""
    crops = []
    mine = traits["region_trait"].values == k
    for image in traits["exemplar"].values[k][:count]:
        at = np.flatnonzero(mine & (traits["region_image"].values == image))
        if not len(at):
            continue
        best = at[traits["region_evidence"].values[at].argmax()]
        left, top, right, bottom = traits["region_box"].values[best]
        width, height = int(photos["width"].sel(image=image)), int(photos["height"].sel(image=image))
        side = min(max(1.8 * max(right - left, bottom - top), 0.3 * max(width, height)), max(width, height))
        x, y = ((left + right) / 2, (top + bottom) / 2)
        x = np.clip(x, min(side / 2, width / 2), max(width - side / 2, width / 2))
        y = np.clip(y, min(side / 2, height / 2), max(height - side / 2, height / 2))
        outlines = [ring for i in at for ring in json.loads(str(traits["region_outline"].values[i]))]
        box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
        crops.append(Crop(str(image), box, outlines, float(traits["region_evidence"].values[best])))
    return crops


def _draw(ax: Axes, crop: Crop, photo: xr.Dataset) -> None:
    width, height = int(photo["width"]), int(photo["height"])
    picture = display_photo(str(photo["path"].item()), (width, height), 1200)
    ax.imshow(np.asarray(picture), extent=(0, width, height, 0), interpolation="lanczos")
    for ring in crop.outlines:
        x, y = np.array(ring).T
        ax.plot(x, y, color="black", linewidth=1.6)
        ax.plot(x, y, color="white", linewidth=0.8)
    left, top, right, bottom = crop.box
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
