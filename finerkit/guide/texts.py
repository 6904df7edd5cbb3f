"""Explain how to read a guide, its limits and whom to cite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finerkit._version import __version__
from finerkit.figures.words import counted
from finerkit.guide.markup import Markup, listed, species_name, tag

if TYPE_CHECKING:
    from finerkit.guide.question import Topic


def how_to_read(topic: Topic) -> Markup:
    """Section for a reader who has never seen such a map."""
    rows, columns = topic.pair.sizes["y"], topic.pair.sizes["x"]
    nearest = species_name(topic.references[0])
    steps = [
        [
            tag("b", "A network looked at the photos. "),
            f"It divides each photo into a grid of {rows} × {columns} cells and gives every species points, cell by "
            "cell. The species with the most points is its answer.",
        ],
        [
            tag("b", "Colour shows points. "),
            "Strong colour over a cell: that patch speaks for ",
            species_name(topic.target),
            ". No colour: it says nothing, or it speaks for others.",
        ],
        [
            tag("b", "The slider takes away what is shared. "),
            "At 0 you see all that speaks for the species. At 1, the points that the look-alikes get for the same "
            "patch are taken off in full. What is left is the difference, which is what you need to tell it from ",
            nearest,
            ".",
        ],
        [
            tag("b", "Check with your own eyes. "),
            "Find the patch in several photos of each species. Is it a mark on the animal? Is it there in every photo, "
            "and missing in the look-alikes? Only then is it a trait to rely on.",
        ],
    ]
    words = {
        "Logit": "the points of a species, added up over the photo. One logit more makes a species about 2.7 times as "
        "likely, as the network sees it.",
        "Margin": "the lead, in logits, of the species over its look-alikes. Below zero, the network would have been "
        "wrong.",
        "Share of the margin": "how much of that lead comes from one trait.",
        "Cross-validated": "judged on photos that were kept back while the network’s last layer was fitted, so that it "
        "could not simply remember them.",
    }
    glossary = [part for name, text in words.items() for part in (tag("dt", name), tag("dd", text))]
    return tag(
        "section",
        tag("h2", "How to read this page"),
        tag("ol", *(tag("li", *step) for step in steps), class_="steps"),
        tag("details", tag("summary", "Words used here"), tag("dl", *glossary)),
        id="reading",
    )


def limits(topic: Topic) -> Markup:
    """Section on what this page cannot tell."""
    rows, columns = topic.pair.sizes["y"], topic.pair.sizes["x"]
    number = topic.pair.sizes["image"]
    points = [
        "The maps show what a network uses, which need not be what a taxonomist would name. It can be fooled by "
        "background, pose or light that happen to go with one species.",
        f"Marks are placed to within a cell, 1/{columns} of the photo’s width and 1/{rows} of its height, not to the "
        "pixel. Two small marks in one cell cannot be told apart.",
        f"Everything rests on {counted(number, 'photo')} of the target and on these look-alikes. Other populations, "
        "sexes, ages and seasons may differ, and a species that was not compared may share any trait shown here.",
    ]
    if topic.failed:
        points.append(f"{counted(topic.failed, 'further photo')} of it could not be used.")
    if topic.traits is not None:
        presence = float(topic.traits.attrs["presence"])
        points.append(
            f"“Seen” is a convention: a photo counts if the trait’s evidence reaches {presence:.0%} of what is usual "
            "in the target. A trait that is hidden by pose counts as not seen."
        )
    if not topic.pair.attrs.get("additive"):
        points.append("The cells of these maps do not add up to the logits, so shares are a guide only.")
    if topic.pair.attrs.get("strength_only_scales"):
        points.append("With every other species as look-alike, the slider only makes the colours stronger or weaker.")
    return tag(
        "section", tag("h2", "What this page cannot tell"), tag("ul", *(tag("li", p) for p in points)), id="limits"
    )


def citation() -> Markup:
    """Section on whom to cite."""
    paper = tag(
        "li",
        "Zhang Z, Gu J, Chowdhury A, Mai Z, Carlyn D, Berger-Wolf T, Su Y, Chao W-L (2025). Finer-CAM: Spotting the "
        "Difference Reveals Finer Details for Visual Explanation. ",
        tag("cite", "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)"),
        ". ",
        tag("a", "arXiv:2501.11309", href="https://arxiv.org/abs/2501.11309", rel="noreferrer"),
        ".",
    )
    tool = tag(
        "li",
        "The finerkit developers. finerkit: what distinguishes a species from its look-alikes. Version "
        f"{__version__}. The maps are made with it; the method is that of the paper below.",
    )
    return tag("section", tag("h2", "Please cite"), tag("ul", tool, paper), id="cite")


def headline(topic: Topic) -> Markup:
    """The title: 'How to tell A from B and C'."""
    return tag(
        "h1",
        "How to tell ",
        species_name(topic.target),
        " from ",
        listed([species_name(r) for r in topic.references], "and"),
    )
