"""One at a time: an exclusive lock on a place, for whoever reads, changes and writes it.

The lock is a POSIX record lock (``fcntl``) on a file of its own, ``.NAME.lock`` beside the place; it goes when the lock
does. What is promised:

- Two processes of one host, any local file system: exclusive. A killed holder's lock is free at once.
- Two hosts, NFS (v4, or v3 with lockd) and other network file systems that carry record locks: exclusive. A host that
  vanishes holds its locks until the server drops them, with NFSv4 after the lease, 90 s by default.
- A file system that refuses record locks (``ENOLCK``): the caller is refused. One that is mounted to keep them on its
  own host (``nolock``, ``local_lock=posix``): exclusive on this host alone.
- Two threads of one process: exclusive. Record locks belong to the process, so a lock in memory stands before them, and
  no other code opens the lock file: closing any descriptor of it would drop the lock.
- A fork does not inherit the lock.

A lock is not reentrant, and says nothing to those who do not ask for it: readers need none, files are whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from weakref import WeakValueDictionary

from splitc.errors import SplitcError, UsageError
from splitc.files.hidden import lock_path
from splitc.files.refusals import reason_of

WAIT_S = 60.0
"""How long a caller waits for another one's lock."""
IN_USE = "in use by {holder}; try again when it has ended."
_UNSIGNED_S = 1.0
"""How much longer a holder is waited for that has not said who it is: it may have begun just now."""
_TRY_AGAIN_S = (0.001, 0.02)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_TAKEN = (errno.EACCES, errno.EAGAIN)

_guards: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
_guards_lock = threading.Lock()


@contextlib.contextmanager
def locked(
    place: Path, wait_s: float = WAIT_S, refusal: type[SplitcError] = UsageError, busy: str = IN_USE
) -> Iterator[None]:
    """Hold ``place`` alone while the block runs.

    Args:
        place: A file or folder, there or not; its folder must be there. Links are followed.
        wait_s: Longest wait, in seconds; 0 refuses at once.
        refusal: Class of the errors.
        busy: What is said, after the place, of who holds it: ``{holder}``.

    Raises:
        SplitcError: Another one held it all the time, or the folder grants no locks.
    """
    place = Path(os.path.realpath(place))
    deadline = time.monotonic() + wait_s
    guard = _guard_of(place)
    if not guard.acquire(timeout=wait_s):
        raise refusal(f"{place}: {busy.format(holder=_this_process())}")
    try:
        descriptor = _acquire(place, deadline, refusal, busy)
        process = os.getpid()
        try:
            yield
        finally:
            if process == os.getpid():  # in a fork the lock is the parent's
                _unlink(lock_path(place))
            os.close(descriptor)
    finally:
        guard.release()


@contextlib.contextmanager
def locked_together(places: Iterable[Path], refusal: type[SplitcError] = UsageError) -> Iterator[None]:
    """:func:`locked` for several, always in the same order, so that no two callers wait for each other.

    Raises:
        SplitcError: As :func:`locked`.
    """
    with contextlib.ExitStack() as stack:
        for place in sorted({os.path.realpath(place) for place in places}):
            stack.enter_context(locked(Path(place), refusal=refusal))
        yield


def remove_stale_lock(place: Path) -> None:
    """Remove the lock file that a killed process left; a live one's stays. Nobody is waited for."""
    place = Path(os.path.realpath(place))
    path, guard = lock_path(place), _guard_of(place)
    if not path.exists() or not guard.acquire(blocking=False):
        return
    try:
        descriptor, _ = _try(path)
        if descriptor is not None:
            _unlink(path)
            os.close(descriptor)
    except OSError:
        return  # not ours to write, so not ours to remove
    finally:
        guard.release()


def _guard_of(place: Path) -> threading.Lock:
    with _guards_lock:
        return _guards.setdefault(str(place), threading.Lock())


def _acquire(place: Path, deadline: float, refusal: type[SplitcError], busy: str) -> int:
    """A descriptor that holds the lock."""
    while True:
        try:
            descriptor, holder = _try(lock_path(place))
        except OSError as error:
            what = "locked" if error.errno in _NO_LOCKS else "written"
            raise refusal(f"{place}: cannot be {what} ({reason_of(error)}).") from error
        if descriptor is not None:
            return descriptor
        over = time.monotonic() - deadline
        if over >= (0 if holder else _UNSIGNED_S):
            raise refusal(f"{place}: {busy.format(holder=holder or 'another process')}")
        time.sleep(random.uniform(*_TRY_AGAIN_S))


def _try(path: Path) -> tuple[int | None, str]:
    """The lock, or who has it; neither when its file was removed just now, or its holder has not signed it yet."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            holder = _lock_or_holder(descriptor)
            if holder is None and _is_at(descriptor, path):
                _sign(descriptor)
                return descriptor, ""
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None, holder or ""
    except OSError as error:
        if error.errno != errno.ESTALE:  # another host removed the file
            raise
        return None, ""


def _lock_or_holder(descriptor: int) -> str | None:
    """None when the lock is taken now, else who has it, empty before that one has signed."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the file that is locked is still the one that the next caller finds."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    """For the message of those who wait; a full disk must not keep anybody from locking."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{_this_process()}\n".encode(), 0)


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _forget_guards() -> None:
    """A fork holds no lock of its parent's, so it must not wait for its threads either."""
    global _guards, _guards_lock
    _guards, _guards_lock = WeakValueDictionary(), threading.Lock()


os.register_at_fork(after_in_child=_forget_guards)
