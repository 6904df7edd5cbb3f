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
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil
from filelock import FileLock, Timeout

from finerkit.places import Place, is_local, text

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


#: Leases of this process by address, and the threads that hold them.
_held: dict[str, tuple[_Lease, int]] = {}


def check_held(there: Place) -> None:
    """Raise BlockingIOError if this process held the right to write to a place and lost it, asleep for a while say."""
    if not is_local(there) and text(there) in _held:
        _held[text(there)][0].check()


def _lost(there: Place) -> BlockingIOError:
    return BlockingIOError(
        f"This process could not say for {LEASE:.0f} s that it was alive, so another may have taken over "
        f"{str(there)!r}. Run this again once that is done."
    )


@contextmanager
def _lease(there: Place) -> Iterator[None]:
    mine = _held.get(text(there))
    if mine is not None and mine[1] == threading.get_ident():  # within a block of the same thread
        yield
        return
    lease = _Lease(there)
    lease.acquire()
    _held[text(there)] = (lease, threading.get_ident())
    done = threading.Event()
    renewing = threading.Thread(target=lease.renew_until, args=(done,), name="finerkit-lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        del _held[text(there)]
        kept = lease.release()
    if not kept:
        raise _lost(there)


def machine() -> str:
    """Where a process number means this process: host, since when it runs, and which processes are seen there."""
    seen = [socket.gethostname()]
    for fact, read in (("/proc/sys/kernel/random/boot_id", Path.read_text), ("/proc/self/ns/pid", Path.readlink)):
        with suppress(OSError):  # other systems than Linux
            seen.append(str(read(Path(fact))).strip())
    return " ".join(seen)


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
        self._renewed = time.monotonic()

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
            with suppress(Exception):  # the network may be away for a moment, whatever its client then raises
                if not self._is_mine():
                    self._renewed = float("-inf")
                    return
                self._object.write_bytes(self._note())
                self._renewed = time.monotonic()

    def check(self) -> None:
        """Raise BlockingIOError if it has run out: another may be writing."""
        if time.monotonic() - self._renewed > LEASE:
            raise _lost(self._there)

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
        except OSError:  # FileExistsError, or what the file system's client makes of a server's refusal
            if self._holder() is None and not self._object.parent.exists():
                raise
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
        holder = {"token": self._token, "host": machine(), "pid": os.getpid(), "until": time.time() + LEASE}
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
        died = holder.host == machine() and not psutil.pid_exists(holder.pid)
        return died or holder.until < time.time()

    def _refused(self) -> BlockingIOError:
        holder = self._holder()
        if holder is None:
            return _refusal(self._there)
        left = max(0.0, holder.until - time.time())
        who = f"Another process ({holder.pid} on {holder.host.partition(' ')[0]!r:.80})"
        return _refusal(self._there, who, f" If it is gone, its lock ends in {left:.0f} s.")
