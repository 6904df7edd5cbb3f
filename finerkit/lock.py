"""One writer at a time: the place of a study enters; the right to write to it, until the block ends, leaves.

On a disk the operating system holds the lock, which goes with the process, however it ends. Elsewhere it is a lease: an
object that names its holder, who renews it; one that was not renewed for a while may be taken by another.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import psutil
from filelock import FileLock, Timeout

from finerkit.places import Place, is_local

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds to wait for another process that is writing to the same store, before refusing.
PATIENCE = 5.0

#: Seconds after which a lease that was not renewed is taken for one of a process that died.
LEASE = 300.0

#: Seconds to see whether another process took the same lease at the same time.
SETTLING = 1.0


@contextmanager
def writing(there: Place) -> Iterator[None]:
    """Be the only process that writes to a store.

    Raises
    ------
    BlockingIOError
        If another process is writing to it.
    """
    with _file_lock(there) if is_local(there) else _lease(there):
        yield


@contextmanager
def _file_lock(there: Place) -> Iterator[None]:
    there.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(there.absolute().with_name(f".{there.name}.lock"), timeout=PATIENCE, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise _refusal(there) from None
    try:
        yield
    finally:
        lock.release()


def _refusal(there: Place, who: str = "Another process", more: str = "") -> BlockingIOError:
    return BlockingIOError(f"{who} is writing to {str(there)!r}: wait until it is done, then run this again.{more}")


@contextmanager
def _lease(there: Place) -> Iterator[None]:
    lease = _Lease(there)
    lease.acquire()
    done = threading.Event()
    renewing = threading.Thread(target=lease.renew_until, args=(done,), name="finerkit-lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        kept = lease.release()
    if not kept:
        raise BlockingIOError(
            f"Another process took over {str(there)!r} while this one was writing to it and could not say that it was "
            f"alive for {LEASE:.0f} s. Run this again once the other is done: what is not right is made anew."
        )


class _Holder(NamedTuple):
    token: str
    host: str
    pid: int
    until: float  # seconds of the epoch, by the holder's clock


class _Lease:
    """An object beside the study that names who may write to it, and until when that holds without news."""

    def __init__(self, there: Place) -> None:
        self._there = there
        self._object = there.with_name(f".{there.name}.lock")
        self._token = uuid.uuid4().hex

    def acquire(self) -> None:
        """Take the lease, waiting `PATIENCE` for another's to end."""
        give_up = time.monotonic() + PATIENCE
        while not (self._create() or self._inherit()):
            if time.monotonic() >= give_up:
                raise self._refused()
            time.sleep(0.2)

    def renew_until(self, done: threading.Event) -> None:
        """Go on saying that its holder is alive."""
        while not done.wait(LEASE / 5):
            with suppress(OSError):  # the network may be away for a moment
                if self._is_mine():
                    self._object.write_bytes(self._note())

    def release(self) -> bool:
        """Give it back; False if another has taken it meanwhile."""
        if not self._is_mine():
            return False
        self._object.unlink()
        return True

    def _create(self) -> bool:
        """Write the object where there is none, which the file system sees to."""
        try:
            self._object.fs.pipe_file(self._object.path, self._note(), mode="create")
        except FileExistsError:
            return False
        return True

    def _inherit(self) -> bool:
        """Take the lease of a holder that is gone. Of several that do, the last to write has it."""
        if not self._is_over():
            return False
        self._object.write_bytes(self._note())
        time.sleep(SETTLING)
        return self._is_mine()

    def _note(self) -> bytes:
        holder = {"token": self._token, "host": socket.gethostname(), "pid": os.getpid(), "until": time.time() + LEASE}
        return json.dumps(holder).encode()

    def _holder(self) -> _Holder | None:
        """Who has it; None if nobody has. What cannot be read is nobody's, and over."""
        try:
            found = json.loads(self._object.read_bytes())
            return _Holder(str(found["token"]), str(found["host"]), int(found["pid"]), float(found["until"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return _Holder("", "", 0, 0.0)

    def _is_mine(self) -> bool:
        holder = self._holder()
        return holder is not None and holder.token == self._token

    def _is_over(self) -> bool:
        holder = self._holder()
        if holder is None:
            return False  # given back just now: it can be created
        died = holder.host == socket.gethostname() and not psutil.pid_exists(holder.pid)
        return died or holder.until < time.time()

    def _refused(self) -> BlockingIOError:
        holder = self._holder()
        if holder is None:
            return _refusal(self._there)
        left = max(0.0, holder.until - time.time())
        who = f"Another process ({holder.pid} on {holder.host!r:.80})"
        return _refusal(self._there, who, f" If it is gone, its lock ends in {left:.0f} s.")
