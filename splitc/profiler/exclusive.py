"""On a device: one measurement at a time, and none whose client has gone.

the client's connection closes     standard input ends, and the measurement ends itself
the connection hangs unnoticed     the client's next attempt, which has the same folder, ends it
another client measures            wait a while, then refuse and name the process

The lock is ``flock`` on a file in the user's cache. It excludes measurements of one user on one machine, which is what
makes times comparable, and the kernel drops it when its process dies, however that happens. It promises nothing between
two users, nor between two devices that share a home folder: where the file system carries ``flock`` between hosts (NFS
on Linux does) they wait for each other needlessly, elsewhere they do not see each other. A process is ended only if it
has this very file open, so a number written by another host, or left from an earlier boot, harms nobody.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, TextIO

from splitc.errors import UsageError

LOCK = ".running"
"""Beside the folders: process and folder of the measurement that holds the lock."""
PATIENCE_S = 20.0
_HOLDER = re.compile(r"([1-9][0-9]{0,9}) (\S{1,255})")


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the user's lock on measuring while the block runs.

    Args:
        folder: The measurement's files. An earlier measurement with the same folder is ended; any other is waited for.

    Raises:
        UsageError: Another measurement does not end within :data:`PATIENCE_S`.
    """
    with open(folder.parent / LOCK, "a+") as file:
        _take(file, folder)
        try:
            file.truncate(0)
            file.write(f"{os.getpid()} {folder.name}")
            file.flush()
            yield
        finally:
            file.truncate(0)


def end_with_client() -> None:
    """From now on SIGTERM and the end of standard input raise an error in this process, so that it cleans up."""
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_watch, daemon=True).start()


def _take(file: TextIO, folder: Path) -> None:
    start = time.monotonic()
    while not _is_locked(file):
        waited = time.monotonic() - start
        file.seek(0)
        holder = _HOLDER.fullmatch(file.read(300))
        if waited > PATIENCE_S:
            who = f"process {holder[1]}" if holder else "another process"
            raise UsageError(
                f"{who} is measuring on the device and has not finished in {PATIENCE_S:g} s; wait for it, or end it."
            )
        if holder and holder[2] == folder.name and _has_open(int(holder[1]), file):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(holder[1]), signal.SIGTERM if waited < PATIENCE_S / 2 else signal.SIGKILL)
        time.sleep(0.1)


def _is_locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _has_open(process: int, file: TextIO) -> bool:
    """Whether a process of this machine has ``file`` open."""
    ours = os.fstat(file.fileno())
    with suppress(OSError):  # it has ended, or is another user's
        return any(os.path.samestat(one.stat(), ours) for one in Path(f"/proc/{process}/fd").iterdir())
    return False


def _watch() -> None:
    with suppress(OSError):
        while os.read(sys.stdin.fileno(), 1 << 10):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _end(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the cleanup
    raise UsageError("the measurement was stopped: its connection closed, or a later one of the same half began.")
