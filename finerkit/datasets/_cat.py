"""One photo of a cat, for the network's own classes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from finerkit.photos.read import read_images

if TYPE_CHECKING:
    import xarray as xr

_SPECIES, _FILE = "Egyptian cat", "chelsea.png"


def cat(out: str | os.PathLike[str] | None = None) -> xr.Dataset:
    """Write scikit-image's photo of Chelsea the cat (public domain), and list it.

    Parameters
    ----------
    out
        Folder to write ``images/Egyptian cat/chelsea.png`` into; by default the user's cache. An existing file is kept.

    Returns
    -------
    xarray.Dataset
        Of `finerkit.read_images`: one photo, 451 x 300 pixels, of the species "Egyptian cat".

    Examples
    --------
    >>> images = fk.datasets.cat()  # doctest: +SKIP
    """
    import platformdirs
    from PIL import Image
    from skimage import data

    if out is None:
        out = Path(platformdirs.user_cache_dir("finerkit", appauthor=False)) / "cat"
    images = Path(out) / "images"
    target = images / _SPECIES / _FILE
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=".", suffix=".png", dir=target.parent)
        os.close(handle)
        Image.fromarray(data.chelsea()).save(part)
        Path(part).replace(target)
    return read_images(images, progress=False)
