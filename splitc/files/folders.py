"""Where splitc keeps what it can make again, and what it needs for a moment."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from splitc.errors import CapabilityError
from splitc.files.hidden import remove
from splitc.files.owner import PATTERN, is_abandoned, kept_fresh, owner_from_text, this_process
from splitc.files.refusals import reason_of

_TRIES = 100


def cache_folder(*names: str) -> Path:
    """``$SPLITC_CACHE``, else ``$XDG_CACHE_HOME/splitc``, else ``~/.cache/splitc``; ``names`` below it. Not made."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "splitc"
    return Path(os.environ.get("SPLITC_CACHE") or default).joinpath(*names)


def state_folder(*names: str) -> Path:
    """``$SPLITC_STATE``, else ``$XDG_STATE_HOME/splitc``, else ``~/.local/state/splitc``; ``names`` below it. Not made.

    What lies there cannot be made again, unlike what a cache holds.
    """
    default = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "splitc"
    return Path(os.environ.get("SPLITC_STATE") or default).joinpath(*names)


def temporary_root() -> Path:
    """``$TMPDIR/splitc-USER``, else ``/tmp/splitc-USER``: the folder of all temporary folders of this user.

    Not ``tempfile.gettempdir``: it tries the folder with a file that stays when the process is killed just then.
    """
    return Path(os.environ.get("TMPDIR") or "/tmp") / f"splitc-{os.getuid()}"


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """An empty folder that nobody else can read, gone afterwards; the next one sweeps what a killed process left.

    Args:
        purpose: What for, in letters, digits and hyphens: it becomes part of the name.

    Raises:
        CapabilityError: It cannot be made, or the root belongs to someone else.
    """
    sweep_temporary()
    folder = _new_folder(_owned_name(purpose))
    try:
        with kept_fresh(folder):
            yield folder
    finally:
        remove(folder)
        _remove_if_empty(folder.parent)


@contextlib.contextmanager
def owned_folder(place: Path, purpose: str) -> Iterator[Path]:
    """An empty folder in one that others may use too, that nobody else can enter, gone afterwards.

    What killed processes of this user left there for the same purpose goes first.

    Args:
        place: Where.
        purpose: What for, in letters, digits and hyphens: it becomes part of the name.

    Raises:
        OSError: It cannot be made.
    """
    _sweep_root(place, purpose)
    folder = place / _owned_name(purpose)
    folder.mkdir(mode=0o700)
    try:
        with kept_fresh(folder):
            yield folder
    finally:
        remove(folder)


def _owned_name(purpose: str) -> str:
    return f"{purpose}.{this_process()}.{secrets.token_hex(6)}"


def sweep_temporary() -> None:
    """Remove the temporary folders of processes that have ended; does nothing if no temporary folder can be used."""
    root = temporary_root()
    if not _is_ours(root):
        return
    with contextlib.suppress(FileNotFoundError):  # another process may remove it while it is empty
        _sweep_root(root)
    _remove_if_empty(root)


def _sweep_root(root: Path, purpose: str = r"[0-9A-Za-z-]+") -> None:
    """Remove what processes that have ended left; ``purpose`` is a pattern."""
    for path in root.iterdir():
        match = re.fullmatch(rf"{purpose}\.({PATTERN})\.[0-9a-f]{{12}}", path.name)
        if match is not None and _is_ours(path) and is_abandoned(path, owner_from_text(match[1])):
            remove(path)


def _new_folder(name: str) -> Path:
    """Made below the root, which another process may remove at any moment while it is empty."""
    root = temporary_root()
    for _ in range(_TRIES):
        try:
            with contextlib.suppress(FileExistsError):
                root.mkdir(mode=0o700)
            _refuse_foreign(root)
            (root / name).mkdir(mode=0o700)
            return root / name
        except FileNotFoundError:
            continue
        except OSError as error:
            raise CapabilityError(f"{root}: cannot be written ({reason_of(error)}); set TMPDIR to another.") from error
    raise CapabilityError(f"{root}: cannot be made; set TMPDIR to a folder that is there.")


def _refuse_foreign(root: Path) -> None:
    """In a folder that all may write, another user could have made the root before us."""
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise CapabilityError(f"{root}: is no folder of this user alone; remove it, or set TMPDIR to another place.")


def _is_ours(root: Path) -> bool:
    try:
        found = root.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _remove_if_empty(root: Path) -> None:
    with contextlib.suppress(OSError):
        root.rmdir()
