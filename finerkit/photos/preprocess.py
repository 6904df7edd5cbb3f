"""Fit a photo into the network's square, and say where each cell of a grid lies on the photo."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from finerkit.base.checks import whole
from finerkit.base.geometry import GridPlace
from finerkit.base.names import choice

if TYPE_CHECKING:
    from collections.abc import Mapping

FIT_MODES = ("squash", "pad", "crop")
_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


@dataclass(frozen=True)
class Preprocess:
    """How photos become network input. It travels with a study, so that explaining never differs from training.

    Parameters
    ----------
    image_size
        Side of the square network input in pixels.
    fit
        "squash" stretches the whole photo to the square; "pad" keeps its shape and fills the rest with the mean colour;
        "crop" keeps its shape and takes the central square.
    interpolation
        "bicubic", "bilinear", "lanczos" or "nearest".
    mean, std
        Per channel, of pixels in [0, 1], as the network was trained.
    """

    image_size: int
    fit: str = "squash"
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", whole(self.image_size, "image_size"))
        choice(self.fit, FIT_MODES, "fit")
        choice(self.interpolation, _FILTERS, "interpolation")
        for name in ("mean", "std"):
            values = tuple(float(v) for v in getattr(self, name))
            if len(values) != 3:
                raise ValueError(f"{name} must have 3 values, one per colour. Got {len(values)} instead.")
            object.__setattr__(self, name, values)
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive. Got {self.std} instead.")

    def to_attrs(self) -> dict[str, Any]:
        """Return it as attrs of a dataset: numbers and short text."""
        return {k: " ".join(map(repr, v)) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Any]) -> Preprocess:
        """Read back what `to_attrs` wrote."""
        return cls(
            image_size=int(attrs["image_size"]),
            fit=str(attrs["fit"]),
            interpolation=str(attrs["interpolation"]),
            mean=tuple(map(float, attrs["mean"].split())),
            std=tuple(map(float, attrs["std"].split())),
        )

    def pixels(self, photo: Image.Image) -> np.ndarray:
        """Fit a photo (RGB, any size) into the square.

        Returns
        -------
        numpy.ndarray
            uint8 (image_size, image_size, 3).
        """
        size, resample = (self.image_size, self.image_size), _FILTERS[self.interpolation]
        if self.fit == "squash":
            return np.asarray(photo.resize(size, resample))
        if self.fit == "crop":
            side = min(photo.size)
            left, top = (photo.width - side) / 2, (photo.height - side) / 2
            return np.asarray(photo.resize(size, resample, box=(left, top, left + side, top + side)))
        x, y, width, height = (int(v) for v in self.pad_box(photo.width, photo.height))
        square = Image.new("RGB", size, tuple(round(255 * m) for m in self.mean))
        square.paste(photo.resize((width, height), resample), (x, y))
        return np.asarray(square)

    def placement(self, width: Any, height: Any, grid: tuple[int, int]) -> GridPlace:
        """Where the cells of a grid over the network input lie on the original photo.

        Parameters
        ----------
        width, height
            Upright size of the photo in pixels; numbers, or arrays with one entry per photo.
        grid
            (rows, columns) of the grid.

        Returns
        -------
        GridPlace
            Numbers, or arrays with one entry per photo, in pixels of the original photo. With "pad", cells reach
            beyond it; with "crop", they leave its ends out.
        """
        width, height = np.asarray(width, np.float64), np.asarray(height, np.float64)
        rows, columns = grid
        if self.fit == "squash":
            return GridPlace(0 * width, 0 * height, width / columns, height / rows)
        if self.fit == "crop":
            side = np.minimum(width, height)
            return GridPlace((width - side) / 2, (height - side) / 2, side / columns, side / rows)
        x, y, w, h = self.pad_box(width, height)
        per_x, per_y = width / w, height / h  # original pixels per input pixel
        size = self.image_size
        return GridPlace(-x * per_x, -y * per_y, size / columns * per_x, size / rows * per_y)

    def pad_box(self, width: Any, height: Any) -> tuple[Any, Any, Any, Any]:
        """Left, top, width and height of a photo inside the padded square, in whole input pixels."""
        scale = self.image_size / np.maximum(1, np.maximum(width, height))  # unreadable photos have size 0
        w, h = (np.maximum(1, np.rint(side * scale)) for side in (width, height))
        return (self.image_size - w) // 2, (self.image_size - h) // 2, w, h
