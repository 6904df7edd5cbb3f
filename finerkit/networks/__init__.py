"""Load networks, cut them into features and head, and run photos through them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"load": ["ModelUnavailableError", "load_model"], "model": ["Model"], "split": ["Split"]},
)
