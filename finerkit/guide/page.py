"""Put a guide's sections and scripts together as one HTML text that needs nothing from outside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from finerkit._version import __version__
from finerkit.figures.words import join, shown
from finerkit.guide.findings import wins
from finerkit.guide.markup import Markup, species_name, tag, together
from finerkit.guide.origin import origin, today
from finerkit.guide.plates import plates
from finerkit.guide.play import play
from finerkit.guide.score_table import score_section
from finerkit.guide.texts import citation, headline, how_to_read, limits
from finerkit.guide.trait_cards import trait_section
from finerkit.widgets.modules import style
from finerkit.widgets.page import policy

if TYPE_CHECKING:
    from finerkit.guide.question import Topic

_STYLE = Path(__file__).with_name("guide.css")

_PLACES = {
    "species": "The species",
    "reading": "How to read",
    "explore": "See for yourself",
    "traits": "Traits",
    "scores": "Scores",
    "limits": "Limits",
    "origin": "How it was made",
    "cite": "Cite",
}


class Wishes(NamedTuple):
    """How the page is to look."""

    title: str | None
    author: str | None
    n_photos: int
    n_exemplars: int


def page(topic: Topic, wishes: Wishes) -> str:
    """Write the page."""
    shown_page = play(topic, wishes.n_photos)
    sections = {
        "species": plates(topic, wishes.n_exemplars),
        "reading": how_to_read(topic),
        "explore": shown_page.section,
        "traits": trait_section(topic),
        "scores": score_section(topic),
        "limits": limits(topic),
        "origin": origin(topic, wishes.author),
        "cite": citation(),
    }
    there = {name: section for name, section in sections.items() if section is not None}
    links = [tag("li", tag("a", _PLACES[name], href=f"#{name}")) for name in there]
    scripts = [Markup(f'<script type="module">{text}</script>') for text in shown_page.scripts]
    body = tag(
        "body",
        tag("a", "Skip to the photos", href="#species", class_="skip"),
        tag("header", _heading(topic, wishes), tag("nav", tag("ul", *links), aria_label="On this page")),
        tag("main", *there.values()),
        tag(
            "footer", tag("p", f"Made with finerkit {__version__}, {today()}. This file is complete: it works offline.")
        ),
        *scripts,
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(shown_page.scripts)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="generator", content=f"finerkit {__version__}"),
        tag("meta", name="author", content=wishes.author) if wishes.author else None,
        tag("title", wishes.title or _title(topic)),
        Markup(f"<style>{style()}\n{_STYLE.read_text(encoding='utf-8')}</style>"),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _title(topic: Topic) -> str:
    return f"How to tell {shown(topic.target)} from {join([shown(r) for r in topic.references])}"


def _heading(topic: Topic, wishes: Wishes) -> Markup:
    found = wins(topic)
    seen = "photos that were kept back from its training" if found.unseen else "photos"
    lead = tag(
        "p",
        "An identification guide made from photos. A neural network tells ",
        species_name(topic.target),
        " from ",
        "its look-alike" if len(topic.references) == 1 else f"all {len(topic.references)} look-alikes",
        f" in {found.photos} of {found.of} {seen}. Here you see where on the animal it finds the difference"
        f"{', and how many photos show it' if topic.traits is not None else ''}.",
        class_="lead",
    )
    title = tag("h1", wishes.title) if wishes.title else headline(topic)
    by = tag("p", together([f"By {wishes.author}", today()], " · "), class_="by") if wishes.author else None
    return together([title, lead, by])
