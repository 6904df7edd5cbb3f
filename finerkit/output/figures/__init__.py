"""Draw comparisons, traits, scores and studies, for screens and print. Never imports torch."""

from __future__ import annotations

from finerkit.output.figures.colours import CATEGORIES, DIVERGING, SEQUENTIAL
from finerkit.output.figures.curves import score_curves
from finerkit.output.figures.grid import contrast_grid, strength_strip
from finerkit.output.figures.paper import PaperFigure, PrintFigure
from finerkit.output.figures.phenotype import phenotype_boxes
from finerkit.output.figures.similarity import similarity_map
from finerkit.output.figures.trait_sheet import trait_sheet

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
