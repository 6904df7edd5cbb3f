"""Show the traits of a guide: crops, names, counts and shares, with background kept apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from finerkit.figures.trait_sheet import Crop, exemplar_crops
from finerkit.figures.words import share, shown
from finerkit.guide.markup import Markup, species_name, tag, together
from finerkit.guide.photos import data_url
from finerkit.photo_display import display_crop, is_there

if TYPE_CHECKING:
    import xarray as xr

    from finerkit.guide.question import Topic

_PIXELS = 300  # longest side of a crop
_CROPS = 6

_OFTEN = (
    (1.0, "always"),
    (0.9, "nearly always"),
    (0.6, "usually"),
    (0.4, "about half the time"),
    (0.1, "sometimes"),
    (1e-9, "rarely"),
)


class Seen(NamedTuple):
    """In how many photos of a species a trait was seen."""

    species: str
    photos: int
    of: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.photos / self.of if self.of else 0.0

    @property
    def often(self) -> str:
        """In words."""
        return next((words for least, words in _OFTEN if self.share >= least), "never")


def counts(traits: xr.Dataset, k: int, species: list[str]) -> list[Seen]:
    """How often trait `k` was seen in photos of these species; photos that could not be explained do not count."""
    labels = traits["true_species"].values.astype(str)
    known = np.isfinite(traits["trait_evidence"].values[:, k])
    shows = traits["shows"].values[:, k].astype(bool)
    found = []
    for name in species:
        mine = (labels == name) & known
        found.append(Seen(name, int((mine & shows).sum()), int(mine.sum())))
    return found


def trait_section(topic: Topic) -> Markup | None:
    """Section on the traits, largest share of the margin first; None without traits."""
    traits = topic.traits
    if traits is None:
        return None
    held = traits["share_of_margin"].values
    background = traits["background"].values.astype(bool)
    order = [int(k) for k in np.argsort(-np.nan_to_num(held), kind="stable")]
    real, doubtful = [k for k in order if not background[k]], [k for k in order if background[k]]
    cards = [_card(topic, k) for k in real] or [
        tag("p", "Every region that was found looks like background, see below.", class_="note")
    ]
    return tag(
        "section",
        tag("h2", "Traits to look for"),
        _lead(topic, float(held[real].sum()), len(real)),
        *cards,
        *_background(topic, doubtful),
        id="traits",
    )


def _lead(topic: Topic, held: float, number: int) -> Markup:
    unnamed = any(str(t).startswith("trait ") for t in topic.traits["trait"].values)
    naming = " Names such as “trait 1” are placeholders, until a person names what they see." if unnamed else ""
    total = f" Together the traits carry {held:.0%} of {_whole(topic)}." if number > 1 and np.isfinite(held) else ""
    return tag(
        "p",
        "Patches that argue for ",
        species_name(topic.target),
        " in the same way were gathered across its photos. Each group is a trait; white outlines show it in the photos "
        f"where it is strongest, to within a cell of the network’s grid.{total}{naming}",
    )


def _whole(topic: Topic) -> str:
    """What a share is a share of."""
    strength = topic.traits.attrs["strength"]
    return "the margin" if strength == 1 else f"what argues for it at strength {strength:g}"


def _card(topic: Topic, k: int, *, doubtful: bool = False) -> Markup:
    one = topic.traits.isel(trait=k)
    seen = counts(topic.traits, k, topic.species)
    crops = [picture for crop in _crops(topic, k) if (picture := _crop(topic, crop)) is not None]
    missing = tag("p", "No photo that shows it could be read when this page was written.", class_="note")
    name = str(one["trait"].item())
    held = share(float(one["share_of_margin"]), _whole(topic))
    carries = f"It carries {held}" if np.isfinite(one["share_of_margin"]) else held.capitalize()
    stability = float(one["stability"])
    again = f"Found again in resampled photos: {stability:.2f} (1: always the same)."
    facts = f"{carries}. {again if np.isfinite(stability) else 'A person grouped its regions.'}"
    shared = " Look-alikes show it too: not enough on its own." if _is_shared(seen) else ""
    return tag(
        "article",
        tag(
            "div",
            tag("h3", name[:1].upper() + name[1:]),
            tag("p", _in_words(seen), class_="verdict"),
            _table(seen),
            tag("p", f"{facts}{shared}", class_="note"),
            class_="words",
        ),
        tag("div", *crops, class_="crops") if crops else missing,
        class_="trait doubtful" if doubtful else "trait",
    )


def _is_shared(seen: list[Seen]) -> bool:
    """Whether a look-alike shows it at least half as often as the target does."""
    return any(s.share > 0 and s.share >= 0.5 * seen[0].share for s in seen[1:])


def _in_words(seen: list[Seen]) -> Markup:
    """Say it as a sentence: 'Seen in 23 of 24 photos of A, 1 of 24 of B.'."""
    parts = [_of(seen[0], "photos of "), *(_of(s, "of ") for s in seen[1:])]
    return together(["Seen in ", together(parts, ", "), "."])


def _of(seen: Seen, what: str) -> Markup:
    return together([tag("b", f"{seen.photos} of {seen.of}"), f" {what}", species_name(seen.species)])


def _table(seen: list[Seen]) -> Markup:
    rows = [
        tag(
            "tr",
            tag("th", species_name(s.species), scope="row"),
            tag("td", tag("span", tag("i", style=f"width: {100 * s.share:.1f}%"), class_="bar", aria_hidden="true")),
            tag("td", f"{s.share:.0%}", class_="number"),
            tag("td", s.often),
            class_="target" if i == 0 else None,
        )
        for i, s in enumerate(seen)
    ]
    heads = [tag("th", words, scope="col") for words in ("Species", "Share of photos", "in %", "in words")]
    return tag("table", tag("thead", tag("tr", *heads), class_="unseen"), tag("tbody", *rows), class_="prevalence")


# --- crops ---


def _photos(topic: Topic) -> xr.Dataset:
    return topic.pair if topic.study is None else topic.study["images"].to_dataset()


def _crops(topic: Topic, k: int) -> list[Crop]:
    photos = _photos(topic)
    known = np.isin(topic.traits["exemplar"].values.astype(str), photos["image"].values.astype(str))
    best = np.where(known, topic.traits["exemplar"].values, "")
    traits = topic.traits.assign(exemplar=(("trait", "exemplar_rank"), best))
    return exemplar_crops(traits, photos, k, traits.sizes["exemplar_rank"])[:_CROPS]


def _crop(topic: Topic, crop: Crop) -> Markup | None:
    """A part of a photo with the trait's outline; None where its file is not there."""
    one = _photos(topic).sel(image=crop.image)
    width, height, path = int(one["width"]), int(one["height"]), str(one["path"].item())
    if not is_there(path):
        return None
    left, top, right, bottom = (
        max(crop.box[0], 0),
        max(crop.box[1], 0),
        min(crop.box[2], width),
        min(crop.box[3], height),
    )
    part = display_crop(path, (width, height), (left, top, right, bottom), _PIXELS)
    file = crop.image.split("/")[-1]
    image = tag(
        "img", src=data_url(part), width=part.width, height=part.height,
        alt=f"{shown(topic.target)}: the trait outlined in a part of {file}",
    )  # fmt: skip
    box = (left, top, right - left, bottom - top)
    return tag("figure", image, _outline(crop.outlines, box))


def _outline(rings: list[list[list[float]]], box: tuple[float, float, float, float]) -> Markup:
    """Rings over a picture of this box (left, top, width, height), all in pixels of the original photo."""
    points = [" ".join(f"{float(x):.1f},{float(y):.1f}" for x, y in ring) for ring in rings]
    lines = [tag("polygon", points=p, class_=kind) for kind in ("under", "over") for p in points]
    view = " ".join(f"{v:.1f}" for v in box)
    return tag("svg", *lines, viewBox=view, preserveAspectRatio="none", aria_hidden="true")


# --- background ---


def _background(topic: Topic, doubtful: list[int]) -> list[Markup]:
    if not doubtful:
        return []
    several = "These regions lie" if len(doubtful) > 1 else "This region lies"
    warning = tag(
        "p",
        tag("b", "Do not use for identification. "),
        f"{several} mostly beside the animal or along the photo’s border: the network has noticed how or where the "
        "photos were taken, not the species. Where much of the margin comes from it, take photos of all species in the "
        "same surroundings and compare again.",
        class_="warning",
    )
    return [tag("h3", "Probably background"), warning, *(_card(topic, k, doubtful=True) for k in doubtful)]
