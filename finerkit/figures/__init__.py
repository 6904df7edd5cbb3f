"""Draw comparisons, traits, scores and studies, for screens and print. Never imports torch."""

from __future__ import annotations

from finerkit.figures.colours import CATEGORIES, DIVERGING, SEQUENTIAL
from finerkit.figures.curves import score_curves
from finerkit.figures.grid import contrast_grid, strength_strip
from finerkit.figures.paper import PaperFigure, PrintFigure
from finerkit.figures.phenotype import phenotype_boxes
from finerkit.figures.similarity import similarity_map
from finerkit.figures.trait_sheet import trait_sheet

__all__ = [
    "CATEGORIES",
    "DIVERGING",
    "SEQUENTIAL",
    "PaperFigure",
    "PrintFigure",
    "contrast_grid",
    "phenotype_boxes",
    "score_curves",
    "similarity_map",
    "strength_strip",
    "trait_sheet",
]
