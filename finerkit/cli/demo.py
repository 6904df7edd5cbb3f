"""Do the main job twice on photos that are installed with finerkit.

The first study explains one real photo with the embedded network's own classes; the second trains a species head on
drawn look-alikes whose only difference is known.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from finerkit.analysis.analyze import analyze
from finerkit.base.geometry import GridPlace
from finerkit.cli.report import Report, accuracy_words, summary, write_report, write_trait_report
from finerkit.datasets import cat, mask, mimics
from finerkit.evidence.compare import compare
from finerkit.evidence.contrast import contrast
from finerkit.networks import load_model
from finerkit.output.tables.frames import trait_table
from finerkit.species.similarity import similar_species
from finerkit.traits import find_traits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import xarray as xr

    from finerkit.networks import Model

_CAT, _OTHER_CATS = "Egyptian cat", ("tiger cat", "tabby, tabby cat")


def run_demo(out: Path, photos: int = 24, say: Callable[[str], None] = print) -> list[Report]:
    """Run the main job twice on embedded data.

    Parameters
    ----------
    out
        Folder for everything: photos, studies, figures and tables.
    photos
        Drawn photos per species, 24 at most.
    say
        Called with each finding.

    Returns
    -------
    list of Report
        Files of the cat and of the drawn butterflies.
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
    say(f"\n2. Pairs of look-alikes that differ in one planted trait, {photos} drawn photos of each species.")
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
    hits = []
    for image, cells in zip(pair.image.values, contrast(pair, strength).values, strict=True):
        y, x = np.unravel_index(cells.argmax(), cells.shape)
        grid = GridPlace.of(pair.sel(image=image))
        left, top = grid.left + (x - 1) * grid.cell_width, grid.top + (y - 1) * grid.cell_height
        right, bottom = np.ceil([left + 3 * grid.cell_width, top + 3 * grid.cell_height]).clip(0).astype(int)
        planted = mask(images, image, "trait")
        hits.append(bool(planted[max(0, int(top)) : bottom, max(0, int(left)) : right].any()))
    return np.array(hits, bool)


def _say_files(files: Report, say: Callable[[str], None]) -> None:
    say(f"   Picture     {files.picture}\n   Interactive {files.interactive}\n   Table       {files.table}")
