"""Explore which species look alike, and take some as references, in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t

from finerkit.comparisons import compare
from finerkit.figures.colours import SEQUENTIAL
from finerkit.likeness import taken_for
from finerkit.located import warn_gone
from finerkit.names import resolve
from finerkit.pairs import typed_names
from finerkit.photo_display import gone
from finerkit.similarity import MEASURES, head_species, similar_species, similarity_rows
from finerkit.similarity_tree import SimilarityTree, similarity_tree
from finerkit.study import as_study
from finerkit.widgets.base import Explorer, one_of
from finerkit.widgets.exemplars import Exemplar, exemplars
from finerkit.widgets.photos import jpeg
from finerkit.widgets.species_snapshot import heat_colours, species_snapshot

if TYPE_CHECKING:
    import xarray as xr
    from PIL import Image

#: Photos of the chosen species, and of each look-alike.
PHOTOS, PHOTOS_OF_OTHERS = 4, 3

#: Above `ALL_IN_VIEW` species the map opens on the `IN_VIEW` around the chosen one.
ALL_IN_VIEW, IN_VIEW = 60, 30

#: Above `WHOLE` species the map holds the `NEIGHBOURHOOD` nearest to the chosen one, itself among them.
WHOLE, NEIGHBOURHOOD = 500, 300

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
    Of more than 500 species the map holds the 300 that are nearest to the chosen one.

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

    def __init__(self, study: xr.DataTree, **state: Any) -> None:
        self._study = as_study(study)
        self._names = head_species(self._study)
        self._measures = _answerable(self._study, self._names)
        self._scores: dict[tuple[str, str], xr.DataArray] = {}
        self._trees: dict[tuple[str, str], SimilarityTree] = {}
        self._typical: dict[str, list[Exemplar]] = {}
        self._said_gone = False
        self._refuse_unknown(state)
        first = {"by": self._measures[0], "in_view": self._usual_view(), "k": 5} | state
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
        if self._key not in self._trees:
            tree = similarity_tree(self._map_scores(self.by, self.species))
            self._trees = {key: kept for key, kept in self._trees.items() if self._is_whole} | {self._key: tree}
        tree = self._trees[self._key]
        return tree._replace(order=self._places(self._map_scores(self.by, self.species)["target"])[tree.order])

    @property
    def matrix(self) -> xr.DataArray:
        """Similarity by the present measure, (target, species) in the order of the tree: what the map shows."""
        scores = self._map_scores(self.by, self.species)
        shown = [self._names[i] for i in self.tree.order]
        return scores.sel(target=shown, species=shown)

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
        row = self._row(self.species).drop_sel(species=self.species)
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
        if value in self._measures:
            return value
        listed = ", ".join(map(repr, self._measures))
        reason = "" if value not in MEASURES else f" fk.similar_species(study, by={value!r}) says what it misses."
        raise t.TraitError(f"by must be one of {listed} for this study. Got {value!r} instead.{reason}")

    @t.validate("k")
    def _check_k(self, proposal: t.Bunch) -> int:
        return int(np.clip(proposal["value"], 1, max(1, min(MOST, len(self._names) - 1))))

    @t.validate("in_view")
    def _check_in_view(self, proposal: t.Bunch) -> int:
        return int(np.clip(proposal["value"], min(8, len(self._names)), self._on_map))

    def _known(self, name: str, what: str) -> str:
        try:
            return resolve(name, self._names, what)
        except ValueError as error:
            raise t.TraitError(str(error)) from None

    def _usual_view(self) -> int:
        n = len(self._names)
        return n if n <= ALL_IN_VIEW else IN_VIEW

    def _closest(self, by: str) -> str:
        """A species of the most similar pair, of those with photos if it can be; of very many, the most mistaken."""
        if by not in self._measures:
            return self._names[0]
        seen = self._study["species"]["n_photos"].values > 0
        if self._is_whole:
            values = self._map_scores(by, "").values.copy()
            np.fill_diagonal(values, np.nan)
            best = np.nan_to_num(values, nan=-np.inf).max(1)
        else:
            own, taken, number, _ = taken_for(self._study, self._names)
            best = np.bincount(own, number * (own != taken), len(self._names))
        return self._names[int(np.where(seen, best, -np.inf).argmax() if seen.any() else best.argmax())]

    # --- similarities: of all species, or of the chosen one and its neighbours ---

    @property
    def _is_whole(self) -> bool:
        return len(self._names) <= WHOLE

    @property
    def _on_map(self) -> int:
        return len(self._names) if self._is_whole else NEIGHBOURHOOD

    @property
    def _key(self) -> tuple[str, str]:
        return self.by, "" if self._is_whole else self.species

    def _map_scores(self, by: str, species: str) -> xr.DataArray:
        """(target, species) similarity of the species on the map, in the order of the study."""
        key = by, "" if self._is_whole else species
        if key not in self._scores:
            kept = {k: scores for k, scores in self._scores.items() if self._is_whole}
            self._scores = kept | {key: self._computed(by, species)}
        return self._scores[key]

    def _computed(self, by: str, species: str) -> xr.DataArray:
        if self._is_whole:
            return similar_species(self._study, by=by)
        row = similarity_rows(self._study, by, [species]).values[0]
        row[self._names.index(species)] = np.inf  # the first
        near = np.argsort(-np.nan_to_num(row, nan=-np.inf, posinf=np.inf), kind="stable")[:NEIGHBOURHOOD]
        members = [self._names[i] for i in np.sort(near)]
        return similarity_rows(self._study, by, members).sel(species=members)

    def _row(self, species: str) -> xr.DataArray:
        """Similarity of a species to the others on the map, and to those that are ticked."""
        near = self._map_scores(self.by, species).sel(target=species)
        far = [name for name in self.references if name not in near["species"].values]
        return near if not far else similarity_rows(self._study, self.by, [species]).sel(target=species)

    def _places(self, names: xr.DataArray) -> np.ndarray:
        place = {name: i for i, name in enumerate(self._names)}
        return np.array([place[str(name)] for name in names.values], np.int64)

    def _chosen(self, _change: Any) -> None:
        self.references = []
        if not self._is_whole:
            self._remap()

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
            "on_map": self._on_map,
            "cross_validated": bool(self._study["predictions"].attrs.get("cross_validated")),
            "measures": [[by, _WORDS[by], MEASURES[by]] for by in self._measures],
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
