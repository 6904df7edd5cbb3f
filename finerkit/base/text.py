"""Text of datasets, and names as people pass them, in one form to count on."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr


def plain_text(data: xr.Dataset) -> xr.Dataset:
    """Turn text read from Zarr into object arrays in memory, which compare, sort and cast as everyone is used to."""
    text = {n: v for n, v in data.variables.items() if v.dtype.kind == "T"}
    return data.assign({n: text_variable(v.values.astype(object), v.dims, v.attrs) for n, v in text.items()})


def text_variable(text: np.ndarray, dims: Any = "image", attrs: Any = None) -> xr.Variable:
    """A variable of these very objects: xarray by itself passes text through pandas, which makes every one anew."""
    return xr.Variable(dims, text, attrs, fastpath=True)


def typed_names(names: Any) -> list[str] | None:
    """Names or ids from one, a list, an array, or a DataArray of them or labelled by them; None if it is neither."""
    if isinstance(names, str):
        return [names]
    if isinstance(names, xr.DataArray):
        names = names.values if names.dtype.kind in "OUT" else names[names.dims[0]].values
    try:
        found = list(np.atleast_1d(np.asarray(names if hasattr(names, "dtype") else list(names), object)))
    except TypeError:
        return None
    return [str(n) for n in found] if all(isinstance(n, str) for n in found) else None
