"""Files that appear whole at their place, or not at all.

Bytes go into a hidden file beside the place, onto the disk, and then one rename shows them. A reader sees the old file
or the new one; so does whoever comes after a power cut. Writers of one place do not disturb each other: each has a
hidden name of its own, and the last rename stands.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, TypeAlias

from splitc.errors import SplitcError, UsageError
from splitc.files.hidden import PARTIAL, hidden_path, remove
from splitc.files.owner import kept_fresh
from splitc.files.refusals import as_refusals
from splitc.files.sweep import sweep

_NOT_SYNCED = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)
_USUAL_MODE = 0o666
Content: TypeAlias = bytes | str | Callable[[BinaryIO], object]
"""What goes into a file: bytes, text (UTF-8), or a function that writes to the open file."""


def write_file(
    place: Path, content: Content, refusal: type[SplitcError] = UsageError, *, mode: int = _USUAL_MODE
) -> None:
    """Write a file whole or not at all; a link keeps pointing where it did.

    Permissions are those of the file that is replaced, else what a plain ``open`` would give.

    Args:
        place: The file. Its folder must be there.
        content: What goes into it.
        refusal: Class of the errors.
        mode: Permissions of a new file, less the process's mask; from the first byte on.

    Raises:
        SplitcError: The folder is missing, full or not ours to write, or ``place`` is a folder, a device or a pipe.
            Nothing was left behind.
    """
    with as_refusals(place, refusal), _beside(place, content, refusal, mode) as aside:
        move_into_place(aside, Path(os.path.realpath(place)))


def write_together(files: Mapping[Path, Content], refusal: type[SplitcError] = UsageError) -> None:
    """:func:`write_file` for several: none takes its place before all are on the disk; then in order.

    A process that is killed between two renames leaves the first files new and the others old, each whole. Files of two
    callers mix unless they hold :func:`locked_together`.

    Raises:
        SplitcError: One of them cannot be written, before any takes its place.
    """
    with ExitStack() as stack:
        asides = {}
        for place, content in files.items():
            stack.enter_context(as_refusals(place, refusal))
            asides[place] = stack.enter_context(_beside(place, content, refusal))
        for place, aside in asides.items():
            with as_refusals(place, refusal):
                move_into_place(aside, Path(os.path.realpath(place)))


@contextlib.contextmanager
def whole_file(place: Path, refusal: type[SplitcError] = UsageError) -> Iterator[Path]:
    """A path of the same name in a hidden folder, for libraries that write by path; moved to ``place`` at the end.

    Raises:
        SplitcError: As :func:`write_file`; or nothing was written to the path.
    """
    refuse_special(place, refusal)
    target = Path(os.path.realpath(place))
    with as_refusals(place, refusal), aside_folder(target) as folder:
        yield folder / place.name
        _keep_mode(target, folder / place.name)
        move_into_place(folder / place.name, target)


@contextlib.contextmanager
def aside_folder(place: Path) -> Iterator[Path]:
    """An empty hidden folder beside ``place``, gone afterwards; what killed processes left there goes first.

    Raises:
        OSError: It cannot be made.
    """
    place = Path(os.path.abspath(place))
    sweep(place)
    folder = hidden_path(place, PARTIAL)
    try:
        folder.mkdir()
        with kept_fresh(folder):
            yield folder
    finally:
        remove(folder)


def move_into_place(aside: Path, place: Path) -> None:
    """Rename onto ``place``: the bytes are on the disk before, the name is afterwards.

    Args:
        aside: A file on the same file system.
        place: The name it gets; a file of that name is replaced.

    Raises:
        OSError: It cannot be renamed.
    """
    sync(aside)
    os.replace(aside, place)
    sync_names(place.parent)


def refuse_special(place: Path, refusal: type[SplitcError] = UsageError) -> None:
    """Raises: SplitcError: ``place`` is a folder, a device or a pipe."""
    if os.path.isdir(place):
        raise refusal(f"{place}: is a folder; name a file in it.")
    if os.path.exists(place) and not os.path.isfile(place):
        raise refusal(f"{place}: is no plain file; name one.")


@contextlib.contextmanager
def _beside(place: Path, content: Content, refusal: type[SplitcError], mode: int = _USUAL_MODE) -> Iterator[Path]:
    """``content`` on the disk beside ``place``; gone afterwards if it is still there."""
    refuse_special(place, refusal)
    target = Path(os.path.realpath(place))
    sweep(target)
    aside = hidden_path(target, PARTIAL)
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
            _fill(file, content)
            file.flush()
            os.fsync(file.fileno())
        _keep_mode(target, aside)
        yield aside
    finally:
        remove(aside)


def _fill(file: BinaryIO, content: Content) -> None:
    if callable(content):
        content(file)
    else:
        file.write(content.encode() if isinstance(content, str) else content)


def _keep_mode(place: Path, aside: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.copymode(place, aside)


def sync(path: Path) -> None:
    """Onto the disk: a file's bytes, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # the system names no path, and who refuses wants one
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(descriptor)


def sync_names(folder: Path) -> None:
    """:func:`sync` where it can be had: the names stand already, and folders that are not ours to read, and those of
    some network file systems, refuse it.
    """
    try:
        sync(folder)
    except OSError as error:
        if error.errno not in _NOT_SYNCED:
            raise
