"""Say which photos a comparison or traits are of, find their files, and say which are not there."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from finerkit.base.geometry import GRID
from finerkit.base.text import text_variable
from finerkit.photos.contents import are_same
from finerkit.photos.display import is_there
from finerkit.photos.preprocess import Preprocess
from finerkit.photos.read import PhotoWarning
from finerkit.store import groups as disk
from finerkit.store import location as places
from finerkit.store.study import moved, photo_root

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr


def located(data: xr.Dataset, shown: Iterable[str] | None = None, *, stacklevel: int = 4) -> xr.Dataset:
    """Return a dataset with the paths of `paths_of`.

    Parameters
    ----------
    data
        A comparison or traits.
    shown
        Ids of the photos that will be shown; by default all.
    stacklevel
        Of the warning; by default it points at who called the caller's caller.

    Warns
    -----
    PhotoWarning
        Once, with their number and folder, if files of these photos are not there.
    """
    data = data.assign_coords(path=data["path"].copy(data=paths_of(data)))
    wanted = np.ones(data["image"].size, bool) if shown is None else np.isin(data["image"].values, list(shown))
    warn_gone(np.atleast_1d(data["path"].values)[wanted], data.attrs.get("store"), stacklevel=stacklevel + 1)
    return data


def warn_gone(paths: Iterable[str], store: object, *, stacklevel: int) -> bool:
    """Count, in one `PhotoWarning`, the files that are not there, and return whether there are any.

    Parameters
    ----------
    paths
        Of the photos that are shown.
    store
        Of their study, where it is known.
    stacklevel
        Of the warning.
    """
    paths = [str(path) for path in paths]
    gone = [path for path in paths if not is_there(path)]
    if gone:
        warnings.warn(
            f"{len(gone)} of {len(paths)} photos are not found under {_folder(gone)!r} and drawn as such. Where they "
            f"were moved: study = fk.open_study({str(store or 'name.zarr')!r}, photos='new/folder'), and ask it again.",
            PhotoWarning,
            stacklevel=stacklevel,
        )
    return bool(gone)


def _folder(paths: list[str]) -> str:
    folders = [os.path.dirname(path) for path in paths]  # noqa: PTH120 - the folder may not exist
    try:
        return os.path.commonpath(folders)
    except ValueError:  # on several drives
        return folders[0]


def cell_places(study: xr.DataTree, photos: xr.Dataset, grid: tuple[int, int] | None = None) -> np.ndarray:
    """Where each photo's grid lies (image, 4): left, top, cell width and height, in pixels of the upright original.

    `grid`, rows and columns, is by default that of the study.
    """
    fitted = Preprocess.from_attrs(study.attrs)
    return np.stack(fitted.placement(photos["width"].values, photos["height"].values, grid or study.finerkit.grid), 1)


def photo_coords(study: xr.DataTree, photos: xr.Dataset, grid: tuple[int, int]) -> dict[str, Any]:
    """Return what a comparison, or traits, know of their photos, as coordinates along ``image``.

    Parameters
    ----------
    study
        Whose network looks at them.
    photos
        Like ``/images``.
    grid
        Rows and columns of cells.

    Returns
    -------
    dict
        ``image``, ``true_species``, ``path``, ``width`` and ``height``, ``row`` (in the study's store) and where the
        grid lies (`finerkit.base.geometry.GRID`).
    """
    placed = cell_places(study, photos, grid).T
    rows = np.full(photos.sizes["image"], -1)
    if are_same(study, photos):
        rows = study["images"].to_dataset()["row"].sel(image=photos["image"].values).values
    pixel = {"units": "pixel", "comment": "of the upright original photo"}
    sizes = {"width": photos["width"].values, "height": photos["height"].values, **dict(zip(GRID, placed, strict=True))}
    texts = {"image": "image", "true_species": "species", "path": "path"}
    return {
        **{name: text_variable(photos[source].values) for name, source in texts.items()},
        **{name: ("image", values, pixel) for name, values in sizes.items()},
        "row": ("image", rows, {"comment": "of the study's store, -1 for other photos"}),
    }


def paths_of(data: xr.Dataset) -> np.ndarray:
    """Return where each photo of a dataset lies now (text objects, along ``image``).

    Parameters
    ----------
    data
        A comparison, traits or scores: anything with ``path(image)``. Where its store is there, the paths are those of
        the study's ``/images``, so that photos that were moved are followed. The file of a photo that was replaced
        since shows something else: its path leads nowhere.
    """
    own = np.atleast_1d(data["path"].values).astype(object)
    store, rows = data.attrs.get("store"), np.atleast_1d(data["row"].values) if "row" in data.coords else np.array([-1])
    path = places.place(store) if store and (rows >= 0).any() else None
    if path is None or not places.exists(path) or disk.read_root(path).get("study_id") != data.attrs.get("study_id"):
        return own.reshape(data["path"].shape)
    here = np.flatnonzero(rows >= 0)
    images = disk.open_group(path, "images")
    now, ids = (images[name].oindex[rows[here]].astype(object) for name in ("path", "image"))
    before, after = str(images.attrs.get("root", "")), photo_root(path, images.attrs)
    for i, there, name in zip(here, now, ids, strict=True):
        if name != np.atleast_1d(data["image"].values)[i]:
            own[i] = f"{own[i]} (replaced since)"
        elif not is_there(str(own[i])) and is_there(found := moved(str(there), before, after)):
            own[i] = found
    return own.reshape(data["path"].shape)
