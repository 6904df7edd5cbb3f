"""Show what distinguishes a species from its look-alikes: where, how consistently, with numbers and a figure.

The main job in five lines::

    import finerkit as fk

    images = fk.read_images("photos/")  # one folder per species
    study = fk.analyze(images, store="photos.zarr")
    pair = fk.compare(study, "Vanessa atalanta")  # and its three nearest look-alikes
    fk.figures.contrast_grid(pair, [0, 0.6, 1.0])

Names are listed in ``__init__.pyi`` and loaded when first used, so that ``import finerkit`` is quick and does not
import torch.
"""

from __future__ import annotations

import sys
from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'finerkit' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    return _load(name)
