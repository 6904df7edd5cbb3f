"""Draw how similar the species of a study are, ordered by a tree: on screen with plotly, for print with matplotlib."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure
from plotly.subplots import make_subplots

from finerkit.base.names import choice, resolve
from finerkit.base.wording import counted, fixed, join, safe, shown
from finerkit.output.figures.colours import for_plotly, ink_on
from finerkit.output.figures.page import text_width, wrap
from finerkit.output.figures.paper import PaperFigure
from finerkit.output.figures.screen import look
from finerkit.species.similarity import MEASURES, head_species, similarity_rows
from finerkit.species.tree import similarity_tree
from finerkit.store.study import as_study

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

_COSINES = ("embedding", "weights")
_LEGENDS = {
    "embedding": "similarity (cosine of centred mean embeddings)",
    "weights": "similarity (cosine of centred head weights)",
    "logits": "similarity (minus the mean logit difference, in logits)",
    "confusion": "similarity (mean probability of the other species)",
    "taxonomy": "similarity (share of taxonomic ranks)",
}

_TREE, _LARGEST_CELL, _BAR = 0.12, 12.5, 13.0  # the tree's share of the width; millimetres
_FONT, _LEAST_UNCUT, _LEAST_FONT = 7.0, 5.0, 4.5  # points
_MM_PER_POINT = 25.4 / 72
_SCREEN_TREE, _SCREEN_CELL, _SCREEN_PAGE, _LEGIBLE = 90, 46, 700, 30  # screen pixels


@dataclass(frozen=True)
class SimilarityMap:
    """All that a similarity map shows. Names are plain text, in the order of the tree's leaves.

    ``values`` (species, species), rows being targets; the diagonal is NaN: a species with itself says nothing.
    ``branches`` (fork, 4, 2): lines in steps of leaves (0 at the centre of the first) and distance from the leaves.
    """

    names: tuple[str, ...]
    values: np.ndarray
    branches: np.ndarray
    limits: tuple[float, float]
    cmap: str
    title: str
    legend: str
    caption: str


def similarity_map(
    study: xr.DataTree,
    by: str = "embedding",
    species: Iterable[str] | None = None,
    *,
    ranks: Iterable[str] | None = None,
) -> PaperFigure:
    """Draw how similar the species are, as a heat map ordered by a tree.

    The tree is average-linkage clustering of the similarities, its leaves ordered so that neighbours are as similar as
    the tree allows (optimal leaf ordering).

    Parameters
    ----------
    study
        From `finerkit.analyze` or `finerkit.open_study`.
    by, ranks
        See `finerkit.similar_species`.
    species
        Names of some of the study's species; by default all.

    Returns
    -------
    PaperFigure
        A plotly figure; ``.save("similarity.pdf", width_mm=89)`` writes PNG, SVG, PDF or HTML offline; ``.caption``
        says what was computed.
    """
    content = similarity_of(study, by, species, ranks)
    return PaperFigure(_on_screen(content), content=content, paper=partial(print_similarity, content))


def similarity_of(
    study: xr.DataTree,
    by: str = "embedding",
    species: Iterable[str] | None = None,
    ranks: Iterable[str] | None = None,
) -> SimilarityMap:
    """Gather what `similarity_map` draws, from its parameters."""
    study = as_study(study)
    choice(by, MEASURES, "by")
    names = head_species(study)
    if species is not None:
        wanted = [species] if isinstance(species, str) else list(species)
        names = list(dict.fromkeys(resolve(s, names) for s in wanted))
    scores = similarity_rows(study, by, names, ranks).sel(species=names)
    matrix = scores.values.astype(float)
    known = ~np.isnan(matrix).all(1)
    np.fill_diagonal(matrix, np.nan)
    matrix[~known] = matrix[:, ~known] = np.nan
    tree = similarity_tree(matrix)
    left_out = [n for i, n in enumerate(names) if i not in tree.order]
    names = [names[i] for i in tree.order]
    if len(names) < 2:
        raise ValueError(
            f"A similarity map needs two species or more that by={by!r} can tell from. Got {len(names)} instead; "
            "fk.similar_species(study, by=...) shows the numbers of other measures."
        )
    matrix = matrix[np.ix_(tree.order, tree.order)]
    top = 1.0 if by in _COSINES else float(np.nanmax(matrix))
    signed = by in _COSINES
    return SimilarityMap(
        names=tuple(shown(n) for n in names),
        values=matrix,
        branches=_lines(tree.branches, top),
        limits=_limits(matrix, signed),
        cmap="RdBu_r" if signed else "viridis",
        title="Similarity of species",
        legend=_LEGENDS[by],
        caption=_caption(study, scores, names, left_out),
    )


def _lines(branches: np.ndarray, top: float) -> np.ndarray:
    """Forks with distances from the leaves in place of similarities."""
    distance = np.maximum(top - np.nan_to_num(branches[..., 1], nan=top), 0)
    return np.stack([branches[..., 0], distance], -1)


def _limits(matrix: np.ndarray, signed: bool) -> tuple[float, float]:
    """Ends of the colour bar; zero in the middle where both signs mean something."""
    low, high = float(np.nanmin(matrix)), float(np.nanmax(matrix))
    if signed:
        top = max(abs(low), abs(high)) or 1.0
        return -top, top
    return (min(low, 0.0), max(high, 0.0)) if low != high or low else (0.0, 1.0)


def _caption(study: xr.DataTree, scores: xr.DataArray, names: list[str], left_out: list[str]) -> str:
    count = study["species"]["n_photos"].sel(species=names).values if "n_photos" in study["species"] else None
    photos = "" if count is None else f", {counted(int(count.sum()), 'photo')} ({count.min()} to {count.max()} each)"
    direction = "" if scores.attrs["by"] != "logits" else " Rows are targets; the measure is not symmetric."
    gone = f" Left out, for want of photos: {join(shown(n) for n in left_out)}." if left_out else ""
    return (
        f"Similarity of {len(names)} species{photos}: {scores.attrs['measure']}; larger is more similar.{direction} "
        "Ordered by average-linkage hierarchical clustering (of both directions' mean) with optimal leaf order; the "
        f"tree's height is the drop in similarity. The diagonal is not drawn.{gone} Network {study.attrs.get('model')}."
    )


def _outline(content: SimilarityMap) -> np.ndarray:
    """All forks in one line, with gaps: places, and distances from the leaves."""
    return np.pad(content.branches, ((0, 0), (0, 1), (0, 0)), constant_values=np.nan).reshape(-1, 2).T


# --- for print ---


class Plan(NamedTuple):
    """Millimetres of a cell's side, and the names with their font size; no names where there is no room."""

    cell: float
    names: list[str]
    size: float


