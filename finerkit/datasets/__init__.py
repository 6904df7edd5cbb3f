"""Data sets to try things on, shipped with finerkit.

`mimics` are look-alike species whose telling trait is known to the pixel; `cat` is one well-known photo.
"""

from __future__ import annotations

from finerkit.datasets._cat import cat
from finerkit.datasets._masks import PART_LABELS, mask
from finerkit.datasets._mimics import mimics
from finerkit.datasets._pairs import PAIRS, Pair

__all__ = ["PAIRS", "PART_LABELS", "Pair", "cat", "mask", "mimics"]
