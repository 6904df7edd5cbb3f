"""Show the species of a guide: target and references, with their most typical photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finerkit.figures.words import counted, shown
from finerkit.guide.markup import Markup, species_name, tag, together
from finerkit.guide.photos import Picture, pictures, typical_in_study
from finerkit.tables import evidence_table

if TYPE_CHECKING:
    from finerkit.guide.question import Topic

_PIXELS = 560


def plates(topic: Topic, count: int) -> Markup:
    """Section with `count` photos of each species."""
    rows = [_plate(topic, name, count) for name in topic.species]
    note = None
    if topic.study is None:
        note = tag(
            "p",
            "The study that this comparison belongs to was not at hand when this page was written, so photos of the "
            "look-alikes are not shown.",
            class_="note",
        )
    return tag("section", tag("h2", "The species"), *rows, note, id="species")


def _plate(topic: Topic, name: str, count: int) -> Markup | None:
    """One species: name, what is known of it, photos. Without the study only the target has photos."""
    own = name == topic.target
    if topic.study is not None:
        ids, table = typical_in_study(topic.study, name), topic.study["images"].to_dataset()
        how = "nearest to the species’ average, as the network sees it"
    else:
        ids, table = (_clearest(topic), topic.pair) if own else ([], topic.pair)
        how = "the clearest of this comparison"
    shots = pictures(table, ids, count, _PIXELS)
    role = "the species to recognise" if own else "look-alike"
    facts = [
        role,
        None if topic.study is None else f"{counted(len(ids), 'photo')} in the study",
        _similarity(topic, name),
    ]
    words = together([f for f in facts if f], " · ")
    missing = None
    if ids and not shots:
        missing = tag("p", "The files of its photos could not be read when this page was written.", class_="note")
    figures = [_figure(shot, name, f"photo {i + 1} of {len(shots)}, {how}") for i, shot in enumerate(shots)]
    return tag(
        "div",
        tag("h3", species_name(name), tag("small", words)),
        tag("div", *figures, class_="photos") if shots else None,
        missing,
        class_="plate target" if own else "plate",
    )


def _clearest(topic: Topic) -> list[str]:
    margin = evidence_table(topic.pair, 1.0)["margin"]
    return [str(i) for i in margin.sort_values(ascending=False, kind="stable").index]


def _similarity(topic: Topic, name: str) -> str | None:
    """How near a reference is, where that is how it was picked."""
    pair = topic.pair
    if name == topic.target or pair.attrs.get("picked_by") != "embedding" or "reference_score" not in pair.coords:
        return None
    value = f"{float(pair['reference_score'].sel(species=name)):.2f}".replace("-", "\N{MINUS SIGN}")
    return f"similarity {value} (1 at most)"


def _figure(shot: Picture, name: str, what: str) -> Markup:
    """A photo; photos of one row are equally high and together fill it."""
    aspect = shot.width / shot.height
    file = shot.image.split("/")[-1]
    image = tag("img", src=shot.source, width=shot.width, height=shot.height, alt=f"{shown(name)}: {what} ({file})")
    caption = tag("figcaption", f"Photo: {shot.credit}") if shot.credit else None
    return tag("figure", image, caption, style=f"--aspect: {aspect:.4f}")
