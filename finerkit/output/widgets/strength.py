"""Explore comparison strength and references over the photos of a comparison, in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import traitlets as t

from finerkit.base.geometry import GRID
from finerkit.base.roles import references_of, target_of
from finerkit.base.text import typed_names
from finerkit.base.wording import shown
from finerkit.evidence.comparison import as_pair
from finerkit.evidence.contrast import DEFAULT_STRENGTH, OBJECTIVES, contrast, reference_weights
from finerkit.output.figures.colours import DIVERGING, SEQUENTIAL
from finerkit.output.widgets.base import Explorer, known, number, one_of, tables
from finerkit.output.widgets.photos import LARGEST, jpeg
from finerkit.photos.display import gone
from finerkit.store.photo_paths import located

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr

SORTS = ("margin", "error", "name")
SCALES = ("common", "photo")

#: Photos in the still picture, one to a line.
_STILL = 4

#: Traits that two linked explorers share.
LINKED = ("strength", "signed", "share", "opacity", "smooth", "scale", "cmap", "cmap_signed")


class StrengthExplorer(Explorer):
    """Photos with the contrast drawn over them, to sweep the comparison strength by hand.

    Arithmetic and drawing happen in the browser, from the evidence of each class; only the page of photos that is
    shown travels. All attributes can be read, set and observed (``explorer.observe(callback, "strength")``).

    Parameters
    ----------
    pair
        A comparison, from `finerkit.compare`.
    **state
        First values of the attributes below.

    Attributes
    ----------
    strength : float
        Comparison strength, 0 to 2.
    references : list of str
        References in use: any subset of the comparison's, at least one. Exact, since evidence is stored per class.
    objective : str
        How references are weighted, see `finerkit.contrast`.
    signed : bool
        Show what argues against the target too, in diverging colours.
    share : float
        Show only the fewest cells that together hold this share of a photo's evidence, 0.01 to 1.
    opacity : float
        Of strong cells, 0 to 1.
    cmap, cmap_signed : str
        Colour maps for positive and for signed evidence.
    scale : str
        "common": one scale for all photos and strengths, full colour at `limit`. "photo": relative to each photo's
        largest cell at the present strength (written under the photo, since it vanishes as strength grows).
    limit : float
        Evidence at full colour on the common scale, in logits.
    smooth : bool
        Interpolate between cell centres, or draw cells as they are.
    sort : str
        "margin": clearest first. "error": photos that come nearest to being taken for a reference first (by logits
        of heads that had not seen the photo, where the study has them). "name".
    page, page_size : int
        Which photos are shown: page number from 0, photos per page.
    tile : int
        Width of a photo, in CSS pixels.
    selected : list of str
        Ids of the photos that are ticked; see `selection`.
    enlarged : str
        Id of the photo shown large, at the resolution of its file; "" for none.

    Raises
    ------
    traitlets.TraitError
        If an attribute is set to what it cannot be. The browser's own errors are shown under the widget.

    See Also
    --------
    finerkit.figures.contrast_grid : The same for print.
    """

    _module = "strength.js"

    strength = number(0, 2, DEFAULT_STRENGTH, "strength")
    references = t.List(t.Unicode()).tag(sync=True)
    objective = one_of(OBJECTIVES, "objective")
    signed = t.Bool(False).tag(sync=True)
    share = number(0.01, 1, 1.0, "share")
    opacity = number(0, 1, 0.75, "opacity")
    cmap = one_of(SEQUENTIAL, "cmap")
    cmap_signed = one_of(DIVERGING, "cmap_signed")
    scale = one_of(SCALES, "scale")
    limit = number(1e-12, 1e12, 1.0, "limit")
    smooth = t.Bool(True).tag(sync=True)
    sort = one_of(SORTS, "sort")
    page = t.Int(0).tag(sync=True)
    page_size = t.Int(12).tag(sync=True)
    tile = t.Int(220).tag(sync=True)
    selected = t.List(t.Unicode()).tag(sync=True)
    enlarged = t.Unicode("").tag(sync=True)

    _about = t.Dict().tag(sync=True)
    _tables = t.Dict().tag(sync=True)
    _page = t.Dict().tag(sync=True)
    _photo = t.Dict().tag(sync=True)

    def __init__(self, pair: xr.Dataset, **state: Any) -> None:
        self._pair = located(as_pair(pair), stacklevel=3)
        names = references_of(self._pair)
        self._ids = self._pair["image"].values.astype(str)
        self._rows = {name: i for i, name in enumerate(self._ids)}
        state = {"references": names, "objective": self._pair.attrs.get("objective", "mean")} | state
        self._refuse_unknown(state)
        state.setdefault("limit", _limit(self._pair, names))
        super().__init__(
            _tables={name: table.tobytes() for name, table in tables().items()}, _about=self._describe(names), **state
        )
        self._turn()
        self.observe(self._turn, ["page", "page_size", "sort", "references", "objective", "tile"])
        self.observe(self._enlarge, "enlarged")
        if self.enlarged:
            self._enlarge()

    @property
    def pair(self) -> xr.Dataset:
        """The comparison that is shown."""
        return self._pair

    @property
    def selection(self) -> xr.Dataset:
        """The comparison of the ticked photos; of all photos where none is ticked."""
        return self._pair.sel(image=self.selected) if self.selected else self._pair

    def contrast(self) -> xr.DataArray:
        """Contrast as it is set now, for all photos: ``(image, y, x)`` in logits; see `finerkit.contrast`."""
        return contrast(self._pair, self.strength, self.objective, references=self.references, relu=not self.signed)

    def link(self, other: StrengthExplorer, names: Iterable[str] = LINKED) -> list[ipywidgets.Widget]:
        """Move together with another explorer, in the browser, so that both follow a slider at full speed.

        Parameters
        ----------
        other
            Another explorer; references are not linked, since the other may have others.
        names
            Attributes to share.

        Returns
        -------
        list
            The links; ``link.unlink()`` ends one.
        """
        if not isinstance(other, StrengthExplorer):
            raise TypeError(f"Expected another StrengthExplorer. Got a {type(other).__name__} instead.")
        for name in names:
            setattr(other, name, getattr(self, name))
        return [ipywidgets.jslink((self, name), (other, name)) for name in names]

    def _still(self) -> bytes:
        """The first photos of the page as a contrast grid, which knows neither `share` nor `limit`."""
        from finerkit.output.figures import contrast_grid

        figure = contrast_grid(
            self._pair,
            self.strength,
            self._page["images"][:_STILL],
            objective=self.objective,
            references=self.references,
            relu=not self.signed,
            scale="shared" if self.scale == "common" else "panel",
            cmap=self.cmap_signed if self.signed else self.cmap,
            opacity=self.opacity,
            pixels=240,
        )
        return figure.to_png(width_mm=100)

    # --- state ---

    @t.validate("references")
    def _check_references(self, proposal: t.Bunch) -> list[str]:
        names = references_of(self._pair)
        wanted = typed_names(proposal["value"]) or []
        if not wanted:
            raise t.TraitError(
                f"At least one reference is needed. This comparison holds {', '.join(map(repr, names))}."
            )
        chosen = {known(w, names, "reference in this comparison") for w in wanted}
        return [name for name in names if name in chosen]

    @t.validate("selected")
    def _check_selected(self, proposal: t.Bunch) -> list[str]:
        return [self._known(i) for i in dict.fromkeys(proposal["value"])]

    @t.validate("enlarged")
    def _check_enlarged(self, proposal: t.Bunch) -> str:
        return self._known(proposal["value"]) if proposal["value"] else ""

    @t.validate("page")
    def _check_page(self, proposal: t.Bunch) -> int:
        return int(np.clip(proposal["value"], 0, self._pages() - 1))

    @t.validate("page_size")
    def _check_page_size(self, proposal: t.Bunch) -> int:
        return int(np.clip(proposal["value"], 1, 120))

    @t.validate("tile")
    def _check_tile(self, proposal: t.Bunch) -> int:
        return int(np.clip(proposal["value"], 80, 1024))

    def _known(self, image: str) -> str:
        return image if image in self._rows else known(image, self._ids, "photo in this comparison")

    def _pages(self) -> int:
        return -(-len(self._ids) // self.page_size)

    # --- what travels to the browser ---

    def _describe(self, references: list[str]) -> dict[str, Any]:
        attrs, target = self._pair.attrs, target_of(self._pair)
        return {
            "target": target,
            "references": references,
            "photos": len(self._ids),
            "additive": bool(attrs.get("additive")),
            "only_scales": bool(attrs.get("strength_only_scales")),
            "method": str(attrs.get("method", "")),
            "title": f"What tells {shown(target)} from its look-alikes",
        }

    def _turn(self, _change: Any = None) -> None:
        """Send the page that is asked for, unless it is there."""
        page = min(self.page, self._pages() - 1)
        if page != self.page:
            self.page = page  # comes back here
            return
        rows = self._order()[page * self.page_size : (page + 1) * self.page_size]
        images = [str(i) for i in self._ids[rows]]
        if (images, self.tile) == (self._page.get("images"), self._page.get("tile")):
            return
        part = self._pair.isel(image=rows)
        names = [target_of(self._pair), *self._about["references"]]
        evidence = part["evidence"].sel(species=names).transpose("image", "species", "y", "x").values
        sizes = np.stack([part["width"].values, part["height"].values], 1).astype(int).tolist()
        self._page = {
            "images": images,
            "tile": self.tile,
            "rows": evidence.shape[2],
            "columns": evidence.shape[3],
            "evidence": evidence.astype("<f4").tobytes(),
            "logit": part["logit"].sel(species=names).transpose("image", "species").values.astype("<f4").tobytes(),
            "places": np.stack([part[v] for v in GRID], 1).astype(float).tolist(),
            "sizes": sizes,
            "status": [str(s) for s in part["status"].values],
            "species": [str(s) for s in part["true_species"].values],
            "gone": [gone(str(path)) for path in part["path"].values],
            "photos": [
                jpeg(str(path), w, h, 2 * self.tile) for path, (w, h) in zip(part["path"].values, sizes, strict=True)
            ],
        }

    def _order(self) -> np.ndarray:
        """Rows of the comparison in the order that is asked for; photos that failed come last."""
        if self.sort == "name":
            return np.argsort(self._ids, kind="stable")
        key = -self._margins("logit") if self.sort == "margin" else self._closest_call()
        return np.argsort(np.where(np.isnan(key), np.inf, key), kind="stable")

    def _margins(self, logits: str) -> np.ndarray:
        weights = reference_weights(self._pair, self.objective, self.references)
        logit = self._pair[logits]
        against = (weights * logit.sel(species=self.references)).sum("species", skipna=False)
        return (logit.sel(species=target_of(self._pair)) - against).values

    def _closest_call(self) -> np.ndarray:
        """Lead of the target over its strongest reference, in logits; below 0 the photo would be taken for it."""
        logits = "logit_cross_validated" if "logit_cross_validated" in self._pair else "logit"
        logit = self._pair[logits]
        rival = logit.sel(species=self.references).max("species", skipna=False)
        return (logit.sel(species=target_of(self._pair)) - rival).values

    def _enlarge(self, _change: Any = None) -> None:
        image = self.enlarged
        if not image:
            self._photo = {}
            return
        if image not in self._page["images"]:
            position = int(np.flatnonzero(self._ids[self._order()] == image)[0])
            self.page = position // self.page_size
        one = self._pair.isel(image=self._rows[image])
        size = int(one["width"]), int(one["height"])
        self._photo = {"image": image, "photo": jpeg(str(one["path"].item()), *size, min(max(size), LARGEST))}


def _limit(pair: xr.Dataset, references: list[str], photos: int = 256) -> float:
    """Evidence at full colour: what the strongest cell of 98 % of the photos stays under at strengths 0 and 1.

    Of `photos` photos in whole chunks at most, so that a large collection opens as quickly as a small one.
    """
    step = 32
    starts = np.unique(np.linspace(0, max(pair.sizes["image"] - step, 0), photos // step).astype(int))
    rows = np.unique(np.concatenate([np.arange(s, min(s + step, pair.sizes["image"])) for s in starts]))
    peaks = contrast(pair.isel(image=rows), [0.0, 1.0], references=references).max(("y", "x")).values
    finite = peaks[np.isfinite(peaks)]
    return float(np.quantile(finite, 0.98)) if finite.size and finite.max() > 0 else 1.0
