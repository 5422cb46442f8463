"""A folder that appears whole at its place, or not at all.

Work goes into a hidden folder beside the place. Where the kernel and the file system can exchange two names, one call
puts the new folder in the place of the old; elsewhere two renames do, under a lock, and whoever comes after a process
that was killed between them puts the old folder back.

::

    .NAME.OWNER.TOKEN.partial   being filled
    .NAME.OWNER.TOKEN.old       what is being replaced
    NAME                        always whole
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from splitc.errors import SplitcError, UsageError
from splitc.files.hidden import OLD, PARTIAL, hidden_beside, hidden_path, hidden_start, remove
from splitc.files.lock import locked
from splitc.files.owner import kept_fresh
from splitc.files.refusals import full_reason, is_within, reason_of
from splitc.files.sweep import sweep
from splitc.files.whole import sync, sync_names

_TRIES = 100
_EXCHANGE, _HERE = 2, -100
"""``RENAME_EXCHANGE`` and ``AT_FDCWD``, linux/fs.h and linux/fcntl.h."""


@contextlib.contextmanager
def whole_folder(
    out: str | os.PathLike[str], refuse_foreign: Callable[[Path], None], refusal: type[SplitcError] = UsageError
) -> Iterator[Path]:
    """An empty folder that takes the place of ``out`` when the block ends well.

    An earlier folder stays until the new one is complete. When the block raises, all that was written is removed,
    and so are the folders above that were made for it, unless somebody else uses them by now.

    Args:
        out: The place; folders above it are made.
        refuse_foreign: Raises when what stands at the place given is not to be replaced; asked before and after.
        refusal: Class of the errors.

    Raises:
        SplitcError: ``out`` cannot be written (disk full, no permission), or what ``refuse_foreign`` raises.
    """
    place = Path(os.path.abspath(out))
    with _as_refusals(Path(out), place, refusal), _parents(place.parent):
        partial = _new_folder(place, refuse_foreign, refusal)
        try:
            with kept_fresh(partial):
                yield partial
            _sync_tree(partial)
            with locked(place, refusal=refusal):
                _swap(partial, place, refuse_foreign)
        finally:
            remove(partial)


def _new_folder(place: Path, refuse_foreign: Callable[[Path], None], refusal: type[SplitcError]) -> Path:
    """The hidden folder; its parent may have been made for another writer, who removes it when he fails."""
    for tries_left in reversed(range(_TRIES)):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            partial = hidden_path(place, PARTIAL)
            partial.mkdir()
            break
        except FileNotFoundError:
            if not tries_left:
                raise
    try:
        with locked(place, refusal=refusal):
            _put_back(place)
            refuse_foreign(place)
        sweep(place)
    except BaseException:
        remove(partial)
        raise
    return partial


def _swap(partial: Path, place: Path, refuse_foreign: Callable[[Path], None]) -> None:
    """Show the new folder; the old one is back in place if that fails. The place is locked."""
    refuse_foreign(place)
    old = hidden_path(place, OLD)
    try:
        if not place.exists():
            os.rename(partial, place)
        elif not exchanged(partial, place):  # else the old one is the hidden one now, and goes as such
            os.rename(place, old)
            os.rename(partial, place)
    except BaseException:
        if old.exists() and not place.exists():
            os.rename(old, place)
        raise
    sync_names(place.parent)
    remove(old)


def _put_back(place: Path) -> None:
    """Put back or remove what a killed writer was replacing. The place is locked, so nobody is between two renames."""
    for one in hidden_beside(place, OLD):
        if os.path.lexists(place):
            remove(one.path)
        else:
            os.rename(one.path, place)


def exchanged(one: Path, other: Path) -> bool:
    """Exchange two names at one moment; False where the kernel or the file system cannot.

    Raises:
        OSError: It can, and refuses these.
    """
    rename = _renameat2()
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.EPERM):
        return False
    raise OSError(code, os.strerror(code), str(one))


@lru_cache(maxsize=1)
def _renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    """renameat2(2), glibc 2.28 and later."""
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


@contextlib.contextmanager
def _as_refusals(out: Path, place: Path, refusal: type[SplitcError]) -> Iterator[None]:
    """Failures to write become one sentence; other failures pass.

    A refusal that names the hidden folder, which nobody knows, names ``out`` afterwards.
    """
    try:
        yield
    except (OSError, SplitcError) as error:
        failure = error if isinstance(error, OSError) else _failure_inside(error, place)
        if failure is None:
            raise
        reason = full_reason(failure)
        if reason is None and (failure is not error or is_within(failure.filename, place)):
            reason = reason_of(failure).lower()
        if reason is None:
            raise
        raise refusal(f"{out}: cannot be written: {reason}. Nothing was left behind.") from error


def _failure_inside(error: SplitcError, place: Path) -> OSError | None:
    """The failure behind a refusal that names a path in the hidden folder of ``place``."""
    is_inside = str(hidden_start(place)) in str(error)
    return error.__cause__ if is_inside and isinstance(error.__cause__, OSError) else None


@contextlib.contextmanager
def _parents(folder: Path) -> Iterator[None]:
    """Make the folders above, and remove the new ones again when the block raises: those that are empty."""
    made = [path for path in [folder, *folder.parents] if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from None
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()
        raise


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if not path.is_symlink() and (path.is_file() or path.is_dir()):
            sync_names(path) if path.is_dir() else sync(path)
    sync_names(folder)
