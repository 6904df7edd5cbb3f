"""Refuse a store from elsewhere that is damaged, and say what is wrong with it.

Stores hold arrays and text, never code: only Zarr format 3 is read, which has no codec that runs any. Links that lead
out of a store are not followed: see `finerkit.store.location.inside`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import xarray as xr

    from finerkit.store.location import Place

#: What groups of every study have: the dim of their rows, and variables along it.
_NEEDED = {
    "images": ("image", ("species", "path", "width", "height", "status")),
    "species": ("species", ("prototype", "n_photos")),
    "predictions": ("image", ("logit", "predicted")),
}


def check_version(store: Place, attrs: Mapping[str, Any], newest: int) -> None:
    """Raise ValueError unless the attrs of a store's root say a version that this finerkit can read."""
    if "schema_version" not in attrs:
        raise ValueError(
            f"{str(store)!r} is not a finerkit study. Make one with fk.analyze(images, store='name.zarr')."
        )
    version = attrs["schema_version"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _damaged(store, f"its schema_version must be an int in the range [1, inf), and is {version!r:.60}")
    if version > newest:
        raise ValueError(
            f"{str(store)!r} was written by finerkit {attrs.get('finerkit_version')!s:.20} in a newer layout: update "
            "finerkit."
        )


@contextmanager
def telling_damage(store: Place) -> Iterator[None]:
    """Turn what Zarr and xarray raise on metadata that make no sense into a ValueError that says which store it is."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise _damaged(store, f"{reason:.200}") from error


def check_groups(store: Place, groups: Mapping[str, xr.Dataset]) -> None:
    """Raise ValueError if a group that is there lacks what it has in every study."""
    for group, (dim, names) in _NEEDED.items():
        if group not in groups:
            continue
        data = groups[group]
        missing = [v for v in names if v not in data or data[v].dims[:1] != (dim,)]
        if missing or dim not in data.coords:
            raise _damaged(store, f"its group {group!r} lacks {', '.join(missing) or dim} along {dim}")


def _damaged(store: Place, what: str) -> ValueError:
    return ValueError(
        f"{str(store)!r} is damaged, or was not written by finerkit: {what}. Take a whole copy of it, or remove it and "
        "make it anew with fk.analyze(...)."
    )
