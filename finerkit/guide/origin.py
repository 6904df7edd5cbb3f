"""Say where a guide comes from: model, weights, versions, dates and numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from finerkit._version import __version__
from finerkit.figures.words import counted
from finerkit.guide.findings import accuracy, wins
from finerkit.guide.markup import Markup, listed, species_name, tag
from finerkit.identity import Identity

if TYPE_CHECKING:
    from finerkit.guide.question import Topic

_PICKED = {
    "user": "chosen by hand",
    "embedding": "the nearest by similarity of their mean embeddings",
    "weights": "the nearest by the weights of the species head",
    "logits": "the nearest by their logits",
    "confusion": "those it is confused with most",
    "taxonomy": "the nearest by taxonomy",
}


def origin(topic: Topic, author: str | None) -> Markup:
    """Section on how the page was made."""
    rows = {name: value for name, value in _facts(topic, author).items() if value not in (None, "")}
    parts = [part for name, value in rows.items() for part in (tag("dt", name), tag("dd", value))]
    return tag("section", tag("h2", "How this page was made"), tag("dl", *parts, class_="facts"), id="origin")


def today() -> str:
    """Date of the page, in words that no country reads otherwise."""
    now = datetime.now(UTC)
    return f"{now.day} {now:%B %Y}"


def _facts(topic: Topic, author: str | None) -> dict[str, str | Markup | None]:
    attrs = topic.pair.attrs
    picked = str(attrs.get("picked_by", "user"))
    size = f"{attrs['image_size']} × {attrs['image_size']} pixels" if "image_size" in attrs else None
    return {
        "Author": author,
        "Written": today(),
        "Target": species_name(topic.target),
        "Look-alikes": tag(
            "span", listed([species_name(r) for r in topic.references]), f": {_PICKED.get(picked, picked)}"
        ),
        "Photos": f"{counted(topic.pair.sizes['image'], 'photo')} of the target{_in_study(topic)}",
        "Told apart": _told_apart(topic),
        "Accuracy": _accuracy(topic),
        "Network": together_words(attrs.get("model"), size and f"input {size}", _grid(topic)),
        "Weights": tag("code", attrs["weights_hash"]) if attrs.get("weights_hash") else None,
        "Species head": str(attrs.get("head", "")) or None,
        "Made from": _made_from(attrs),
        "Maps": _maps(topic),
        "Traits": _traits(topic),
        "Study": _study(topic),
        "Software": f"finerkit {__version__}{_computed(topic)}",
    }


def together_words(*words: str | None) -> str:
    """The words that there are, with commas."""
    return ", ".join(str(w) for w in words if w)


def _in_study(topic: Topic) -> str:
    if topic.study is None:
        return ""
    images = topic.study["images"].to_dataset()
    number = int((images["status"].values.astype(str) == "ok").sum())
    species = topic.study["species"].sizes["species"]
    return f"; {counted(number, 'photo')} of {species} species in the study"


def _told_apart(topic: Topic) -> str:
    found = wins(topic)
    who = "judging photos that were kept back" if found.unseen else "judging photos it was fitted on"
    return f"in {found.photos} of {found.of} photos the network, {who}, put the target above every look-alike"


def _made_from(attrs: dict[str, object]) -> str | None:
    """Identity of the numbers on the page: other ones than the study's mean that it has changed since."""
    identity = Identity.from_attrs(attrs)
    if not identity.study:
        return None
    return f"study {identity.study}, network {identity.network}, head {identity.head}"


def _accuracy(topic: Topic) -> str:
    found = accuracy(topic)
    if found is None:
        return "not known: the study was not at hand" if topic.study is None else "not cross-validated"
    if not np.isfinite(found.value):
        return "could not be judged: too few photos to keep some back"
    chance = "" if found.chance is None else f" (always guessing the commonest species: {found.chance:.1%})"
    return f"{found.value:.1%} over all species of the study, cross-validated{chance}"


def _grid(topic: Topic) -> str:
    return f"{topic.pair.sizes['y']} × {topic.pair.sizes['x']} cells"


def _maps(topic: Topic) -> str:
    attrs = topic.pair.attrs
    return together_words(
        f"Finer-CAM, method {attrs.get('method', '')}",
        f"layer {attrs['layer']}" if attrs.get("layer") else None,
        f"objective {attrs.get('objective', 'mean')}",
        f"shown at comparison strength {topic.strength:g} at first",
    )


def _traits(topic: Topic) -> str | None:
    if topic.traits is None:
        return None
    attrs = topic.traits.attrs
    return together_words(
        f"{topic.traits.sizes['trait']} by {attrs['method']}",
        f"comparison strength {attrs['strength']:g}",
        f"cells that hold the top {attrs['share']:.0%} of each photo’s positive evidence",
        f"seed {attrs['seed']}",
    )


def _study(topic: Topic) -> str | None:
    """Name of the store (never its whole path, which says more than a reader needs to know) and date."""
    place = topic.pair.attrs.get("store")
    date = str(topic.study.attrs.get("date", ""))[:10] if topic.study is not None else ""
    return together_words(PurePath(str(place)).name if place else None, f"of {date}" if date else None) or None


def _computed(topic: Topic) -> str:
    attrs = topic.pair.attrs
    version, date = attrs.get("finerkit_version"), str(attrs.get("date", ""))[:10]
    return f"; evidence computed with {version} on {date}" if version and date else ""
