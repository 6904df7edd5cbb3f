"""Draw invented look-alike butterflies whose telling trait is known to the pixel.

`finerkit.datasets.mimics` reads a sample that was drawn with this package (``python -m mimics_generator.sample``). Draw
your own where you need more photos, another seed, another size or the fifth pair.
"""

from __future__ import annotations

from mimics_generator.draw import draw_mimics
from mimics_generator.pairs import PAIRS, SPECIES, pair_of

__all__ = ["PAIRS", "SPECIES", "draw_mimics", "pair_of"]
