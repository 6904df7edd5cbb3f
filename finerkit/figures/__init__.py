"""Figures: comparisons enter; plotly figures for screens and files for print leave. Never imports torch."""

from __future__ import annotations

from finerkit.figures.colours import DIVERGING, SEQUENTIAL
from finerkit.figures.grid import ContrastFigure, contrast_grid
from finerkit.figures.trait_sheet import TraitSheet, trait_sheet

__all__ = ["DIVERGING", "SEQUENTIAL", "ContrastFigure", "TraitSheet", "contrast_grid", "trait_sheet"]
