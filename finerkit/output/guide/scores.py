"""Compare the maps of a guide with random and edge maps, by what `finerkit.score` measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from finerkit.measures.definitions import PER_MAP, Definition

if TYPE_CHECKING:
    import xarray as xr

_TOP = 0.05  # share of the pixels that is reported, if it was measured


def score_table(scores: xr.Dataset) -> dict[str, Any] | None:
    """Means over photos of everything that was measured and that readers have words for; None without.

    A row's ``means`` are those of the contrast at each strength, then of the random and the edge map.
    """
    rows = [_row(known, scores[name]) for name, known in PER_MAP.items() if known.words and name in scores]
    return rows and {
        "strengths": np.atleast_1d(scores["strength"].values).tolist(),
        "rows": rows,
        "photos": int((scores["status"].values.astype(str) == "ok").sum()),
    }


def _row(known: Definition, values: xr.DataArray) -> dict[str, Any]:
    """One measure, and whether the contrast, at its best strength, beats each baseline."""
    top = ""
    if "top" in values.dims:
        values = values.sel(top=_TOP, method="nearest")
        top = f"{values['top'].item():.0%}"
    mean = values.mean("image").transpose("map_kind", "strength")
    contrast = mean.sel(map_kind="contrast").values.tolist()
    random, edge = (float(mean.sel(map_kind=name)[0]) for name in ("random", "edge"))
    sign = 1 if known.more_is_better else -1
    means = [*contrast, random, edge]
    return {
        "title": known.title,
        "words": known.words.format(top=top),
        "means": means,
        "best": max((v for v in means if np.isfinite(v)), key=lambda v: sign * v, default=np.nan),
        "beats_random": any(sign * v > sign * random for v in contrast),
        "beats_edge": any(sign * v > sign * edge for v in contrast),
    }
