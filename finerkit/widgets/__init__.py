"""Widgets for notebooks: comparisons, traits and studies enter; explorers that draw in the browser leave. No torch."""

from __future__ import annotations

from finerkit.widgets.species import SpeciesExplorer
from finerkit.widgets.strength import StrengthExplorer
from finerkit.widgets.traits import TraitExplorer

__all__ = ["SpeciesExplorer", "StrengthExplorer", "TraitExplorer"]
