"""Draw each measure of scores against comparison strength, beside its baselines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from finerkit.base.names import resolve
from finerkit.base.roles import references_of, target_of
from finerkit.base.wording import counted, join, safe, shown
from finerkit.evidence.contrast import DEFAULT_STRENGTH
from finerkit.measures.definitions import PER_MAP
from finerkit.output.figures.colours import CATEGORIES
from finerkit.output.figures.page import panels_page, settle
from finerkit.output.figures.paper import PaperFigure
from finerkit.output.figures.screen import facets

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from matplotlib.figure import Figure

#: The maps that are scored, as a reader calls them.
_LABELS = {"contrast": "contrast", "random": "random map", "edge": "edge map"}
_PER_MAP = {"image", "map_kind", "strength"}
#: Colour, dash and marker of each line, for matplotlib and for plotly: told apart on grey copies too.
_LOOKS = {
    "contrast": (CATEGORIES[0], ("-", "solid"), ("o", "circle")),
    "random map": ("#666666", (":", "dot"), ("s", "square")),
    "edge map": (CATEGORIES[1], ("--", "dash"), ("^", "triangle-up")),
}


@dataclass(frozen=True)
class CurvePanel:
    """One measure; texts are plain.

    ``lines``: for each map, the contrast's first, the mean over photos, its standard error (NaN below two photos) and
    the number of photos, as columns ``mean``, ``sem`` and ``count``, at each strength or share of pixels.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    lines: dict[str, pd.DataFrame]


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

    Points are means over the photos, bars their standard errors. Deletion and insertion curves are drawn
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
    title = f"How good the maps of {shown(target_of(scores))} are"
    content = ScoreCurves(panels, title, _caption(scores, chosen, panels))
    return PaperFigure(_screen(content), content=content, paper=partial(_print, content))


def _panel(values: xr.DataArray, top: float, strength: float) -> CurvePanel:
    name = str(values.name)
    title, against, x_label, known = _title(values), "strength", "comparison strength", PER_MAP.get(name)
    if "top" in values.dims:
        values = values.sel(top=top, method="nearest")
        title += f", top {float(values['top']):.0%}"
    if "step" in values.dims:
        values = values.sel(strength=strength, method="nearest")
        against, x_label = "step", known.axis if known else "share of pixels"
        title += f", strength {float(values['strength']):g}"
    if known and known.more_is_better is not None:
        title += f"\n{'higher' if known.more_is_better else 'lower'} is better"
    units = values.attrs.get("units", "1")
    kinds = [kind for kind in _LABELS if kind in values["map_kind"].values]
    tables = [values.sel(map_kind=kind).transpose("image", against).to_pandas() for kind in kinds]
    lines = {_LABELS[kind]: table.agg(["mean", "sem", "count"]).T for kind, table in zip(kinds, tables, strict=True)}
    return CurvePanel(name, title, x_label, "share" if units == "1" else units, lines)


def _title(values: xr.DataArray) -> str:
    name = str(values.attrs.get("long_name", values.name))
    return name[:1].upper() + name[1:]


def _caption(scores: xr.Dataset, chosen: list[str], panels: tuple[CurvePanel, ...]) -> str:
    attrs = scores.attrs
    counts = [int(n) for panel in panels for line in panel.lines.values() for n in line["count"]]
    photos = counted(max(counts), "photo")
    photos = photos if min(counts) == max(counts) else f"{min(counts)} to {photos}"
    against = join(shown(r) for r in references_of(scores))
    strengths = ", ".join(f"{s:g}" for s in np.unique(scores["strength"]))
    fill = f" Hidden pixels are filled with {attrs['fill_definition']}." if "fill_definition" in attrs else ""
    definitions = " ".join(
        f"{_title(scores[m])}: {scores[m].attrs['definition']}." for m in chosen if "definition" in scores[m].attrs
    )
    return (
        f"Measures of contrastive class activation maps (Finer-CAM; {attrs.get('method')}, objective "
        f"{attrs.get('objective')}) of {shown(target_of(scores))} against {against}, comparison strength {strengths}; "
        f"mean over {photos}, bars: standard error of the mean. Baselines, the same at all strengths: a map "
        f"of random cells and a map of brightness edges. {definitions}{fill} Network {attrs.get('model')}."
    )


def _print(content: ScoreCurves, width: float) -> Figure:
    """Draw a panel per measure, `width` millimetres wide."""
    figure, axes = panels_page(content.title, [panel.title for panel in content.panels], width)
    thin = {"linewidth": 1, "elinewidth": 0.6, "capthick": 0.6, "capsize": 1.5, "markersize": 2.5}
    drawn = {}
    for ax, panel in zip(axes.flat, content.panels, strict=False):
        for label, line in panel.lines.items():
            colour, (dash, _), (marker, _) = _LOOKS[label]
            look = {"color": colour, "fmt": marker + dash} | thin
            drawn[label] = ax.errorbar(line.index, line["mean"], line["sem"].fillna(0), **look)
        ax.set(xlabel=panel.x_label, ylabel=panel.y_label)
        ax.locator_params(nbins=5)
        if panel.y_label in ("share", "probability"):
            ax.set_ylim(bottom=min(ax.get_ylim()[0], 0))
    figure.legend(drawn.values(), drawn, loc="outside lower left", ncols=3 if width > 80 else 1, handlelength=4)
    return settle(figure)


def _screen(content: ScoreCurves) -> go.Figure:
    """Draw a panel per measure; means, errors and numbers of photos on hover."""
    key = {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"}
    figure, places = facets([p.title for p in content.panels], content.title, showlegend=True, legend=key)
    for at, panel in zip(places, content.panels, strict=True):
        for label, line in panel.lines.items():
            figure.add_trace(_screen_line(panel, label, line, named=at == places[0]), **at)
        figure.update_xaxes(title_text=safe(panel.x_label), title_standoff=6, **at)
        figure.update_yaxes(title_text=safe(panel.y_label), rangemode="tozero", **at)
    return figure


def _screen_line(panel: CurvePanel, label: str, line: pd.DataFrame, *, named: bool) -> go.Scatter:
    colour, (_, dash), (_, symbol) = _LOOKS[label]
    hover = f"{safe(label)}<br>{safe(panel.x_label)} %{{x:g}}<br>%{{y:.3f}} ± %{{customdata[0]:.3f}}"
    look = {"line": {"color": colour, "dash": dash, "width": 2}, "marker": {"symbol": symbol, "size": 6}}
    return go.Scatter(
        x=line.index, y=line["mean"], mode="lines+markers", **look, name=safe(label), legendgroup=label,
        showlegend=named, error_y={"array": line["sem"], "thickness": 1, "width": 3},
        customdata=line[["sem", "count"]], hovertemplate=hover + " (n = %{customdata[1]})<extra></extra>",
    )  # fmt: skip
