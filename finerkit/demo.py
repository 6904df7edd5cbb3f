"""The main job on what is installed: a folder enters; two studies with figures, tables and findings leave.

The first explains one real photo with the embedded network's own classes; the second trains a species head on rendered
look-alikes whose only difference is known.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from finerkit.comparisons import compare
from finerkit.datasets import cat, mask, mimics
from finerkit.evidence import contrast
from finerkit.models import load_model
from finerkit.pipeline import analyze
from finerkit.report import Report, accuracy_words, summary, write_report, write_trait_report
from finerkit.similarity import similar_species
from finerkit.tables import trait_table
from finerkit.traits import find_traits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import xarray as xr

    from finerkit.models import Model

_CAT, _OTHER_CATS = "Egyptian cat", ("tiger cat", "tabby, tabby cat")


def run_demo(out: Path, photos: int = 24, say: Callable[[str], None] = print) -> list[Report]:
    """Run the main job twice on embedded data.

    Parameters
    ----------
    out
        Folder for everything: photos, studies, figures and tables.
    photos
        Rendered photos per species.
    say
        Called with each finding.

    Returns
    -------
    list of Report
        Files of the cat and of the rendered butterflies.
    """
    model = load_model()
    return [_cat(out, model, say), _butterflies(out, model, photos, say)]


def _cat(out: Path, model: Model, say: Callable[[str], None]) -> Report:
    say("\n1. One photo, the network's own classes: why Egyptian cat, and not tiger cat or tabby?")
    study = analyze(cat(out / "cat-photo"), model, out / "cat.zarr", head="model")
    logit = study["predictions"]["logit"].isel(image=0)
    best = logit.copy(data=softmax(logit.values)).sortby(logit, ascending=False)[:3]
    say(
        "   The network says: "
        + ", ".join(f"{n} {p:.2f}" for n, p in zip(best.species.values, best.values, strict=True))
    )
    pair = compare(study, _CAT, list(_OTHER_CATS))
    total = (pair["evidence"].sum(("y", "x")) + pair["bias"] - pair["logit"]).isel(image=0)
    say(f"   The evidence maps add up to the logits (to within {max(float(np.abs(total).max()), 1e-7):.0e}).")
    files = write_report(pair, out)
    _say_files(files, say)
    return files


def _butterflies(out: Path, model: Model, photos: int, say: Callable[[str], None]) -> Report:
    say(f"\n2. Pairs of look-alikes that differ in one planted trait, {photos} rendered photos of each species.")
    images = mimics(photos, 2, out=out / "mimics")
    study = analyze(images, model, out / "mimics.zarr")
    say(f"   Cross-validated accuracy of the species head: {accuracy_words(study)}")
    shows = images.isel(image=images["trait_present"].values.astype(bool))
    target = str(shows["species"].values[0])
    nearest = similar_species(study, target, k=1)
    say(f"   Nearest look-alike of {target}: {nearest.species.item(0)} (similarity {float(nearest[0]):.2f})")
    pair = compare(study, target, 1)
    say(f"   {summary(pair)}")
    near = trait_hits(pair, images)
    say(
        f"   The planted trait is: {shows['trait'].values[0]}. At strength 1 the strongest cell touches it, or "
        "is next to it, "
        f"in {near.sum()} of {len(near)} photos."
    )
    traits = find_traits(pair, masks=lambda image: mask(images, image, "animal"))
    columns = ["share_of_margin", "prevalence", f"prevalence: {nearest.species.item(0)}", "stability", "off_animal"]
    say(
        "   Its traits, clustered over the photos:\n"
        + indent(trait_table(traits)[columns].to_string(na_rep="-"), "   ")
    )
    files = write_report(pair, out)
    _say_files(files, say)
    say(f"   Trait sheet {write_trait_report(traits, out).sheet}")
    return files


def trait_hits(pair: xr.Dataset, images: xr.Dataset, strength: float = 1.0) -> np.ndarray:
    """Whether the strongest cell of each photo lies within one cell of the planted trait: boolean (image)."""
    maps = contrast(pair, strength).values
    hits = []
    for i, image in enumerate(pair.image.values):
        one = pair.isel(image=i)
        y, x = np.unravel_index(maps[i].argmax(), maps[i].shape)
        left, top, width, height = (float(one[f"cell_{v}"]) for v in ("left", "top", "width", "height"))
        planted = mask(images, image, "trait").astype(bool)
        rows = slice(max(0, int(top + (y - 1) * height)), max(0, int(np.ceil(top + (y + 2) * height))))
        columns = slice(max(0, int(left + (x - 1) * width)), max(0, int(np.ceil(left + (x + 2) * width))))
        hits.append(bool(planted[rows, columns].any()))
    return np.array(hits, bool)


def _say_files(files: Report, say: Callable[[str], None]) -> None:
    say(f"   Picture     {files.picture}\n   Interactive {files.interactive}\n   Table       {files.table}")
