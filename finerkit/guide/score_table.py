"""Say in plain words what `finerkit.score` measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finerkit.figures.words import counted
from finerkit.guide.markup import Markup, species_name, tag

if TYPE_CHECKING:
    import xarray as xr

    from finerkit.guide.question import Topic

_TOP = 0.05  # share of the pixels that is reported, if it was measured


class Row(NamedTuple):
    """One measure: its name, what it means, whether more is better, means by strength and of the two baselines."""

    name: str
    meaning: str
    more: bool
    contrast: list[float]
    random: float
    edge: float

    def beats(self, baseline: float) -> bool:
        """Whether the contrast, at its best strength, is better than a baseline."""
        return any((value > baseline) if self.more else (value < baseline) for value in self.contrast)

    @property
    def best(self) -> float:
        """The best of all means."""
        values = np.array([*self.contrast, self.random, self.edge])
        known = values[np.isfinite(values)]
        return float((known.max() if self.more else known.min()) if known.size else np.nan)


_MEANINGS = {
    "relative_drop": (
        "Relative drop",
        "Hide the strongest {top} of the photo: how much more does the network’s belief in the species fall than its "
        "belief in the nearest look-alike? Higher is better.",
        True,
    ),
    "deletion_area": (
        "Deletion",
        "Hide the photo bit by bit, strongest first: how long does the network go on recognising the species? Lower is "
        "better: the first bits mattered.",
        False,
    ),
    "insertion_area": (
        "Insertion",
        "Show the photo bit by bit, strongest first: how soon does the network recognise the species? Higher is "
        "better.",
        True,
    ),
    "energy": ("On the animal", "How much of the colour lies on the animal? 1 is all of it.", True),
    "pointing": ("Strongest point", "In what share of the photos is the strongest cell on the animal?", True),
    "trait_precision": (
        "Precision",
        "Of the strongest {top} of the photo, how much is the trait that a person had marked?",
        True,
    ),
    "trait_recall": ("Recall", "How much of the marked trait is in the strongest {top} of the photo?", True),
    "average_precision": ("Average precision", "How well does the map find the trait that a person had marked?", True),
}


def score_rows(scores: xr.Dataset) -> list[Row]:
    """Means over photos of everything that was measured and is known here."""
    rows = []
    for variable, (name, meaning, more) in _MEANINGS.items():
        if variable not in scores:
            continue
        values, top = scores[variable], ""
        if "top" in values.dims:
            values = values.sel(top=_TOP, method="nearest")
            top = f"{values['top'].item():.0%}"
        mean = values.mean("image").transpose("map_kind", "strength")
        by_map = {m: [float(v) for v in mean.sel(map_kind=m).values] for m in ("contrast", "random", "edge")}
        text = meaning.format(top=top)
        rows.append(Row(name, text, more, by_map["contrast"], by_map["random"][0], by_map["edge"][0]))
    return rows


def score_section(topic: Topic) -> Markup | None:
    """Section on how good the maps are; None without scores."""
    if topic.scores is None or not (rows := score_rows(topic.scores)):
        return None
    strengths = np.atleast_1d(topic.scores["strength"].values)
    heads = ["Measure", *(f"strength {s:g}" for s in strengths), "random map", "edge map"]
    body = [_row(row) for row in rows]
    return tag(
        "section",
        tag("h2", "How good are these maps?"),
        tag(
            "p",
            "A map of ",
            species_name(topic.target),
            " is worth something if hiding what it marks changes the network’s mind, and if it does so more than a map "
            "of random cells, or one that simply marks edges. Each number is the mean over "
            f"{counted(_used(topic.scores), 'photo')}; the best of a row is bold. {_verdict(rows)}",
        ),
        tag(
            "div",
            tag(
                "table",
                tag("thead", tag("tr", *(tag("th", h, scope="col") for h in heads))),
                tag("tbody", *body),
                class_="scores",
            ),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label="Scores of the maps",
        ),
        id="scores",
    )


def _used(scores: xr.Dataset) -> int:
    """Photos that could be scored."""
    return int((scores["status"].values.astype(str) == "ok").sum())


def _verdict(rows: list[Row]) -> str:
    """In how many measures the contrast, at its best strength, beats each baseline; said also where it does not."""
    beaten = {"random cells": "random", "an edge map": "edge"}
    wins = {words: sum(row.beats(getattr(row, field)) for row in rows) for words, field in beaten.items()}
    said = " and ".join(f"{words} in {number} of {counted(len(rows), 'measure')}" for words, number in wins.items())
    caution = ""
    if min(wins.values()) < len(rows):
        caution = (
            " Where it does not, rely on what you see in the photos more than on the colours, and remember that hiding "
            "parts makes pictures unlike any photo, to which a network may react in itself."
        )
    return f"Here the map, at its best strength, beats {said}.{caution}"


def _row(row: Row) -> Markup:
    cells = [_number(v, v == row.best) for v in (*row.contrast, row.random, row.edge)]
    return tag("tr", tag("th", row.name, tag("small", row.meaning), scope="row"), *cells)


def _number(value: float, best: bool) -> Markup:
    words = "–" if np.isnan(value) else f"{value:.3f}".replace("-", "\N{MINUS SIGN}")
    return tag("td", tag("b", words) if best else words, class_="number")
