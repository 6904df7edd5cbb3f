"""Write a guide from a comparison, traits and scores: a file that opens in any browser, from disk."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from finerkit.base.checks import whole
from finerkit.output.guide.page import page
from finerkit.output.guide.topic import topic_of

if TYPE_CHECKING:
    import os

    import xarray as xr


def write_guide(
    path: str | os.PathLike[str],
    comparison: xr.Dataset,
    traits: xr.Dataset | None = None,
    scores: xr.Dataset | None = None,
    *,
    study: xr.DataTree | None = None,
    title: str | None = None,
    author: str | None = None,
    n_photos: int = 12,
    n_exemplars: int = 4,
    strength: float | None = None,
) -> Path:
    """Write a guide to a species: one HTML file that opens from disk, without network, and can be sent to anyone.

    It holds typical photos of the species and its look-alikes, the strength explorer (its slider works in the file),
    the traits with crops and counts, the scores in plain words, limits, provenance and citation.

    Parameters
    ----------
    path
        Of the file, ending in ".html"; its folder is made if needed, a file of that name is replaced.
    comparison
        From `finerkit.compare`.
    traits
        From `finerkit.find_traits`, of the same comparison; without them the page has no such section. Those that look
        like background stand apart, with a warning.
    scores
        From `finerkit.score`, of the same target; without them the page has no such section.
    study
        Where photos of the look-alikes and the accuracy come from, from `finerkit.open_study`. Default: the study that
        the comparison names, if it is still there; otherwise the page says that they are missing.
    title
        Of the page, plain text. Default: "How to tell A from B and C".
    author
        Who answers for the page.
    n_photos
        Photos in the strength explorer, evenly spread from the clearest to the least clear.
    n_exemplars
        Typical photos of each species: the nearest to its mean embedding. If the study's table has a column such as
        "photographer", "credit" or "license", it stands under them.
    strength
        Comparison strength at which the explorer opens, 0 to 2. Default: that of the traits, or 0.6 without.

    Returns
    -------
    pathlib.Path
        The file; under 5 MB with default numbers.

    Raises
    ------
    TypeError
        If it is given something else than a comparison, traits or scores.
    ValueError
        If these are not of the same comparison, study, network and head, or a parameter is out of range.

    Notes
    -----
    Photos whose files are gone are left out, or drawn as "photo not found", and the page says so. Names, which may come
    from anywhere, are written as text only; the page's content-security policy lets no other script run and nothing be
    fetched.
    """
    path = _checked_path(path)
    n_photos, n_exemplars = whole(n_photos, "n_photos", 1, 60), whole(n_exemplars, "n_exemplars", 1, 60)
    topic = topic_of(comparison, traits, scores, study, strength)
    return _write(path, page(topic, title, author, n_photos, n_exemplars))


def _checked_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix.casefold() not in (".html", ".htm"):
        raise ValueError(f"path must be a file name that ends in '.html'. Got {str(path)!r} instead.")
    if path.is_dir():
        raise ValueError(f"path must be a file. {str(path)!r} is a folder: write_guide('{path.name}/guide.html', ...).")
    return path


def _write(path: Path, text: str) -> Path:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name[:80]}-{uuid.uuid4().hex[:8]}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
