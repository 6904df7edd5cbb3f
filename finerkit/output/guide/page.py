"""Fill the templates of a guide: one HTML text that needs nothing from outside."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from finerkit._version import __version__
from finerkit.base.identity import Identity
from finerkit.base.wording import counted, fixed, share, shown
from finerkit.output.guide.explorer import strength_explorer
from finerkit.output.guide.scores import score_table
from finerkit.output.guide.species import plates
from finerkit.output.guide.traits import trait_cards
from finerkit.output.widgets.modules import style
from finerkit.output.widgets.page import policy, scripts

if TYPE_CHECKING:
    from finerkit.output.guide.topic import Topic

#: Control characters, line separators and marks that turn the direction of writing: nothing that a name should do.
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_SCIENTIFIC = re.compile(r"[A-Z][a-z]+(?: [a-z][a-z-]+){1,2}")


def page(topic: Topic, title: str | None, author: str | None, n_photos: int, n_exemplars: int) -> str:
    """Write the page; odd characters, which only names have, become spaces."""
    explorer = strength_explorer(topic, n_photos)
    texts = scripts([explorer["kind"]])
    now, study = datetime.now(UTC), topic.study
    text = _environment().get_template("page.html.jinja").render(
        topic=topic,
        title=title,
        author=author,
        today=f"{now.day} {now:%B %Y}",
        version=__version__,
        wins=topic.wins(),
        plates=plates(topic, n_exemplars),
        explorer=explorer,
        traits=None if topic.traits is None else trait_cards(topic),
        scores=None if topic.scores is None else score_table(topic.scores),
        identity=Identity.from_attrs(topic.pair.attrs),
        usable=int((topic.photos["status"].values.astype(str) == "ok").sum()),
        store=PurePath(topic.pair.attrs.get("store") or "").name,  # a whole path says more than a reader needs to know
        date="" if study is None else str(study.attrs.get("date", ""))[:10],
        scripts=texts,
        policy=policy(texts),
        style=style(),
    )  # fmt: skip
    return _ODD.sub(" ", text.lstrip())


@cache
def _environment() -> Environment:
    """Templates in which whatever is filled in is text; only our own scripts and styles are marked as safe."""
    made = Environment(loader=PackageLoader("finerkit.output.guide"), autoescape=True, undefined=StrictUndefined)
    made.filters |= {"shown": shown, "counted": counted, "fixed": fixed, "share": share}
    made.tests |= {"finite": np.isfinite, "scientific": _is_scientific}
    return made


def _is_scientific(name: str) -> bool:
    return bool(_SCIENTIFIC.fullmatch(shown(name)))
