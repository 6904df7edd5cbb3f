"""Networks: load one by name or from a torch module; it gives cell features and logits."""

from __future__ import annotations

from finerkit.networks.load import ModelUnavailableError, load_model
from finerkit.networks.model import Model
from finerkit.networks.split import Split

__all__ = ["Model", "ModelUnavailableError", "Split", "load_model"]
