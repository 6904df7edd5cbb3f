"""Bring comparisons and names, as people pass them, into one form to count on."""

from __future__ import annotations

import json
from typing import Any

import xarray as xr

from finerkit.base.roles import references_of, target_of
from finerkit.base.text import plain_text
from finerkit.store.location import exists, inside, place


def as_pair(pair: Any) -> xr.Dataset:
    """Take a comparison from `finerkit.compare`, a study's node, a selection of its photos, or one photo.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If its photos repeat, there are none, or its target or all its references were dropped by a selection.
    """
    if isinstance(pair, xr.DataTree):
        pair = pair.to_dataset()
    if not isinstance(pair, xr.Dataset) or not {"evidence", "logit"} <= set(pair.variables):
        raise TypeError(f"Expected a comparison, as fk.compare(...) returns it. Got a {type(pair).__name__} instead.")
    _refuse_rewritten(pair)
    if "image" not in pair.dims:
        of_the_photo = [n for n, c in pair.coords.items() if not c.dims and n != "image"]
        pair = pair.reset_coords(of_the_photo).expand_dims("image").set_coords(of_the_photo)
    if "bias" in pair and "image" in pair["bias"].dims:  # repeated for each photo, here or by xarray.concat
        pair = pair.assign(bias=pair["bias"].isel(image=0, drop=True))
    ids = pair["image"].values
    if not len(ids):
        raise ValueError("This comparison has no photo left: select some.")
    if len(set(ids)) < len(ids):
        raise ValueError("Some photos are in this comparison twice: select each once.")
    target_of(pair)  # raises an error where a selection dropped it
    if not references_of(pair):
        raise ValueError(
            "The selection dropped every reference: select photos only, and choose references with "
            "contrast(..., references=[...])."
        )
    return plain_text(pair)


def _refuse_rewritten(pair: xr.Dataset) -> None:
    """Raise an error if evidence that is still on disk was replaced, or is gone: Zarr would read it as empty."""
    attrs = pair.attrs
    if pair["evidence"].chunks is None or not (attrs.get("question_id") and attrs.get("store")):
        return
    if not exists(place(attrs["store"])):
        raise FileNotFoundError(
            f"The study of this comparison is no longer at {attrs['store']!r}, and its evidence was not loaded. Where "
            "it was moved: study = fk.open_study('new place'), and ask fk.compare(study, ...) again."
        )
    try:
        there = inside(place(attrs["store"]), f"comparisons/{attrs['name']}/zarr.json")
        now = json.loads(there.read_bytes())["attributes"].get("question_id")
    except (OSError, ValueError, KeyError):
        now = None
    if now != attrs["question_id"]:
        raise ValueError(
            f"The comparison {attrs['name']!r} was replaced or removed in its study since this was opened, and its "
            "evidence was not loaded. Ask fk.compare(study, ...) again."
        )
