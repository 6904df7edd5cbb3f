"""Explore comparisons, traits and studies in notebooks; the browser draws. No torch."""

from __future__ import annotations

from finerkit.output.widgets.species import SpeciesExplorer
from finerkit.output.widgets.strength import StrengthExplorer
from finerkit.output.widgets.traits import TraitExplorer

__all__ = ["SpeciesExplorer", "StrengthExplorer", "TraitExplorer"]
