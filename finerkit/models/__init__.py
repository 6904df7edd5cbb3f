"""Networks: a name or a torch module enters; a `Model` that gives cell features and logits leaves."""

from __future__ import annotations

from finerkit.models.load import ModelUnavailableError, load_model
from finerkit.models.model import Model
from finerkit.models.split import Split

__all__ = ["Model", "ModelUnavailableError", "Split", "load_model"]
