"""Explore comparisons, traits and studies in notebooks; the browser draws. No torch."""

from __future__ import annotations

from finerkit.widgets.species import SpeciesExplorer
from finerkit.widgets.strength import StrengthExplorer
from finerkit.widgets.traits import TraitExplorer

__all__ = ["SpeciesExplorer", "StrengthExplorer", "TraitExplorer"]
