"""Put the strength explorer into a guide, for a page without kernel."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from finerkit.output.guide.species import with_files
from finerkit.output.widgets.page import embedded
from finerkit.output.widgets.strength import StrengthExplorer
from finerkit.photos.display import data_url
from finerkit.photos.read import PhotoWarning

if TYPE_CHECKING:
    from finerkit.output.guide.topic import Topic


def strength_explorer(topic: Topic, n_photos: int) -> dict[str, Any]:
    """The explorer's HTML and kind, a still picture, how many photos it has and how many of them lost their file.

    Photos are evenly spread from the clearest to the least clear; those that can be shown go first.
    """
    order = topic.clearest()
    there = with_files(topic.pair, order)
    pool = there or order
    places = np.unique(np.linspace(0, len(pool) - 1, min(n_photos, len(pool))).round().astype(int))
    part = topic.pair.sel(image=[pool[i] for i in places])
    with warnings.catch_warnings(action="ignore", category=PhotoWarning):  # the page's topic has been said to lack them
        explorer = StrengthExplorer(part, strength=topic.strength, page_size=len(places))
    try:
        about = explorer._about | {"live": False}  # noqa: SLF001 - the page's own copy
        here = embedded(explorer, "explorer", _about=about)
        still = data_url(explorer.snapshot(), "png")
    finally:
        explorer.close()
    return here._asdict() | {"still": still, "number": len(places), "lost": 0 if there else len(places)}