def print_similarity(content: SimilarityMap, width: float) -> Figure:
    """Draw tree and matrix, `width` millimetres wide; within `finerkit.figures.page.paper_style`."""
    number, plan = len(content.names), _plan(content, width)
    if not plan.names:
        warnings.warn(
            f"{number} names are too many for {width:g} mm and were left out: save(path, width_mm=...) with "
            f"{_width_for(content, width)} or more prints them.",
            stacklevel=3,
        )
    names = max((_width(n, plan.size) for n in plan.names), default=0)
    used = min(width, max(plan.cell * number + names + _TREE * width + 4, 75))
    figure = Figure(figsize=(width / 25.4, (plan.cell * number + names + _BAR + 6) / 25.4), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.02, wspace=0, hspace=0, rect=(0, 0, used / width, 1))
    figure.suptitle(content.title, x=0.003, ha="left", fontsize=8, fontweight="bold")
    tree, ax = figure.subplots(1, 2, width_ratios=[_TREE * width, plan.cell * number])
    places, heights = _outline(content)
    tree.plot(heights, places, color="black", linewidth=0.6, solid_capstyle="projecting")
    tree.set(ylim=(number - 0.5, -0.5), xlim=(1.03 * content.branches[..., 1].max(initial=0) or 1, 0))
    tree.set_axis_off()
    drawn = _matrix(ax, content, plan)
    below = {"location": "bottom", "anchor": (0, 1), "shrink": min(0.9, 60 / used), "aspect": 30, "pad": 0.03}
    bar = figure.colorbar(drawn, ax=[tree, ax], **below)
    bar.set_label(wrap(content.legend, used - 2), loc="left")
    bar.outline.set_linewidth(0.4)
    bar.solids.set_rasterized(True)
    return figure


