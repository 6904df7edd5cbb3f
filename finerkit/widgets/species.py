"""The species explorer: a study enters; a widget to find look-alikes and take them as references leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t

from finerkit.comparisons import compare
from finerkit.figures.colours import SEQUENTIAL
from finerkit.names import resolve
from finerkit.pairs import typed_names
from finerkit.similarity import MEASURES, confusion_counts, head_species, similar_species
from finerkit.similarity_tree import SimilarityTree, similarity_tree
from finerkit.store import as_study
from finerkit.widgets.base import Explorer, one_of
from finerkit.widgets.exemplars import Exemplar, exemplars
from finerkit.widgets.photos import jpeg
from finerkit.widgets.species_snapshot import heat_colours, species_snapshot

if TYPE_CHECKING:
    import os

    import xarray as xr
    from PIL import Image

#: Photos of the chosen species, and of each look-alike.
PHOTOS, PHOTOS_OF_OTHERS = 4, 3

#: Above `ALL_IN_VIEW` species the map opens on the `IN_VIEW` around the chosen one.
ALL_IN_VIEW, IN_VIEW = 60, 30

#: Most look-alikes that are listed.
MOST = 24

_PIXELS = 300

_WORDS = {
    "embedding": "how photos look (embedding)",
    "weights": "weights of the head",
    "logits": "logits, the published rule",
    "confusion": "how often confused",
    "taxonomy": "taxonomy",
}


class SpeciesExplorer(Explorer):
    """A map of how similar species are, to find the look-alikes of one and take them as references.

    Species stand in the order of a tree (average linkage, leaves ordered so that neighbours are most alike). Choose a
    species with the mouse or with arrow keys and Enter; its look-alikes are listed with photos and numbers, and those
    that are ticked become the references of `compare`. Only the photos that are shown travel: the most typical ones.

    Parameters
    ----------
    study
        From `finerkit.analyze`, or its path.
    **state
        First values of the attributes below.

    Attributes
    ----------
    species : str
        The species chosen. At first one of the two most similar ones.
    references : list of str
        Look-alikes that are ticked. Choosing another species clears them.
    by : str
        Measure of similarity, see `finerkit.similar_species`; only those that this study can answer.
    k : int
        How many look-alikes are listed, 1 to 24.
    in_view : int
        How many species the map shows, around the chosen one; all, or 30 where there are more than 60.
    cmap : str
        Colour map.

    Raises
    ------
    ValueError
        If the study has fewer than two species to compare by any measure.
    traitlets.TraitError
        If an attribute is set to what it cannot be. The browser's own errors are shown under the widget.

    See Also
    --------
    finerkit.similar_species : The same numbers as a table.
    """

    _module = "species.js"

    species = t.Unicode("").tag(sync=True)
    references = t.List(t.Unicode()).tag(sync=True)
    by = t.Unicode("").tag(sync=True)
    k = t.Int(5).tag(sync=True)
    in_view = t.Int(0).tag(sync=True)
    cmap = one_of(SEQUENTIAL, "cmap")

    _about = t.Dict().tag(sync=True)
    _map = t.Dict().tag(sync=True)
    _photos = t.Dict().tag(sync=True)

    def __init__(self, study: xr.DataTree | str | os.PathLike[str], **state: Any) -> None:
        self._study = as_study(study)
        self._names = head_species(self._study)
        self._scores = _answerable(self._study)
        self._trees: dict[str, SimilarityTree] = {}
        self._typical: dict[str, list[Exemplar]] = {}
        unknown = [name for name in state if not self.has_trait(name)]
        if unknown:
            raise TypeError(f"SpeciesExplorer has no attribute {unknown[0]!r}: its docstring lists them.")
        first = {"by": next(iter(self._scores)), "in_view": self._usual_view(), "k": 5} | state
        if not first.get("species"):
            first["species"] = self._closest(first["by"])
        super().__init__(_about=self._describe(), **first)
        self._remap()
        self._fetch()
        self.observe(self._chosen, "species")
        self.observe(self._remap, ["by", "cmap"])
        self.observe(self._fetch, ["species", "by", "k", "references"])

    @property
    def study(self) -> xr.DataTree:
        """The study that is shown."""
        return self._study

    @property
    def tree(self) -> SimilarityTree:
        """The tree of the present measure; ``order`` are positions in ``study["species"]``."""
        if self.by not in self._trees:
            self._trees[self.by] = similarity_tree(self._scores[self.by])
        return self._trees[self.by]

    @property
    def matrix(self) -> xr.DataArray:
        """Similarity by the present measure, (target, species) in the order of the tree: what the map shows."""
        order = self.tree.order
        return self._scores[self.by].isel(target=order, species=order)

    def look_alikes(self) -> xr.DataArray:
        """The `k` nearest look-alikes of the chosen species with their similarity; see `finerkit.similar_species`."""
        return similar_species(self._study, self.species, self.by, self.k)

    def compare(self, **options: Any) -> xr.Dataset:
        """Compare the chosen species with the references that are ticked.

        Parameters
        ----------
        **options
            See `finerkit.compare`.

        Returns
        -------
        xarray.Dataset
            With the ticked references; where none is ticked, with the nearest look-alikes by the present measure.
        """
        if self.references:
            return compare(self._study, self.species, self.references, **options)
        return compare(self._study, self.species, "auto", **({"by": self.by} | options))

    def snapshot(self) -> Image.Image:
        """The map of all species, and a typical photo of the chosen one and of its look-alikes."""
        return species_snapshot(self)

    def listed(self) -> dict[str, float]:
        """The look-alikes that are listed, with their similarity: the nearest, then others that are ticked."""
        row = self._scores[self.by].sel(target=self.species).drop_sel(species=self.species)
        known = row[row.notnull().values]
        near = known[np.argsort(-known.values, kind="stable")[: self.k]]
        names = dict.fromkeys([*(str(s) for s in near["species"].values), *self.references])
        return {name: float(row.sel(species=name)) for name in names if name != self.species}

    def typical(self, species: str, count: int = PHOTOS) -> list[Exemplar]:
        """The photos of a species that lie nearest to its prototype, `PHOTOS` of them at most."""
        if species not in self._typical:
            self._typical[species] = exemplars(self._study, species, PHOTOS)
        return self._typical[species][:count]

    # --- state ---

    @t.validate("species")
    def _check_species(self, proposal: t.Bunch) -> str:
        return self._known(proposal["value"], "species")

    @t.validate("references")
    def _check_references(self, proposal: t.Bunch) -> list[str]:
        names = dict.fromkeys(self._known(w, "reference species") for w in typed_names(proposal["value"]) or [])
        if self.species in names:
            raise t.TraitError(f"{self.species!r} is chosen as the target and cannot be its own reference.")
        return list(names)

    @t.validate("by")
    def _check_by(self, proposal: t.Bunch) -> str:
        value = proposal["value"]
        if value in self._scores:
            return value
        listed = ", ".join(map(repr, self._scores))
        reason = "" if value not in MEASURES else f" fk.similar_species(study, by={value!r}) says what it misses."
        raise t.TraitError(f"by must be one of {listed} for this study. Got {value!r} instead.{reason}")

    @t.validate("k")
    def _check_k(self, proposal: t.Bunch) -> int:
        return int(np.clip(proposal["value"], 1, max(1, min(MOST, len(self._names) - 1))))

    @t.validate("in_view")
    def _check_in_view(self, proposal: t.Bunch) -> int:
        return int(np.clip(proposal["value"], min(8, len(self._names)), len(self._names)))

    def _known(self, name: str, what: str) -> str:
        try:
            return resolve(name, self._names, what)
        except ValueError as error:
            raise t.TraitError(str(error)) from None

    def _usual_view(self) -> int:
        n = len(self._names)
        return n if n <= ALL_IN_VIEW else IN_VIEW

    def _closest(self, by: str) -> str:
        """A species of the most similar pair, of those with photos if it can be."""
        if by not in self._scores:
            return self._names[0]
        values = self._scores[by].values.copy()
        np.fill_diagonal(values, np.nan)
        best = np.nan_to_num(values, nan=-np.inf).max(1)
        seen = self._study["species"]["count"].values > 0
        return self._names[int(np.where(seen, best, -np.inf).argmax() if seen.any() else best.argmax())]

    def _chosen(self, _change: Any) -> None:
        self.references = []

    # --- what travels to the browser ---

    def _describe(self) -> dict[str, Any]:
        counts = confusion_counts(self._study).values
        mistakes = np.argwhere(counts * (1 - np.eye(len(counts), dtype=int)))
        return {
            "species": self._names,
            "photos": self._study["species"]["count"].values.astype(int).tolist(),
            "judged": counts.sum(1).tolist(),
            "right": counts.diagonal().tolist(),
            "mistakes": [[int(i), int(j), int(counts[i, j])] for i, j in mistakes],
            "cross_validated": bool(self._study["predictions"].attrs.get("cross_validated")),
            "measures": [[by, _WORDS[by], MEASURES[by]] for by in self._scores],
            "all_in_view": ALL_IN_VIEW,
            "most": MOST,
        }

    def _remap(self, _change: Any = None) -> None:
        """Send the map of the present measure: the tree, and the matrix in its order."""
        tree, values = self.tree, self.matrix.values
        apart = values[~np.eye(len(values), dtype=bool)]
        self._map = {
            "by": self.by,
            "order": tree.order.tolist(),
            "merges": tree.merges.tolist(),
            "joined": tree.similarity.tolist(),
            "matrix": values.astype("<f4").tobytes(),
            "low": float(np.nanmin(apart)),
            "high": float(np.nanmax(apart)),
            "table": heat_colours(self.cmap).tobytes(),
        }

    def _fetch(self, _change: Any = None) -> None:
        """Send the photos of what is listed, unless they are there."""
        wanted = {self.species: PHOTOS} | dict.fromkeys(self.listed(), PHOTOS_OF_OTHERS)
        typical = {name: self.typical(name, count) for name, count in wanted.items()}
        if all(name in self._photos and len(self._photos[name]) >= len(some) for name, some in typical.items()):
            return
        self._photos = {
            name: [{"image": e.image, "jpeg": jpeg(e.path, e.width, e.height, _PIXELS)} for e in some]
            for name, some in typical.items()
        }


def _answerable(study: xr.DataTree) -> dict[str, xr.DataArray]:
    """Similarity of all species by each measure that tells at least two of them apart."""
    found, reasons = {}, []
    for by in MEASURES:
        try:
            scores = similar_species(study, by=by)
        except ValueError as error:
            reasons.append(str(error))
            continue
        if np.isfinite(scores.values[~np.eye(scores.sizes["species"], dtype=bool)]).any():
            found[by] = scores
    if not found:
        raise ValueError(
            "This study has no two species to compare: analyze photos of at least two. " + " ".join(reasons)
        )
    return found
