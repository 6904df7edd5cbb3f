"""Show what distinguishes a species from its look-alikes: where, how consistently, with numbers and a figure.

The main job in five lines::

    import finerkit as fk

    images = fk.read_images("photos/")  # one folder per species
    study = fk.analyze(images, store="photos.zarr")
    pair = fk.compare(study, "Vanessa atalanta")  # and its three nearest look-alikes
    fk.figures.contrast_grid(pair, [0, 0.6, 1.0])

Names are loaded when first used, so that ``import finerkit`` is quick and does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from finerkit._version import __version__

if TYPE_CHECKING:
    from finerkit import datasets, figures
    from finerkit.comparisons import compare
    from finerkit.duplicates import DuplicateWarning
    from finerkit.evidence import contrast, reference_weights
    from finerkit.guide import write_guide
    from finerkit.images import PhotoWarning, read_images
    from finerkit.measures import sanity_check, score, suggest_strength
    from finerkit.mistakes import SpeciesWarning
    from finerkit.models import Model, ModelUnavailableError, Split, load_model
    from finerkit.photo import load_image
    from finerkit.pipeline import analyze
    from finerkit.similarity import similar_species
    from finerkit.study import open_study
    from finerkit.tables import evidence_table, phenotype_table, trait_table
    from finerkit.traits import find_traits, label_masks, match_trait, test_background, test_traits, to_coco
    from finerkit.widgets import SpeciesExplorer, StrengthExplorer, TraitExplorer

_HOME = {
    "DuplicateWarning": "finerkit.duplicates",
    "Model": "finerkit.models",
    "ModelUnavailableError": "finerkit.models",
    "PhotoWarning": "finerkit.images",
    "SpeciesExplorer": "finerkit.widgets",
    "SpeciesWarning": "finerkit.mistakes",
    "Split": "finerkit.models",
    "StrengthExplorer": "finerkit.widgets",
    "TraitExplorer": "finerkit.widgets",
    "analyze": "finerkit.pipeline",
    "compare": "finerkit.comparisons",
    "contrast": "finerkit.evidence",
    "evidence_table": "finerkit.tables",
    "find_traits": "finerkit.traits",
    "label_masks": "finerkit.traits",
    "load_image": "finerkit.photo",
    "load_model": "finerkit.models",
    "match_trait": "finerkit.traits",
    "open_study": "finerkit.study",
    "phenotype_table": "finerkit.tables",
    "read_images": "finerkit.images",
    "reference_weights": "finerkit.evidence",
    "sanity_check": "finerkit.measures",
    "score": "finerkit.measures",
    "similar_species": "finerkit.similarity",
    "suggest_strength": "finerkit.measures",
    "test_background": "finerkit.traits",
    "test_traits": "finerkit.traits",
    "to_coco": "finerkit.traits",
    "trait_table": "finerkit.tables",
    "write_guide": "finerkit.guide",
}
_SUBMODULES = frozenset({"datasets", "figures", "models", "widgets"})

__all__ = [
    "DuplicateWarning",
    "Model",
    "ModelUnavailableError",
    "PhotoWarning",
    "SpeciesExplorer",
    "SpeciesWarning",
    "Split",
    "StrengthExplorer",
    "TraitExplorer",
    "__version__",
    "analyze",
    "compare",
    "contrast",
    "datasets",
    "evidence_table",
    "figures",
    "find_traits",
    "label_masks",
    "load_image",
    "load_model",
    "match_trait",
    "open_study",
    "phenotype_table",
    "read_images",
    "reference_weights",
    "sanity_check",
    "score",
    "similar_species",
    "suggest_strength",
    "test_background",
    "test_traits",
    "to_coco",
    "trait_table",
    "write_guide",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"finerkit.{name}")
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'finerkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
