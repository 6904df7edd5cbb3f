"""Show and export results: tables, figures, explorers and the guide. Nothing here imports torch when imported."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["figures", "guide", "tables", "widgets"])
