"""A study whose photos changed: the old store and the new list of photos enter; a store that kept what it could leaves.

Features are known by the content of the file: photos that were added or changed are computed; photos that only moved,
were renamed or got another species are not. The old store stays whole until the new one takes its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finerkit import places
from finerkit import store as disk
from finerkit.features import NOT_FINITE, contents
from finerkit.images import usable

if TYPE_CHECKING:
    import xarray as xr

    from finerkit.places import Place


def lost_photos(path: Place, images: xr.Dataset) -> list[str]:
    """Ids of analysed photos of a store whose content is not among `images`: they would be left out of it."""
    known = _known(path)
    now = set(contents(images.isel(image=usable(images)), known))
    done, then = known["status"].values == "ok", contents(known, images)
    return [str(i) for i, c, d in zip(known["image"].values, then, done, strict=True) if d and c not in now]


def are_changed(path: Place, images: xr.Dataset) -> bool:
    """Whether files changed where their fingerprints do not tell: seen only if all bytes were read, then and now."""
    known = disk.read_group(path, "images", "sha256")
    if "sha256" not in known or "sha256" not in images:
        return False
    then, now = known["sha256"].values, images["sha256"].values
    return bool(((then != now) & (then != "") & (now != "")).any())


def _known(path: Place) -> xr.Dataset:
    """What the store of a study says of the content of its photos."""
    return disk.read_group(path, "images", "status", "path", "fingerprint", "sha256")


def adopt(old: Place, new: Place) -> None:
    """Copy features from one store to another, made for other photos by the same model, wherever the content agrees.

    Parameters
    ----------
    old
        A study, finished or not.
    new
        A study just begun: every usable photo is pending. Photos found in `old` turn "ok".
    """
    before, images = _known(old), _known(new)
    done = np.flatnonzero(before["status"].values == "ok")
    where = dict(zip(np.array(contents(before, images), object)[done], done, strict=True))
    rows = np.array([where.get(c, -1) for c in contents(images, before)])
    pending = images["status"].values == disk.PENDING
    rows[~pending] = -1
    source, target = disk.ChunkedGroup.existing(old, "features"), disk.ChunkedGroup.existing(new, "features")
    if not target.names <= source.names:
        return
    for start in range(0, len(rows), disk.CHUNK):
        chunk = rows[start : start + disk.CHUNK]
        found = np.flatnonzero(chunk >= 0)
        if not len(found):
            continue
        values = target.read(start, len(chunk))
        for name in values:
            values[name][found] = source.rows(name, chunk[found])
        target.write(start, **values)
        status = images["status"].values[start : start + disk.CHUNK].copy()
        status[found] = "ok"
        disk.write_status(new, start, status)


def keep_work(old: Place, new: Place) -> None:
    """Take over traits, which people may have named and edited; comparisons are quick to ask again."""
    if places.exists(old / "traits"):
        places.copy(old / "traits", new / "traits")


def try_again(path: Place, images: xr.Dataset) -> bool:
    """Mark photos as pending that failed before for a reason that may have passed; whether there are any.

    A file that was on a drive that was not there, for example. Features that overflow would do so again.
    """
    known = disk.read_group(path, "images", "status")["status"].values
    again = usable(images) & (known != "ok") & (known != NOT_FINITE)
    if again.any():
        disk.write_status(path, 0, np.where(again, disk.PENDING, known))
    return bool(again.any())
