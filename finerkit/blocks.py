"""Read embeddings that may be too many to hold: whole, or in blocks of rows, with their moments and class means."""

from __future__ import annotations

import tempfile
import weakref
from typing import TYPE_CHECKING

import numpy as np
import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import zarr

#: Numbers in one block (float32: 1 MB); larger ones make fits no faster.
BLOCK = 2**18

#: Rows that a block has at least: with fewer, the weights they are multiplied by would be read all the time.
FEWEST = 100

#: Bytes that the arrays of one fit may take; what needs more is done in blocks. Tests set it to 0.
MEMORY = min(psutil.virtual_memory().total // 10, 2 * 10**9)


class Spool:
    """Rows of float32 in an unnamed file, read by position; unlike a memory map it takes no memory that stays.

    Parameters
    ----------
    width
        Numbers per row.
    folder
        Where the file is; it goes with this object.
    """

    def __init__(self, width: int, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(buffering=0, dir=folder)  # noqa: SIM115 - gone with this object
        weakref.finalize(self, self._file.close)
        self._width, self._count = width, 0

    def __len__(self) -> int:
        return self._count

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and numbers per row."""
        return self._count, self._width

    def append(self, rows: np.ndarray) -> None:
        """Add rows at the end."""
        self._file.seek(0, 2)
        np.ascontiguousarray(rows, np.float32).tofile(self._file)
        self._count += len(rows)

    def __getitem__(self, at: np.ndarray) -> np.ndarray:
        """Rows at ascending positions that lie close together."""
        if not len(at):
            return np.empty((0, self._width), np.float32)
        first, count = int(at[0]), int(at[-1]) - int(at[0]) + 1
        self._file.seek(4 * self._width * first)
        block = np.fromfile(self._file, np.float32, count * self._width).reshape(count, self._width)
        return block if count == len(at) else block[at - first]


Embedding = np.ndarray | Spool


def fits(numbers: int) -> bool:
    """Whether so many numbers, in float64, may be in memory at once: the one rule for what is done in blocks."""
    return 8 * numbers <= MEMORY


def rows_of(array: zarr.Array, folder: Path) -> Embedding:
    """Rows of a stored array (image, feature): in memory where they fit, else spooled to disk."""
    count, width = array.shape
    if fits(count * width):
        return array[:]
    spool, chunk = Spool(width, folder), array.chunks[0]
    step = chunk * max(1, BLOCK // (chunk * width))
    for start in range(0, count, step):
        spool.append(array[start : start + step])
    return spool


def row_blocks(rows: np.ndarray, *widths: int) -> Iterator[np.ndarray]:
    """Cut positions into blocks so that rows of any of these `widths` make about `BLOCK` numbers at most.

    Parameters
    ----------
    rows
        Ascending positions.
    widths
        Numbers per row of what will be held at once.
    """
    step = max(FEWEST, BLOCK // max(widths))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def moments(embedding: Embedding, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (feature,) in float64."""
    width = embedding.shape[1]
    mean, squares = np.zeros(width), np.zeros(width)
    for at in row_blocks(rows, width):
        mean += embedding[at].sum(0, dtype=np.float64)
    mean /= len(rows)
    for at in row_blocks(rows, 2 * width):
        squares += ((embedding[at] - mean) ** 2).sum(0)
    return mean, np.sqrt(squares / len(rows))


def class_means(embedding: Embedding, rows: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """Mean row (class, feature) of each class 0, 1, ..., `count` - 1, in float64; NaN where it has none.

    Parameters
    ----------
    embedding
        (image, feature).
    rows
        Ascending positions of the photos that count.
    classes
        (row,) class of each.
    count
        How many classes there are.
    """
    width = embedding.shape[1]
    total = np.zeros((count, width))
    for at in row_blocks(np.arange(len(rows)), 2 * width):
        block, mine = embedding[rows[at]].astype(np.float64), classes[at]
        order = np.argsort(mine, kind="stable")
        starts = np.flatnonzero(np.diff(mine[order], prepend=-1))
        total[mine[order][starts]] += np.add.reduceat(block[order], starts, 0)
    number = np.bincount(classes, minlength=count)[:, None]
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)
