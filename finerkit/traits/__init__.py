"""Find traits: discriminative regions clustered across a species, with their statistics."""

from __future__ import annotations

from finerkit.traits.background import test_background
from finerkit.traits.edit import mark_background, merge, rename, split
from finerkit.traits.find import find_traits, match_trait
from finerkit.traits.saving import save
from finerkit.traits.statistics import test_traits

__all__ = [
    "find_traits",
    "mark_background",
    "match_trait",
    "merge",
    "rename",
    "save",
    "split",
    "test_background",
    "test_traits",
]
