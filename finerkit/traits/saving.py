"""Traits back into their study: a dataset enters; ``/traits/<name>`` on disk, the whole of it or as it was, leaves."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

from finerkit import store as disk
from finerkit.lock import writing
from finerkit.names import slug
from finerkit.places import clear, exists, is_local, place, recover, remove, replace

if TYPE_CHECKING:
    import xarray as xr

    from finerkit.places import Place


#: How folders begin in which traits are written before they take their place; hidden, so that none is shown.
_DESK = ".saving-"


def save(traits: xr.Dataset) -> Place:
    """Write traits into the study they came from, in place of what is there under their name.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`, perhaps edited.

    Returns
    -------
    pathlib.Path or upath.UPath
        The group.

    Raises
    ------
    ValueError
        If the traits do not say which study they are of.
    FileNotFoundError
        If that study is gone.
    PermissionError
        If it may not be written to.
    BlockingIOError
        If another process is writing to it.
    """
    path = store_path(traits)
    if path is None:
        raise ValueError(
            "These traits do not know a study on disk to be saved in: keep them with traits.to_netcdf('traits.nc')."
        )
    if not exists(path):
        raise FileNotFoundError(f"The study {str(path)!r} of these traits is gone: it may have been moved.")
    if is_local(path) and not os.access(path, os.W_OK):
        raise PermissionError(f"The study {str(path)!r} may not be written to: copy it to a place of your own.")
    return put(path, group_of(traits), traits)


def put(path: Place, group: str, traits: xr.Dataset) -> Place:
    """Write traits next to their place in a study and then put them there, so that they are never half written.

    Parameters
    ----------
    path
        The study.
    group
        Where in it, see `group_of`.
    traits
        What to write.

    Returns
    -------
    pathlib.Path or upath.UPath
        The group.
    """
    there = path / group
    with writing(path):
        recover(there)
        for left in there.parent.glob(f"{_DESK}*"):  # of a process that was killed here
            remove(left)
        desk = there.with_name(f"{_DESK}{uuid.uuid4().hex}")
        try:
            disk.make_group(path, "traits")
            disk.write_group(desk, "new", traits)
            replace(desk / "new", there)
        finally:
            clear(desk, there)
        disk.finish(path)
    return there


def store_path(traits: xr.Dataset) -> Place | None:
    """Where the study lies that traits say they are of; it may be gone."""
    return place(traits.attrs["study"]) if traits.attrs.get("study") else None


def group_of(traits: xr.Dataset) -> str:
    """Name of their group in the study."""
    return f"traits/{slug(str(traits.attrs.get('name') or traits.attrs['target']))}"
