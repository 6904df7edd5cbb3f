"""Explore which species look alike, and take some as references, in a notebook."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t

from finerkit.base.text import typed_names
from finerkit.evidence.compare import compare
from finerkit.output.figures.colours import SEQUENTIAL
from finerkit.output.widgets.base import Explorer, known, one_of, tables
from finerkit.output.widgets.exemplars import Exemplar, exemplars
from finerkit.output.widgets.photos import jpeg
from finerkit.photos.display import gone
from finerkit.species.similarity import MEASURES, head_species, similar_species, similarity_rows
from finerkit.species.similarity_rows import taken_for
from finerkit.species.tree import SimilarityTree, similarity_tree
from finerkit.store.photo_paths import warn_gone
from finerkit.store.study import as_study

if TYPE_CHECKING:
    import xarray as xr

#: Photos of the chosen species, and of each look-alike.
PHOTOS, PHOTOS_OF_OTHERS = 4, 3

#: Above this many species there is no map, only the list of look-alikes and a box to search for names.
WHOLE = 500

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
    Of more than 500 species there is no map: search for a name, and look at the list.

    Parameters
    ----------
    study
        From `finerkit.analyze` or `finerkit.open_study`.
    **state
        First values of the attributes below.

    Attributes
    ----------
    species : str
        The species chosen. At first one of the two most similar ones; of more than 500, the one most often mistaken.
    references : list of str
        Look-alikes that are ticked. Choosing another species clears them.
    by : str
        Measure of similarity, see `finerkit.similar_species`; only those that this study can answer.
    k : int
        How many look-alikes are listed, 1 to 24.
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
    cmap = one_of(SEQUENTIAL, "cmap")

    _about = t.Dict().tag(sync=True)
    _map = t.Dict().tag(sync=True)
    _photos = t.Dict().tag(sync=True)

    def __init__(self, study: xr.DataTree, **state: Any) -> None:
        self._study = as_study(study)
        self._names = head_species(self._study)
        self._measures = _answerable(self._study, self._names)
        self._is_whole = len(self._names) <= WHOLE
        self._scores: dict[tuple[str, str], xr.DataArray] = {}
        self._trees: dict[str, SimilarityTree] = {}
        self._typical: dict[str, list[Exemplar]] = {}
        self._said_gone = False
        self._refuse_unknown(state)
        first = {"by": self._measures[0], "k": 5} | state
        if not first.get("species"):
            first["species"] = self._closest(first["by"])
        super().__init__(_about=self._describe(), **first)
        self._remap()
        self._fetch()
        self.observe(self._untick, "species")
        self.observe(self._remap, ["by", "cmap"] if self._is_whole else ["species", "by", "cmap", "references"])
        self.observe(self._fetch, ["species", "by", "k", "references"])

    @property
    def study(self) -> xr.DataTree:
        """The study that is shown."""
        return self._study

    @property
    def tree(self) -> SimilarityTree:
        """The tree of the present measure; ``order`` are positions in ``study["species"]``. At most 500 species."""
        if not self._is_whole:
            raise ValueError(
                f"This study has {len(self._names)} species, and a tree is made of at most {WHOLE}: "
                "fk.figures.similarity_map(study, species=[...]) draws some of them."
            )
        if self.by not in self._trees:
            self._trees[self.by] = similarity_tree(self._similarities())
        return self._trees[self.by]

    @property
    def matrix(self) -> xr.DataArray:
        """Similarity by the present measure, (target, species), in the order of the tree; at most 500 species."""
        shown = [self._names[i] for i in self.tree.order]
        return self._similarities().sel(target=shown, species=shown)

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

    def listed(self) -> dict[str, float]:
        """The look-alikes that are listed, with their similarity: the nearest, then others that are ticked."""
        return self._nearest(self.k)

    def _nearest(self, count: int) -> dict[str, float]:
        row = self._similarities().sel(target=self.species)
        others = row.drop_sel(species=self.species).dropna("species")
        near = others["species"].values[np.argsort(-others.values, kind="stable")[:count]]
        names = dict.fromkeys([*map(str, near), *self.references])
        return {name: float(row.sel(species=name)) for name in names if name != self.species}

    def _still(self) -> bytes:
        """The map; of more than 500 species, that of the chosen one and its look-alikes."""
        from finerkit.output.figures.page import paper_style
        from finerkit.output.figures.similarity import print_similarity, similarity_of

        some = None if self._is_whole else [self.species, *self.listed()]
        buffer = io.BytesIO()
        with paper_style():
            print_similarity(similarity_of(self._study, self.by, some), 180).savefig(buffer, dpi=100)
        return buffer.getvalue()

    def typical(self, species: str, count: int = PHOTOS) -> list[Exemplar]:
        """The photos of a species that lie nearest to its prototype, `PHOTOS` of them at most."""
        if species not in self._typical:
            self._typical[species] = exemplars(self._study, species, PHOTOS)
        return self._typical[species][:count]

    # --- state ---

    @t.validate("species")
    def _check_species(self, proposal: t.Bunch) -> str:
        return known(proposal["value"], self._names, "species")

    @t.validate("references")
    def _check_references(self, proposal: t.Bunch) -> list[str]:
        names = dict.fromkeys(known(w, self._names, "reference species") for w in typed_names(proposal["value"]) or [])
        if self.species in names:
            raise t.TraitError(f"{self.species!r} is chosen as the target and cannot be its own reference.")
        return list(names)

    @t.validate("by")
    def _check_by(self, proposal: t.Bunch) -> str:
        value = proposal["value"]
        if value in self._measures:
            return value
        listed = ", ".join(map(repr, self._measures))
        reason = "" if value not in MEASURES else f" fk.similar_species(study, by={value!r}) says what it misses."
        raise t.TraitError(f"by must be one of {listed} for this study. Got {value!r} instead.{reason}")

    @t.validate("k")
    def _check_k(self, proposal: t.Bunch) -> int:
        return int(np.clip(proposal["value"], 1, max(1, min(MOST, len(self._names) - 1))))

    def _closest(self, by: str) -> str:
        """A species of the most similar pair, of those with photos if it can be; of very many, the most mistaken."""
        if by not in self._measures:
            return self._names[0]
        seen = self._study["species"]["n_photos"].values > 0
        if self._is_whole:
            values = similar_species(self._study, by=by).values.copy()
            np.fill_diagonal(values, np.nan)
            best = np.nan_to_num(values, nan=-np.inf).max(1)
        else:
            own, taken, number, _ = taken_for(self._study, self._names)
            best = np.bincount(own, number * (own != taken), len(self._names))
        return self._names[int(np.where(seen, best, -np.inf).argmax() if seen.any() else best.argmax())]

    def _similarities(self) -> xr.DataArray:
        """(target, species) by the present measure: of all species or, where they are too many, of the chosen one."""
        targets = self._names if self._is_whole else [self.species]
        key = self.by, targets[0]
        if key not in self._scores:
            kept = self._scores if self._is_whole else {}
            self._scores = kept | {key: similarity_rows(self._study, self.by, targets)}
        return self._scores[key]

    def _untick(self, _change: Any) -> None:
        self.references = []

    # --- what travels to the browser ---

    def _describe(self) -> dict[str, Any]:
        answers = taken_for(self._study, self._names)
        own, taken, number, _ = answers
        return {
            "species": self._names,
            "photos": self._study["species"]["n_photos"].values.astype(int).tolist(),
            "judged": answers.judged().astype(int).tolist(),
            "right": answers.right().astype(int).tolist(),
            "mistakes": np.stack([own, taken, number], 1)[own != taken].tolist(),
            "cross_validated": bool(self._study["predictions"].attrs.get("cross_validated")),
            "measures": [[by, _WORDS[by], MEASURES[by]] for by in self._measures],
            "most": MOST,
        }

    def _remap(self, _change: Any = None) -> None:
        """Send the similarities of the present measure: the matrix in the tree's order, or the chosen species' row."""
        table = tables()[self.cmap]
        table[:, 3] = 255
        sent = {"by": self.by, "table": table.tobytes()}
        if self._is_whole:
            order, values = self.tree.order.tolist(), self.matrix.values.copy()
            np.fill_diagonal(values, np.nan)
            sent["branches"] = self.tree.branches.astype("<f4").tobytes()
        else:
            near = self._nearest(MOST)
            order = [self._names.index(name) for name in (self.species, *near)]
            values = np.array([[np.nan, *near.values()]])
        apart = values[~np.isnan(values)]
        self._map = sent | {
            "order": order,
            "matrix": values.astype("<f4").tobytes(),
            "low": float(apart.min()) if apart.size else 0.0,
            "high": float(apart.max()) if apart.size else 1.0,
        }

    def _fetch(self, _change: Any = None) -> None:
        """Send the photos of what is listed, unless they are there."""
        wanted = {self.species: PHOTOS} | dict.fromkeys(self.listed(), PHOTOS_OF_OTHERS)
        typical = {name: self.typical(name, count) for name, count in wanted.items()}
        if all(name in self._photos and len(self._photos[name]) >= len(some) for name, some in typical.items()):
            return
        if not self._said_gone:
            paths = [e.path for some in typical.values() for e in some]
            self._said_gone = warn_gone(paths, self._study.finerkit.location, stacklevel=4)
        self._photos = {name: [_sent(e) for e in some] for name, some in typical.items()}


def _sent(photo: Exemplar) -> dict[str, Any]:
    """One photo as it travels to the browser."""
    data = jpeg(photo.path, photo.width, photo.height, _PIXELS)
    return {"image": photo.image, "gone": gone(photo.path), "jpeg": data}


def _answerable(study: xr.DataTree, names: list[str]) -> list[str]:
    """Measures that tell at least two species apart; of very many species, some of those with photos are tried."""
    seen = [n for n, photos in zip(names, study["species"]["n_photos"].values, strict=True) if photos > 0]
    tried = names if len(names) <= WHOLE else [*seen, *names][:3]
    found, reasons = [], []
    for by in MEASURES:
        if by == "confusion" and len(names) > WHOLE:  # needs what "logits" needs, and all of it
            found += [by] if "logits" in found else []
            continue
        try:
            scores = similarity_rows(study, by, tried)
        except ValueError as error:
            reasons.append(str(error))
            continue
        if np.isfinite(scores.values[scores["target"].values[:, None] != scores["species"].values]).any():
            found.append(by)
    if not found:
        raise ValueError(
            "This study has no two species to compare: analyze photos of at least two. " + " ".join(reasons)
        )
    return found
