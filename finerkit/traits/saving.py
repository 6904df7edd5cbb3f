"""Traits back into their study: a dataset enters; ``/traits/<name>`` on disk, the whole of it or as it was, leaves."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from finerkit import store as disk
from finerkit.names import slug

if TYPE_CHECKING:
    import xarray as xr


_GROUP = "zarr.json"  # makes a folder a group


def save(traits: xr.Dataset) -> Path:
    """Write traits into the study they came from, in place of what is there under their name.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`, perhaps edited.

    Returns
    -------
    pathlib.Path
        The group. It is written next to its place first and then put there, so that it is never half written.

    Raises
    ------
    ValueError
        If the traits do not say which study they are of.
    FileNotFoundError
        If that study is gone.
    PermissionError
        If it may not be written to.
    """
    path = store_path(traits)
    if path is None:
        raise ValueError(
            "These traits do not know a study on disk to be saved in: keep them with traits.to_netcdf('traits.nc')."
        )
    if not path.exists():
        raise FileNotFoundError(f"The study {str(path)!r} of these traits is gone: it may have been moved.")
    if not os.access(path, os.W_OK):
        raise PermissionError(f"The study {str(path)!r} may not be written to: copy it to a place of your own.")
    group = group_of(traits)
    desk = path / f".saving-{uuid.uuid4().hex}"  # holds no group itself, so that nobody takes it for one
    desk.mkdir()
    try:
        disk.write_group(desk / "new", group, traits)
        _exchange(desk / "new" / group, path / group, desk / "old")
    finally:
        shutil.rmtree(desk, ignore_errors=True)
    disk.finish(path)
    return path / group


def store_path(traits: xr.Dataset) -> Path | None:
    """Folder of the study that traits say they are of; it may be gone."""
    return Path(traits.attrs["study"]) if traits.attrs.get("study") else None


def group_of(traits: xr.Dataset) -> str:
    """Name of their group in the study."""
    return f"traits/{slug(str(traits.attrs.get('name') or traits.attrs['target']))}"


def _exchange(new: Path, place: Path, old: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    if not (place.parent / _GROUP).exists():
        shutil.copy(new.parent / _GROUP, place.parent)
    if place.exists():
        place.rename(old)
    try:
        new.rename(place)
    except OSError:
        if old.exists():
            old.rename(place)
        raise
