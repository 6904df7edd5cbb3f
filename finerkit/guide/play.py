"""Put the strength explorer into a guide, for a page without kernel."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finerkit.figures.words import counted
from finerkit.guide.markup import Markup, listed, species_name, tag
from finerkit.guide.photos import data_url
from finerkit.images import PhotoWarning
from finerkit.photo_display import is_there
from finerkit.tables import evidence_table
from finerkit.widgets.page import embedded, scripts
from finerkit.widgets.strength import StrengthExplorer

if TYPE_CHECKING:
    from finerkit.guide.question import Topic


class Play(NamedTuple):
    """The section, and the scripts that bring it to life, which belong at the page's end."""

    section: Markup
    scripts: list[str]


def play(topic: Topic, n_photos: int) -> Play:
    """Section with the strength explorer over `n_photos` photos, evenly spread from the clearest to the least clear."""
    chosen, gone = _spread(topic, n_photos)
    part = topic.pair.sel(image=chosen)
    with warnings.catch_warnings(action="ignore", category=PhotoWarning):  # the page's topic has been said to lack them
        explorer = StrengthExplorer(part, strength=topic.strength, page_size=len(chosen))
    try:
        about = explorer._about | {"live": False}  # noqa: SLF001 - the page's own copy
        here = embedded(explorer, "explorer", _about=about)
        still = data_url(explorer.snapshot())
    finally:
        explorer.close()
    others = listed([species_name(r) for r in topic.references], "or")
    lead = tag(
        "p",
        "The colours mark what, in each photo, argues for ",
        species_name(topic.target),
        ". Move the slider: at 0 you see everything that speaks for it, including what its look-alikes have as well. "
        "Further to the right, what it shares with ",
        others,
        " is taken away, and what sets it apart stays. Untick a look-alike to leave it out; click a photo to enlarge "
        "it.",
    )
    spread = "all of them" if len(chosen) == topic.pair.sizes["image"] else "from the clearest to the least clear"
    note = f"{counted(len(chosen), 'photo')} of {topic.pair.sizes['image']}, {spread}. The page opens at comparison "
    note += f"strength {topic.strength:g}, against all look-alikes."
    if gone:
        note += f" {counted(gone, 'file')} could not be read any more and are drawn as “photo not found”."
    without = tag(
        "noscript",
        tag("p", "Scripts are switched off here, so this is a still picture.", class_="note"),
        tag("img", src=still, alt="Photos with what argues for the species marked in colour", class_="still"),
    )
    section = tag(
        "section",
        tag("h2", "See what sets it apart"),
        lead,
        tag("div", Markup(here.body), class_="wide"),
        without,
        tag("p", note, class_="note"),
        id="explore",
    )
    return Play(section, scripts([here.kind]))


def _spread(topic: Topic, n_photos: int) -> tuple[list[str], int]:
    """Ids to show, and how many of them have lost their file; photos that can be shown go first."""
    margin = evidence_table(topic.pair, 1.0)["margin"].sort_values(ascending=False, kind="stable")
    paths = dict(zip(topic.pair["image"].values.astype(str), topic.pair["path"].values.astype(str), strict=True))
    order = [str(i) for i in margin.index]
    there = [i for i in order if is_there(paths[i])]
    pool = there or order
    places = np.unique(np.linspace(0, len(pool) - 1, min(n_photos, len(pool))).round().astype(int))
    return [pool[i] for i in places], 0 if there else len(places)
