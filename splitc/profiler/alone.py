"""On a device: one measurement at a time, and none that nobody waits for any more.

the client's line ends         standard input ends, and the measurement ends itself
the line hangs unnoticed       the client's next attempt, which has the same folder, ends it
somebody else measures         wait a while, then refuse and name the process
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
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of this device's user while the block runs.

    Args:
        folder: What is measured; an earlier measurement of it is ended, one of something else is waited for.

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


def end_with_the_line() -> None:
    """From now on SIGTERM, and the end of standard input, end this process as an error does: everything is put away."""
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
            raise UsageError(f"{who} measures there and has not ended in {PATIENCE_S:g} s; wait for it, or end it.")
        if holder and holder[2] == folder.name:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(holder[1]), signal.SIGTERM if waited < PATIENCE_S / 2 else signal.SIGKILL)
        time.sleep(0.1)


def _is_locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _watch() -> None:
    with suppress(OSError):
        while os.read(sys.stdin.fileno(), 1 << 10):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _end(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the putting away
    raise UsageError("the measurement was ended: its connection is gone, or a later one of the same half began.")
