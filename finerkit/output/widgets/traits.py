"""Look at traits, name, merge and split them, in a notebook. The study is kept."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t

from finerkit.base.roles import references_of, target_of
from finerkit.base.wording import shown
from finerkit.output.widgets.base import Explorer, known, one_of
from finerkit.output.widgets.projection import PROJECTIONS, available, follow, project
from finerkit.output.widgets.trait_state import Photos, colour, crop, enlarged, matrix, points, row
from finerkit.store.study import with_paths
from finerkit.traits import edit
from finerkit.traits.regroup import as_traits
from finerkit.traits.saving import group_of, save, store_path, synced

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import xarray as xr

#: Crops of the selected regions that are shown.
_PICKED = 24


class TraitExplorer(Explorer):
    """Traits as rows of crops, their regions as a map, and what a person makes of them.

    Rename, merge, split, mark as background, undo: in the browser or by the methods below. Every number is counted
    again, so that traits and remainder always add up to the margin. `traits` is the dataset as it is now, of the same
    form as `finerkit.find_traits` returns; it is saved in its study after each edit. All attributes can be read, set
    and observed (``explorer.observe(callback, "edits")``).

    Parameters
    ----------
    traits
        From `finerkit.find_traits`, or ``study.finerkit.trait("...")``.
    study
        Where the photos were moved: the study, opened with ``fk.open_study(store, photos=...)``.
    **state
        First values of the attributes below.

    Attributes
    ----------
    regions : list of int
        Selected regions (with a lasso, by keys or from Python), as positions along ``region``; see `selection`.
    region : int
        The region that is looked at in the map; -1 for none.
    ticked : list of str
        Names of the traits that are ticked, to be merged.
    projection : str
        "pca" (principal components of the regions' contribution vectors) or "umap", if that package is installed.
    references_shown : bool
        Show regions of other species' photos in the map, too.
    page, page_size : int
        Which traits are shown as rows: page number from 0, traits per page.
    crops : int
        Crops per trait, 1 to 8.
    enlarged : str
        Id of the photo that is shown large, with all outlines; "" for none.
    autosave : bool
        Save in the study after each edit. True at first, if the study may be written to.
    edits : list of dict
        What was done to these traits, first to last, by anyone (not to be set).

    Raises
    ------
    traitlets.TraitError
        If an attribute is set to what it cannot be. The browser's own errors are shown under the widget.

    See Also
    --------
    finerkit.figures.trait_sheet : The same for print.
    """

    _module = "traits.js"

    regions = t.List(t.Int()).tag(sync=True)
    region = t.Int(-1).tag(sync=True)
    ticked = t.List(t.Unicode()).tag(sync=True)
    projection = one_of(PROJECTIONS, "projection")
    references_shown = t.Bool(True).tag(sync=True)
    page = t.Int(0).tag(sync=True)
    page_size = t.Int(8).tag(sync=True)
    crops = t.Int(6).tag(sync=True)
    enlarged = t.Unicode("").tag(sync=True)
    autosave = t.Bool(False).tag(sync=True)
    edits = t.List(t.Dict(), read_only=True).tag(sync=True)

    _about = t.Dict().tag(sync=True)
    _rows = t.Dict().tag(sync=True)
    _points = t.Dict().tag(sync=True)
    _matrix = t.Dict().tag(sync=True)
    _region = t.Dict().tag(sync=True)
    _picked = t.List().tag(sync=True)
    _photo = t.Dict().tag(sync=True)

    def __init__(self, traits: xr.Dataset, study: xr.DataTree | None = None, **state: Any) -> None:
        self._data = self._first = as_traits(traits)
        self._refuse_unknown(state, fixed=("edits",))
        self._study = study
        self._photos = Photos(self._data if study is None else with_paths(study, self._data))
        self._before: list[xr.Dataset] = []
        self._saved: bool | None = True if self._can_save() else None
        self._at = None
        state.setdefault("autosave", self._can_save())
        super().__init__(**state)
        self._lay_out()
        self._tell()
        self.observe(self._lay_out, "projection")
        self.observe(self._send_rows, ["page", "page_size", "crops"])
        self.observe(self._send_picked, "regions")
        self.observe(self._send_region, "region")
        self.observe(self._enlarge, "enlarged")
        self._send_picked()
        self._send_region()
        self._enlarge()

    # --- what a person did ---

    @property
    def traits(self) -> xr.Dataset:
        """The traits as they are now, edits included: of the same form as `finerkit.find_traits` returns."""
        # Every widget has a method of this name, which lists its attributes; the libraries below us go on getting it.
        caller = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001 - the documented way to a caller
        if caller.partition(".")[0] in ("traitlets", "ipywidgets", "anywidget"):
            return partial(t.HasTraits.traits, self)
        return self._data

    @property
    def selection(self) -> xr.Dataset:
        """The traits with the selected regions only, along ``region``, which says their positions; all if none are."""
        numbered = self._data.assign_coords(region=np.arange(self._data.sizes["region"]))
        return numbered.isel(region=self.regions) if self.regions else numbered

    def rename(self, old: str, new: str) -> None:
        """Give a trait another name."""
        self._become(edit.rename(self._data, old, new))

    def merge(self, names: Iterable[str], name: str | None = None) -> None:
        """Make one trait of several; see `finerkit.traits.merge`."""
        self._become(edit.merge(self._data, names, name))

    def split(self, trait: str | None = None, regions: Any = None, name: str | None = None) -> None:
        """Make a new trait of some regions; see `finerkit.traits.split`.

        Parameters
        ----------
        trait
            The trait to split in two by k-means, or to take `regions` from. None takes them from any trait.
        regions
            Positions along ``region`` or a selection; where neither is given, the selected regions.
        name
            Of the new trait.
        """
        if trait is None and regions is None:
            regions = self.regions
        self._become(edit.split(self._data, trait, regions, name=name))

    def mark_background(self, trait: str, background: bool = True) -> None:
        """Say that a trait is background, or that it is not."""
        self._become(edit.mark_background(self._data, trait, background))

    def undo(self) -> None:
        """Take the last edit back; edits made before this explorer was opened stay."""
        if not self._before:
            raise ValueError(
                "There is nothing to undo: no edit was made with this explorer. fk.find_traits(...) starts afresh."
            )
        self._become(synced(self._before.pop(), self._data), remember=False)

    def save(self) -> Path:
        """Write the traits into their study, as a whole or not at all; returns the group's folder.

        Where somebody else saved edits meanwhile, `traits` has both from then on, or an error says what does not go
        together; undo begins anew.
        """
        saved = save(self._data)
        merged = len(edit.history(saved)) != len(edit.history(self._data))
        self._data, self._saved = saved, True
        if merged:
            self._before.clear()
            self._show_anew()
        self._send_about()
        return store_path(saved) / group_of(saved)

    def _still(self) -> bytes:
        """As many traits as a page shows, from the first, with their crops and numbers."""
        from finerkit.output.figures import trait_sheet

        first = self._data.isel(trait=slice(self.page_size))
        return trait_sheet(first, self.crops, study=self._study).to_png()

    def on_request(self, request: Mapping[str, Any]) -> None:
        """Do what the browser asks for."""
        work = {
            "rename": lambda: self.rename(request["old"], request["new"]),
            "merge": lambda: self.merge(request["names"], request.get("name") or None),
            "split": lambda: self.split(request.get("trait"), request.get("regions"), request.get("name") or None),
            "background": lambda: self.mark_background(request["trait"], request["background"]),
            "undo": self.undo,
            "save": self.save,
        }.get(request["kind"])
        if work is None:
            super().on_request(request)
        else:
            work()

    def page_state(self) -> dict[str, Any]:
        """State of a page without a kernel: nothing can be edited there."""
        state = super().page_state()
        return state | {"_about": state["_about"] | {"editable": False}}

    def _become(self, traits: xr.Dataset, *, remember: bool = True) -> None:
        if remember:
            self._before.append(self._data)
        self._data = traits
        self._saved = False if self._can_save() else None
        self._show_anew()
        if self.autosave:
            try:
                self.save()
            except (OSError, ValueError) as error:
                raise RuntimeError(
                    f"The edit was made, but not saved: {error} explorer.save() tries again; "
                    "explorer.autosave = False goes on without."
                ) from error

    def _show_anew(self) -> None:
        with self.hold_sync():  # the browser never sees points of one state with names of another
            self.regions, self.region = [], -1
            self.ticked = [name for name in self.ticked if name in edit.names_of(self._data)]
            self._tell()
            self._enlarge()

    def _can_save(self) -> bool:
        path = store_path(self._data)
        return path is not None and path.exists() and os.access(path, os.W_OK)

    # --- state ---

    @t.validate("regions")
    def _check_regions(self, proposal: t.Bunch) -> list[int]:
        n = self._data.sizes["region"]
        wrong = [i for i in proposal["value"] if not 0 <= i < n]
        if wrong:
            raise t.TraitError(f"regions must be positions in the range [0, {n}). Got {wrong[0]} instead.")
        return sorted(set(proposal["value"]))

    @t.validate("region")
    def _check_region(self, proposal: t.Bunch) -> int:
        n = self._data.sizes["region"]
        if not -1 <= proposal["value"] < n:
            raise t.TraitError(f"region must be a position in the range [-1, {n}). Got {proposal['value']} instead.")
        return proposal["value"]

    @t.validate("ticked")
    def _check_ticked(self, proposal: t.Bunch) -> list[str]:
        names = edit.names_of(self._data)
        return list(dict.fromkeys(known(i, names, "trait") for i in proposal["value"]))

    @t.validate("enlarged")
    def _check_enlarged(self, proposal: t.Bunch) -> str:
        return known(proposal["value"], self._photos.paths, "photo of these traits") if proposal["value"] else ""

    @t.validate("page")
    def _check_page(self, proposal: t.Bunch) -> int:
        return int(np.clip(proposal["value"], 0, -(-self._data.sizes["trait"] // self.page_size) - 1))

    @t.validate("page_size")
    def _check_page_size(self, proposal: t.Bunch) -> int:
        return int(np.clip(proposal["value"], 1, 40))

    @t.validate("crops")
    def _check_crops(self, proposal: t.Bunch) -> int:
        return int(np.clip(proposal["value"], 1, 8))

    @t.validate("projection")
    def _check_projection(self, proposal: t.Bunch) -> str:
        if proposal["value"] not in available():
            project(np.zeros((1, 2)), proposal["value"])  # says what is missing
        return proposal["value"]

    # --- what travels to the browser ---

    def _lay_out(self, _change: Any = None) -> None:
        """Place the regions on the plane; from then on points stay where they are when traits are edited."""
        self._at = project(self._first["region_vector"].values, self.projection)
        self._send_points()

    def _tell(self) -> None:
        self.set_trait("edits", edit.history(self._data))
        self.page = min(self.page, -(-self._data.sizes["trait"] // self.page_size) - 1)
        self._send_about()
        self._send_rows()
        self._send_points()
        self._matrix = matrix(self._data)

    def _send_about(self) -> None:
        target = target_of(self._data)
        self._about = {
            "title": f"Traits of {shown(target)}",
            "target": target,
            "references": references_of(self._data),
            "strength": float(self._data.attrs["strength"]),
            "photos": int((self._data["true_species"].values == target).sum()),
            "names": edit.names_of(self._data),
            "colours": [colour(k) for k in range(self._data.sizes["trait"])],
            "projections": available(),
            "editable": True,
            "undo": len(self._before),
            "saved": {True: "saved", False: "unsaved", None: "memory"}[self._saved],
            "group": group_of(self._data),
        }

    def _send_rows(self, _change: Any = None) -> None:
        n = self._data.sizes["trait"]
        first = self.page * self.page_size
        wanted = range(first, min(first + self.page_size, n))
        self._rows = {"count": n, "rows": [row(self._data, self._photos, k, self.crops) for k in wanted]}

    def _send_points(self) -> None:
        self._points = points(self._data, self.places)

    @property
    def places(self) -> np.ndarray:
        """Where each region is on the map: (region, 2)."""
        return follow(self._at, self._first, self._data)

    def _send_region(self, _change: Any = None) -> None:
        self._region = crop(self._data, self._photos, self.region) if self.region >= 0 else {}

    def _send_picked(self, _change: Any = None) -> None:
        strength = self._data["region_evidence"].values
        strongest = sorted(self.regions, key=lambda i: -strength[i])[:_PICKED]
        self._picked = [crop(self._data, self._photos, i) for i in strongest]

    def _enlarge(self, _change: Any = None) -> None:
        self._photo = enlarged(self._data, self._photos, self.enlarged) if self.enlarged else {}
