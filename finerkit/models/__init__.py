"""Networks: load one by name or from a torch module; it gives cell features and logits."""

from __future__ import annotations

from finerkit.models.load import ModelUnavailableError, load_model
from finerkit.models.model import Model
from finerkit.models.split import Split

__all__ = ["Model", "ModelUnavailableError", "Split", "load_model"]
