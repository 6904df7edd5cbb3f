"""Draw each measure of scores against comparison strength, beside its baselines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from finerkit.evidence import DEFAULT_STRENGTH
from finerkit.figures.curves_print import print_curves
from finerkit.figures.curves_screen import screen_curves
from finerkit.figures.paper import PaperFigure
from finerkit.figures.words import counted, join, shown
from finerkit.names import resolve
from finerkit.roles import references_of, target_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

#: The maps that are scored, as a reader calls them.
_LABELS = {"contrast": "contrast", "random": "random map", "edge": "edge map"}
_STEP_AXIS = {"deletion": "share of pixels hidden", "insertion": "share of pixels shown"}
_PER_MAP = {"image", "map_kind", "strength"}


@dataclass(frozen=True)
class Line:
    """Mean over photos, its standard error (NaN below two photos) and the number of photos, at each ``x``."""

    label: str
    x: np.ndarray
    mean: np.ndarray
    error: np.ndarray
    n: np.ndarray


@dataclass(frozen=True)
class CurvePanel:
    """One measure: the contrast's line first, then the baselines'. Texts are plain."""

    name: str
    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class ScoreCurves:
    """All that is drawn."""

    panels: tuple[CurvePanel, ...]
    title: str
    caption: str


def score_curves(
    scores: xr.Dataset,
    metrics: str | Iterable[str] | None = None,
    *,
    top: float = 0.05,
    strength: float = DEFAULT_STRENGTH,
) -> PaperFigure:
    """Draw each measure against comparison strength, beside a random map and an edge map.

    Points are means over the photos, bars and bands their standard errors. Deletion and insertion curves are drawn
    against the share of pixels, for one strength.

    Parameters
    ----------
    scores
        From `finerkit.score`.
    metrics
        Names of variables of `scores`, such as "relative_drop" or "deletion_area"; by default all.
    top
        For measures that look at the strongest pixels: their share; the nearest in `scores` is taken.
    strength
        For the curves against the share of pixels: the contrast's strength; the nearest in `scores` is taken.

    Returns
    -------
    PaperFigure
        A plotly figure; ``.save("scores.pdf", width_mm=180)`` writes PNG, SVG, PDF or HTML offline; ``.caption`` says
        what was computed.
    """
    content = curves_of(scores, metrics, top=top, strength=strength)
    return PaperFigure(screen_curves(content), content=content, paper=partial(print_curves, content))


def curves_of(scores: xr.Dataset, metrics: str | Iterable[str] | None, *, top: float, strength: float) -> ScoreCurves:
    """Gather what `score_curves` draws, from its parameters."""
    if not isinstance(scores, xr.Dataset) or not {"image", "map_kind"} <= set(scores.dims):
        raise TypeError(
            "score_curves draws what fk.score(...) returns, photo by photo: a Dataset with dims image and map_kind. "
            f"Got a {type(scores).__name__}{f' with dims {tuple(scores.dims)}' if hasattr(scores, 'dims') else ''}."
        )
    scores = scores if "strength" in scores.dims else scores.expand_dims("strength")
    known = [n for n, v in scores.data_vars.items() if set(v.dims) >= _PER_MAP and n != "empty"]
    wanted = known if metrics is None else [metrics] if isinstance(metrics, str) else list(metrics)
    chosen = [
        resolve(m, known, "measure in these scores", "fk.score(..., metrics=...) computes others.") for m in wanted
    ]
    if not chosen:
        raise ValueError("These scores hold no measure to draw: name some with fk.score(..., metrics=[...]).")
    panels = tuple(_panel(scores[name], top, strength) for name in chosen)
    return ScoreCurves(
        panels=panels,
        title=f"How good the maps of {shown(target_of(scores))} are",
        caption=_caption(scores, chosen, panels),
    )


def _panel(values: xr.DataArray, top: float, strength: float) -> CurvePanel:
    title, against, x_label = _title(values), "strength", "comparison strength"
    if "top" in values.dims:
        values = values.sel(top=top, method="nearest")
        title += f", top {float(values['top']):.0%}"
    if "step" in values.dims:
        values = values.sel(strength=strength, method="nearest")
        against, x_label = "step", _STEP_AXIS.get(str(values.name), "share of pixels")
        title += f", strength {float(values['strength']):g}"
    if "is better" in values.attrs.get("definition", ""):
        title += f"\n{'higher' if 'higher is better' in values.attrs['definition'] else 'lower'} is better"
    units = values.attrs.get("units", "1")
    lines = tuple(_line(values.sel(map_kind=m), against) for m in _LABELS if m in values["map_kind"].values)
    return CurvePanel(str(values.name), title, x_label, "share" if units == "1" else units, lines)


def _title(values: xr.DataArray) -> str:
    name = str(values.attrs.get("long_name", values.name))
    return name[:1].upper() + name[1:]


def _line(values: xr.DataArray, against: Hashable) -> Line:
    values = values.transpose("image", against)
    n = values.notnull().sum("image").values
    table = values.values.astype(float)
    total = np.nansum(table, 0)
    mean = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    squares = np.nansum((table - mean) ** 2, 0)
    error = np.sqrt(np.divide(squares, n * (n - 1.0), out=np.full(n.shape, np.nan), where=n > 1))
    return Line(_LABELS[str(values["map_kind"].item())], values[against].values.astype(float), mean, error, n)


def _caption(scores: xr.Dataset, chosen: list[str], panels: tuple[CurvePanel, ...]) -> str:
    attrs = scores.attrs
    counts = np.concatenate([line.n for panel in panels for line in panel.lines])
    photos = counted(int(counts.max()), "photo")
    photos = photos if counts.min() == counts.max() else f"{counts.min()} to {photos}"
    against = join(shown(r) for r in references_of(scores))
    strengths = ", ".join(f"{s:g}" for s in np.unique(scores["strength"]))
    fill = f" Hidden pixels are filled with {attrs['fill_definition']}." if "fill_definition" in attrs else ""
    definitions = " ".join(
        f"{_title(scores[m])}: {scores[m].attrs['definition']}." for m in chosen if "definition" in scores[m].attrs
    )
    return (
        f"Measures of contrastive class activation maps (Finer-CAM; {attrs.get('method')}, objective "
        f"{attrs.get('objective')}) of {shown(target_of(scores))} against {against}, comparison strength {strengths}; "
        f"mean over {photos}, bars and bands: standard error of the mean. Baselines, the same at all strengths: a map "
        f"of random cells and a map of brightness edges. {definitions}{fill} Network {attrs.get('model')}."
    )
