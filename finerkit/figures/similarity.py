"""Draw how similar the species of a study are, ordered by a tree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from finerkit.figures.paper import PaperFigure
from finerkit.figures.similarity_print import print_similarity
from finerkit.figures.similarity_screen import screen_similarity
from finerkit.figures.words import counted, join, shown
from finerkit.names import resolve
from finerkit.similarity import similar_species
from finerkit.similarity_tree import branches, similarity_tree
from finerkit.study import as_study

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr

    from finerkit.similarity_tree import Branch

_COSINES = ("embedding", "weights")
_LEGENDS = {
    "embedding": "similarity (cosine of centred mean embeddings)",
    "weights": "similarity (cosine of centred head weights)",
    "logits": "similarity (minus the mean logit difference, in logits)",
    "confusion": "similarity (mean probability of the other species)",
    "taxonomy": "similarity (share of taxonomic ranks)",
}


@dataclass(frozen=True)
class SimilarityMap:
    """All that a similarity map shows. Names are plain text, in the order of the tree's leaves.

    ``values`` (species, species), rows being targets; the diagonal is NaN: a species with itself says nothing.
    ``branches``: each a (4, 2) line in steps of leaves (0 at the centre of the first) and distance from the leaves.
    """

    names: tuple[str, ...]
    values: np.ndarray
    branches: tuple[np.ndarray, ...]
    limits: tuple[float, float]
    cmap: str
    symmetric: bool
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
    return PaperFigure(screen_similarity(content), content=content, paper=partial(print_similarity, content))


def similarity_of(
    study: xr.DataTree,
    by: str = "embedding",
    species: Iterable[str] | None = None,
    ranks: Iterable[str] | None = None,
) -> SimilarityMap:
    """Gather what `similarity_map` draws, from its parameters."""
    study = as_study(study)
    scores = similar_species(study, by=by, ranks=ranks)
    names = [str(s) for s in scores.species.values]
    if species is not None:
        wanted = [species] if isinstance(species, str) else list(species)
        names = list(dict.fromkeys(resolve(s, names) for s in wanted))
    matrix = scores.sel(target=names, species=names).values.astype(float)
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
        branches=tuple(_line(b, top) for b in branches(tree)),
        limits=_limits(matrix, signed),
        cmap="RdBu_r" if signed else "viridis",
        symmetric=bool(np.allclose(matrix, matrix.T, equal_nan=True)),
        title="Similarity of species",
        legend=_LEGENDS[by],
        caption=_caption(study, scores, names, left_out),
    )


def _line(branch: Branch, top: float) -> np.ndarray:
    """A fork as a line in steps of leaves and distance from them."""
    height = max(top - branch.similarity, 0.0)
    stems = [0.0 if np.isnan(end) else max(top - end, 0.0) for end in (branch.first_stem, branch.last_stem)]
    places = [branch.first, branch.first, branch.last, branch.last]
    return np.column_stack([places, [stems[0], height, height, stems[1]]])


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