def _plan(content: SimilarityMap, width: float) -> Plan:
    """The largest names that fit their lines; long ones are cut only in the smallest."""
    number, longest, room = len(content.names), 0.3 * width, (1 - _TREE) * width - 4
    for size in np.arange(_FONT, _LEAST_FONT - 0.1, -0.25):
        names = [_cut(n, longest, size) for n in content.names]
        cell = min((room - max(_width(n, size) for n in names)) / number, _LARGEST_CELL)
        whole = names == list(content.names) or size <= _LEAST_UNCUT
        if whole and 1.14 * size * _MM_PER_POINT <= cell:
            return Plan(cell, names, float(size))
    return Plan(min(room / number, _LARGEST_CELL), [], 0.0)


def _width_for(content: SimilarityMap, width: float) -> int:
    """The next width, in tens of millimetres, that has room for names."""
    wide = 10 * int(width // 10 + 1)
    while not _plan(content, wide).names and wide < 2000:
        wide += 10
    return wide


def _width(text: str, size: float) -> float:
    """Millimetres that plain text takes; in `finerkit.figures.page.paper_style`."""
    return size / 100 * text_width(text, 100)


def _cut(name: str, room: float, size: float) -> str:
    """A name that fits, with an ellipsis where it had to be cut."""
    wide = _width(name, size)
    return name if wide <= room else name[: int(len(name) * room / wide) - 2].rstrip() + "…"


def _matrix(ax: Axes, content: SimilarityMap, plan: Plan) -> QuadMesh:
    number, (low, high) = len(content.names), content.limits
    edges = np.arange(number + 1) - 0.5
    cmap = mpl.colormaps[content.cmap].with_extremes(bad="0.88")
    gap = {"edgecolors": "white", "linewidth": min(0.5, plan.cell / 8)} if plan.cell > 2 else {"rasterized": True}
    drawn = ax.pcolormesh(edges, edges, np.ma.masked_invalid(content.values), cmap=cmap, vmin=low, vmax=high, **gap)
    for i, j, text, size in cell_texts(content, plan.cell):
        ink = ink_on(drawn.to_rgba(content.values[i, j]))
        ax.text(j, i, text, fontsize=size, color=ink, ha="center", va="center_baseline")
    ax.set_xticks(range(len(plan.names)), plan.names, fontsize=plan.size, rotation=90)
    ax.set_yticks(range(len(plan.names)), plan.names, fontsize=plan.size)
    ax.tick_params(length=0, labelright=True, labelleft=False)
    ax.spines[:].set_visible(False)
    ax.set_ylim(number - 0.5, -0.5)
    return drawn


def cell_texts(content: SimilarityMap, cell: float) -> list[tuple[int, int, str, float]]:
    """Row, column, words and font size (points) of each cell's number; none if they would be too small to read."""
    known = np.argwhere(~np.isnan(content.values)).tolist()
    for decimals in (2, 1):
        texts = [(i, j, fixed(content.values[i, j], decimals)) for i, j in known]
        size = min(_FONT, (cell - 0.8) / max(_width(t, 1) for t in {t for *_, t in texts}))
        if size >= _LEAST_FONT:
            return [(i, j, text, size) for i, j, text in texts]
    return []


# --- on screen ---


def _on_screen(content: SimilarityMap) -> go.Figure:
    """Draw tree and matrix; every number on hover, and in its cell where it fits."""
    number = len(content.names)
    cell = min(_SCREEN_CELL, _SCREEN_PAGE / number)
    side, letters = cell * number, 7.5 * min(max(len(n) for n in content.names), 40)
    figure = make_subplots(1, 2, column_widths=[_SCREEN_TREE, side], horizontal_spacing=0.0, shared_yaxes=True)
    (places, heights), line = _outline(content), {"color": "black", "width": 1.2}
    figure.add_trace(go.Scatter(x=heights, y=places, mode="lines", line=line, hoverinfo="skip", cliponaxis=False), 1, 1)
    figure.add_trace(_unknown(content), 1, 2)
    figure.add_trace(_heat(content, cell), 1, 2)
    names = {"tickvals": list(range(number)), "ticktext": [safe(n) for n in content.names]}
    bare, plain = {"visible": False}, {"ticks": "", "showline": False, "zeroline": False}
    figure.update_yaxes(range=[number - 0.5, -0.5], **bare, row=1, col=1)
    figure.update_yaxes(range=[number - 0.5, -0.5], side="right", showticklabels=True, **names, **plain, row=1, col=2)
    figure.update_xaxes(autorange="reversed", **bare, row=1, col=1)
    figure.update_xaxes(range=[-0.5, number - 0.5], tickangle=-90, **names, **plain, row=1, col=2)
    bottom, top = content.limits
    # A see-through colour scale would be wrong here: cells lie on nothing.
    scale = for_plotly(mpl.colormaps[content.cmap](np.linspace(0, 1, 256)))
    bar = {
        "title": {"text": safe(content.legend), "side": "top", "font_size": 12}, "orientation": "h", "thickness": 12,
        "lenmode": "pixels", "len": min(380, max(side, 240)), "xanchor": "left",
        "x": _SCREEN_TREE / (_SCREEN_TREE + side), "y": -(letters + 24) / side, "yanchor": "top", "ypad": 0,
        "nticks": 6,
    }  # fmt: skip
    return look(
        figure,
        content.title,
        coloraxis={"cmin": bottom, "cmax": top, "colorscale": scale, "colorbar": bar},
        width=max(_SCREEN_TREE + side + letters + 30, 480),
        height=side + letters + 48 + 90,
        margin={"l": 15, "r": letters + 15, "t": 48, "b": letters + 90},
        showlegend=False,
    )


def _unknown(content: SimilarityMap) -> go.Heatmap:
    """Grey where there is no number, which white would not say."""
    places = list(range(len(content.names)))
    z = np.where(np.isnan(content.values), 0.0, None)
    grey = [[0, "#e0e0e0"], [1, "#e0e0e0"]]
    return go.Heatmap(z=z, x=places, y=places, xgap=1, ygap=1, colorscale=grey, showscale=False, hoverinfo="skip")


def _heat(content: SimilarityMap, cell: float) -> go.Heatmap:
    number = len(content.names)
    known = ~np.isnan(content.values)
    text = np.where(known, [[fixed(v, 2) for v in row] for row in content.values], "")
    names = [safe(n) for n in content.names]
    hover = [[f"{a}<br>{b}<br>{text[i, j]}" for j, b in enumerate(names)] for i, a in enumerate(names)]
    return go.Heatmap(
        z=np.where(known, content.values, None),
        x=list(range(number)),
        y=list(range(number)),
        customdata=hover,
        text=text if cell >= _LEGIBLE else None,
        texttemplate="%{text}" if cell >= _LEGIBLE else None,
        xgap=1,
        ygap=1,
        coloraxis="coloraxis",
        hovertemplate="%{customdata}<extra></extra>",
        hoverongaps=False,
    )
