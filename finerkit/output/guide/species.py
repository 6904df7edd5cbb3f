"""Find the most typical photos of each species of a guide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from finerkit.output.widgets.exemplars import exemplars
from finerkit.photos.display import data_url, display_crop, encoded, is_there

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from finerkit.output.guide.topic import Topic

_PIXELS = 560  # longest side of a photo

#: Columns of a table whose text belongs under a photo, if it is there.
CREDITS = ("photographer", "credit", "creator", "rightsholder", "rights", "license", "licence")


def plates(topic: Topic, count: int) -> list[dict[str, Any]]:
    """`count` photos of each species, the target first, how many there are, and how near, where that made the choice.

    Without the study only the target has photos.
    """
    pair, found = topic.pair, []
    near = pair.attrs.get("picked_by") == "embedding" and "reference_score" in pair.coords
    for name in topic.species:
        own = name == topic.target
        ids = _ids(topic, name)
        similarity = float(pair["reference_score"].sel(species=name)) if near and not own else None
        photos = [_photo(topic.photos.sel(image=i)) for i in with_files(topic.photos, ids)[:count]]
        found.append({"species": name, "photos": photos, "number": len(ids), "similarity": similarity})
    return found


def _ids(topic: Topic, species: str) -> list[str]:
    """Best photos first."""
    if topic.study is not None:
        return [photo.image for photo in exemplars(topic.study, species)]
    return topic.clearest() if species == topic.target else []


def with_files(photos: xr.Dataset, ids: list[str]) -> list[str]:
    """Those whose files are there."""
    rows = photos.indexes["image"].get_indexer(ids)
    return [i for i, path in zip(ids, photos["path"].values[rows], strict=True) if is_there(str(path))]


def picture(one: xr.Dataset, box: Sequence[float], pixels: int) -> dict[str, Any]:
    """Part of a photo (left, top, right, bottom), as data URL, with name of the file, width and height in pixels."""
    part = display_crop(str(one["path"].item()), size_of(one), box, pixels)
    file = str(one["image"].item()).rpartition("/")[2]
    return {"file": file, "source": data_url(encoded(part)), "width": part.width, "height": part.height}


def size_of(one: xr.Dataset) -> tuple[int, int]:
    """Width and height of a photo in pixels."""
    return int(one["width"]), int(one["height"])


def _photo(one: xr.Dataset) -> dict[str, Any]:
    """The whole photo, and whom to thank for it."""
    known = {str(name).casefold(): str(one[name].item()) for name in one.data_vars if one[name].ndim == 0}
    credit = ", ".join(v for v in (known.get(c, "") for c in CREDITS) if v not in ("", "nan", "None"))
    return picture(one, (0, 0, *size_of(one)), _PIXELS) | {"credit": credit}
