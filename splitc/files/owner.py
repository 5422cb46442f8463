"""Whose a hidden name on disk is: host, process, and when the process started, since process numbers come again.

A name says its owner, so there is no moment at which a hidden file stands there and belongs to nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PATTERN = r"[0-9a-f]{8}-[0-9]+-[0-9]+"
OLD_S = 24 * 3600.0
"""What another host owns is taken for abandoned when nothing touched it for so long."""
PULSE_S = 3600.0
"""How often a folder in use is touched, so that no other host takes it for abandoned."""


@dataclass(frozen=True)
class Owner:
    """A process.

    Attributes:
        host: Eight hex digits that stand for machine, boot and process namespace.
        process: Its number.
        started: Clock ticks from boot to its start; 0 when the system does not tell.
    """

    host: str
    process: int
    started: int

    def __str__(self) -> str:
        return f"{self.host}-{self.process}-{self.started}"


def this_process() -> Owner:
    """The caller; another one after a fork."""
    return _owner(os.getpid())


@lru_cache(maxsize=1)
def _owner(process: int) -> Owner:
    stat = _stat(process)
    return Owner(_host(), process, stat[1] if stat else 0)


def owner_from_text(text: str) -> Owner | None:
    """The inverse of ``str(owner)``; None when ``text`` is nothing of the kind."""
    if re.fullmatch(PATTERN, text) is None:
        return None
    host, process, started = text.split("-")
    return Owner(host, int(process), int(started))


def is_abandoned(path: Path, owner: Owner | None) -> bool:
    """Whether the owner of ``path`` has ended; of another host, and where no owner is known, by age alone."""
    if owner is not None and owner.host == _host():
        return not _runs(owner)
    try:
        return time.time() - path.lstat().st_mtime > OLD_S
    except FileNotFoundError:
        return False


def _runs(owner: Owner) -> bool:
    try:
        os.kill(owner.process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # another user's: it runs
    stat = _stat(owner.process)
    if stat is None:
        return True
    state, started = stat
    return state not in ("Z", "X") and owner.started in (0, started)


def _stat(process: int) -> tuple[str, int] | None:
    """State and start of a process (proc(5), fields 3 and 22); None where the system hides them."""
    try:
        text = Path(f"/proc/{process}/stat").read_text("ascii", "replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


@lru_cache(maxsize=1)
def _host() -> str:
    """Changes with every boot and container: what it does not know it judges by age."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii"))
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


_touched: set[Path] = set()
_pulse: threading.Thread | None = None


@contextlib.contextmanager
def kept_fresh(folder: Path) -> Iterator[None]:
    """Touch ``folder`` every :data:`PULSE_S` while the block runs, for hosts that know its age and nothing else."""
    global _pulse
    _touched.add(folder)
    if _pulse is None:
        _pulse = threading.Thread(target=_touch_all, name="splitc-files", daemon=True)
        _pulse.start()
    try:
        yield
    finally:
        _touched.discard(folder)


def _touch_all() -> None:
    while True:
        time.sleep(PULSE_S)
        for folder in tuple(_touched):
            with contextlib.suppress(OSError):
                os.utime(folder)


def _forget_pulse() -> None:
    """A fork has no thread and owns nothing of its parent's."""
    global _pulse
    _pulse = None
    _touched.clear()


os.register_at_fork(after_in_child=_forget_pulse)
