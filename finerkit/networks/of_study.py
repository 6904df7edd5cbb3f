"""Say which model made a study, and find that model again."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from finerkit.base.identity import hashed
from finerkit.networks import Model, load_model
from finerkit.photos.preprocess import Preprocess

if TYPE_CHECKING:
    import xarray as xr

#: Facts about a model that change no number.
_NAMES = ("model", "pretrained")

# Models in use, so that a question right after the analysis does not load one again.
_models: WeakValueDictionary[str, Model] = WeakValueDictionary()


def model_attrs(model: Model) -> dict[str, Any]:
    """What a dataset's attrs say of the model that made it."""
    return {
        "model": model.name,
        "weights_hash": model.weights_hash,
        "pretrained": int(model.pretrained),
        "split": model.description,
        "grid_rows": model.grid[0],
        "grid_columns": model.grid[1],
        "n_features": model.n_features,
        "precision": model.precision,
        **model.preprocess.to_attrs(),
    }


def remember(model: Model) -> None:
    """Keep a model findable by `model_of` for as long as someone uses it."""
    _models[json.dumps(model_attrs(model))] = model


def model_of(study: xr.DataTree, model: Model | None = None) -> Model:
    """Return the model that a study was made with: the one given, one in use, or one loaded again by its name.

    Raises
    ------
    ValueError
        If it is not the same model (weights and preprocessing are compared), or cannot be loaded by name.
    """
    attrs = study.attrs
    if model is None:
        model = next((m for m in _models.values() if _same(m, attrs)), None)
    if model is None:
        try:
            model = load_again(attrs)
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"This study was made with the model {attrs['model']!r}, which cannot be loaded by name: "
                "pass it as model=..."
            ) from error
        remember(model)
    if not _same(model, attrs):
        mine = model_attrs(model)
        differs = [k for k in mine if not _agrees(mine, attrs, k)]
        raise ValueError(
            f"This study was made with {attrs['model']!r} at {attrs['image_size']} pixels. Got {model!r}, which "
            f"differs in {', '.join(differs)}: pass the same model."
        )
    return model


def load_again(attrs: dict[str, Any], weights: str | None = None) -> Model:
    """Load by its name the model that the attrs of a study tell of; `weights` is its checkpoint, where it has one."""
    fed = asdict(Preprocess.from_attrs(attrs))
    pretrained = bool(attrs["pretrained"])
    return load_model(attrs["model"], **fed, pretrained=pretrained, weights=weights, precision=attrs["precision"])


def _same(model: Model, attrs: dict[str, Any]) -> bool:
    mine = model_attrs(model)
    return all(_agrees(mine, attrs, k) for k in mine)


def _agrees(mine: dict[str, Any], attrs: dict[str, Any], key: str) -> bool:
    return key in _NAMES or mine[key] == attrs.get(key)


def network_id(model: Model) -> str:
    """Return a short hash of all that the features of photos depend on: see `finerkit.base.identity.Identity`."""
    return hashed({k: v for k, v in model_attrs(model).items() if k not in _NAMES})


def class_names(model: Model) -> tuple[str, ...]:
    """Names of the network's own classes, numbered where they are unknown."""
    if model.class_names:
        return model.class_names
    side = model.preprocess.image_size
    count = model.logits(np.zeros((1, side, side, 3), np.uint8)).shape[1]
    return tuple(f"class {i}" for i in range(count))
