"""One writer at a time to a study.

On a disk the operating system holds the lock, which goes with the process, however it ends. In a bucket the lock is an
object beside the study that names its holder; what a process that was killed left there, `break_lock` removes.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from finerkit.store.location import Place, is_local, place, text

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds to wait for another process that is writing to the same store on a disk, before refusing.
PATIENCE = 5.0

#: Address and thread of each lock in a bucket that this process holds.
_held: set[tuple[str, int]] = set()


@contextmanager
def writing(there: Place) -> Iterator[None]:
    """Be the only process that writes to a store, until the block ends.

    Raises
    ------
    BlockingIOError
        If another process is writing to it.
    """
    with _file_lock(there) if is_local(there) else _object_lock(there):
        yield


def break_lock(store: str | os.PathLike[str]) -> None:
    """Remove the lock of a study in a bucket, which a process that was killed has left there.

    Parameters
    ----------
    store
        The address given to `finerkit.analyze`. A study on a disk has nothing to break: its lock goes with the process.

    Notes
    -----
    Where that process still runs, two then write at once and may spoil the study: the error that names the holder says
    where to look.
    """
    there = place(store)
    if not is_local(there):
        _beside(there).unlink(missing_ok=True)


@contextmanager
def _file_lock(there: Place) -> Iterator[None]:
    there.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_beside(there.absolute()), timeout=PATIENCE, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise BlockingIOError(
            f"Another process is writing to {str(there)!r}: wait until it is done, then run this again."
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _object_lock(there: Place) -> Iterator[None]:
    mine, beside = (text(there), threading.get_ident()), _beside(there)
    if mine in _held:  # within a block of the same thread
        yield
        return
    holder = f"process {os.getpid()} on {socket.gethostname()!r}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    try:
        beside.fs.pipe_file(beside.path, holder.encode(), mode="create")
    except OSError:  # FileExistsError, or what the file system's client makes of a server's refusal
        if not beside.exists():
            raise
        other = beside.read_bytes().decode(errors="replace")
        raise BlockingIOError(
            f"Another process is writing to {str(there)!r}: {other:.100}. Wait until it is done, then run this again. "
            f"If it was killed, and only then: fk.break_lock({str(there)!r})."
        ) from None
    _held.add(mine)
    try:
        yield
    finally:
        _held.remove(mine)
        beside.unlink(missing_ok=True)


def _beside(there: Place) -> Place:
    return there.with_name(f".{there.name}.lock")
