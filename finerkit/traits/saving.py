"""Keep traits in their study, as a whole or as they were, and bring together what several people did to them."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any

from finerkit.base.names import file_stem, slug
from finerkit.base.roles import references_of, target_of
from finerkit.store import groups as disk
from finerkit.store.location import exists, is_local, place
from finerkit.store.lock import writing
from finerkit.traits import edit

if TYPE_CHECKING:
    import xarray as xr

    from finerkit.store.location import Place


#: Attrs that say which state of the store traits were read from: a token of it, and how many edits it held.
_SYNC = ("revision", "saved_edits")

#: What an entry of the history passes to the function that it tells of.
_ARGUMENTS = {"rename": ("trait", "name"), "merge": ("traits", "name"), "mark_background": ("trait", "background")}


def save(traits: xr.Dataset) -> xr.Dataset:
    """Write traits into the study they came from.

    Where somebody else saved edits meanwhile, yours are made again on top of theirs.

    Parameters
    ----------
    traits
        From `finerkit.find_traits`, perhaps edited.

    Returns
    -------
    xarray.Dataset
        The traits as they lie in the study now, with the edits of both. Go on with these.

    Raises
    ------
    ValueError
        If the traits do not say which study they are of, or somebody else's edits do not go with yours; then nothing is
        written.
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
    with writing(path):
        disk.finish_replacing(path)
        return put(path, _with_theirs(stored(path, group_of(traits)), traits))


def put(path: Place, traits: xr.Dataset) -> xr.Dataset:
    """Write traits into a study, in the place of those of the same name; they are never half written.

    Parameters
    ----------
    path
        The study.
    traits
        What to write, in the place of `group_of`.

    Returns
    -------
    xarray.Dataset
        The same, as it lies there.
    """
    group = group_of(traits)
    traits = traits.assign_attrs(revision=uuid.uuid4().hex, saved_edits=len(edit.history(traits)))
    with writing(path):
        if traits.attrs.get("study_id") not in (None, disk.read_root(path).get("study_id")):
            name = group.partition("/")[2]
            raise ValueError(
                "The study was compacted or replaced since these traits were read: their rows are no longer its rows. "
                f"Read them again: fk.open_study({str(path)!r}).finerkit.trait({name!r}). Nothing was written."
            )
        disk.replace_group(path, group, traits)
    return traits


def stored(path: Place, group: str) -> xr.Dataset | None:
    """The traits of a group as they lie on disk, or None."""
    return disk.read_group(path, group).load() if group in disk.committed(path) else None


def synced(traits: xr.Dataset, like: xr.Dataset) -> xr.Dataset:
    """Traits that were read from, or saved to, the same state of the store as others."""
    return traits.assign_attrs({name: like.attrs[name] for name in _SYNC if name in like.attrs})


def _with_theirs(theirs: xr.Dataset | None, mine: xr.Dataset) -> xr.Dataset:
    """Traits with the edits of both, where somebody saved since `mine` were read."""
    if theirs is None or theirs.attrs.get("revision") == mine.attrs.get("revision"):
        return mine
    if theirs.attrs.get("found") != mine.attrs.get("found"):
        raise ValueError(_refusal(mine, "other traits were found and saved under this name"))
    known, mine_now, theirs_now = int(mine.attrs.get("saved_edits", 0)), edit.history(mine), edit.history(theirs)
    if mine_now[:known] != theirs_now[:known]:
        raise ValueError(_refusal(mine, "an edit was taken back here or there that the other still has"))
    added, theirs_added = mine_now[known:], theirs_now[known:]
    regions_moved = any(e["edit"] in ("merge", "split") for e in theirs_added)
    clash = {name for e in added for name in _names(e)} & {name for e in theirs_added for name in _names(e)}
    if clash:
        raise ValueError(_refusal(mine, f"both of you changed {', '.join(map(repr, sorted(clash)))}."))
    found = theirs.assign_attrs({k: v for k, v in mine.attrs.items() if k == "store"})
    for entry in added:
        try:
            found = _repeat(found, entry, regions_moved=regions_moved)
        except ValueError as error:
            raise ValueError(_refusal(mine, f"your edit ({_told(entry)}) does not go with it: {error}")) from error
    return found


def _repeat(traits: xr.Dataset, entry: dict[str, Any], *, regions_moved: bool) -> xr.Dataset:
    """Do again what an entry of the history tells of."""
    arguments = _ARGUMENTS.get(entry["edit"])
    if arguments is not None:
        return getattr(edit, entry["edit"])(traits, *(entry[name] for name in arguments))
    if regions_moved:
        raise ValueError("the regions that were split off have other numbers now.")
    return edit.split(traits, None, entry["regions"], name=entry["name"])


def _names(entry: dict[str, Any]) -> list[str]:
    """Traits that an entry of the history is about, before and after it."""
    return [*entry.get("traits", []), *(entry[key] for key in ("trait", "name") if key in entry)]


def _told(entry: dict[str, Any]) -> str:
    names = entry.get("traits") or [entry.get("trait")]
    return f"{entry['edit']} {', '.join(map(repr, names))}"


def _refusal(traits: xr.Dataset, why: str) -> str:
    name = group_of(traits).partition("/")[2]
    return (
        f"Somebody else saved these traits meanwhile, and {why.rstrip('.')}. Nothing was written. Read theirs with "
        f"study.finerkit.trait({name!r}) and edit these, or keep yours with traits.to_netcdf('mine.nc')."
    )


def store_path(traits: xr.Dataset) -> Place | None:
    """Where the study lies that traits say they are of; it may be gone."""
    return place(traits.attrs["store"]) if traits.attrs.get("store") else None


def group_of(traits: xr.Dataset) -> str:
    """Name of their group in the study: the one they were given, or target and references."""
    name = str(traits.attrs.get("name", ""))
    return f"traits/{slug(name) if name else file_stem(target_of(traits), references_of(traits))}"
