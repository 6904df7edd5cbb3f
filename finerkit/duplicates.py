"""Photos that are there twice: photos with the content of their files enter; which one repeats which leaves."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from finerkit.photo import checksum

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr


class DuplicateWarning(UserWarning):
    """The same photo is there under two species; the message names the pairs, `duplicate_of` keeps all copies."""


def duplicate_of(images: xr.Dataset) -> np.ndarray:
    """Find copies: text (image,), the id of the first usable photo with the same bytes; "" for photos that are none."""
    first: dict[str, str] = {}
    copies = np.array([""] * images.sizes["image"], object)
    for i, content in _contents(images).items():
        known = first.setdefault(content, str(images["image"].values[i]))
        copies[i] = "" if known == images["image"].values[i] else known
    return copies


def _contents(images: xr.Dataset) -> dict[int, str]:
    """SHA-256 of the files of usable photos that may have a copy, by position; read now where it is not known."""
    prints = images["fingerprint"].values
    good = np.flatnonzero((images["status"].values == "ok") & (prints != ""))
    which, _ = pd.factorize(prints[good].astype(object))
    alike = good[np.bincount(which)[which] > 1].tolist()
    known = images["sha256"].values if "sha256" in images else [""] * len(prints)
    contents = {i: known[i] or checksum(images["path"].values[i]) for i in alike}
    return {i: content for i, content in contents.items() if content}


def warn_duplicates(images: xr.Dataset) -> None:
    """Name, in one `DuplicateWarning`, the photos that are there under two species."""
    pairs = [f"{a!r} ({x}) and {b!r} ({y})" for (a, x), (b, y) in _contradictions(images)]
    if not pairs:
        return
    more = f" and {len(pairs) - 5} more" if len(pairs) > 5 else ""
    warnings.warn(
        f"{len(pairs)} pairs of photos are the same file under two species, so one of each is labelled wrongly: "
        f"{'; '.join(pairs[:5])}{more}. Correct the labels and read the photos again. The variable 'duplicate_of' "
        "names the first photo of which each other one is a copy.",
        DuplicateWarning,
        stacklevel=3,
    )


def _contradictions(images: xr.Dataset) -> Iterable[tuple[tuple[str, str], tuple[str, str]]]:
    """Pairs of (id, species) with the same bytes and different species; photos of unknown species contradict none."""
    copies = images["duplicate_of"].values
    copied = {first for first in copies if first}
    either = np.array([name in copied for name in images["image"].values]) | (copies != "")
    some = images[["duplicate_of", "species"]].isel(image=either)
    labelled: dict[str, tuple[str, str]] = {}
    for name, first, species in zip(*(some[v].values for v in ("image", "duplicate_of", "species")), strict=True):
        if not species:
            continue
        content = first or name
        known = labelled.setdefault(content, (name, species))
        if known[1] != species:
            yield known, (name, species)
