"""A folder that appears whole at its place, or not at all.

Work goes into a hidden folder beside ``out``; one rename shows it. A lock on the parent folder orders those who rename.
A lock on each hidden folder tells a build that still runs from one that was killed; the next build removes what the
killed one left.

::

    .NAME.TOKEN.partial   being filled; locked by its build
    .NAME.TOKEN.old       the bundle that is being replaced; put back if NAME is missing
    NAME                  always a whole bundle
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from splitc.bundle.manifest import MANIFEST, is_built_folder, read_manifest
from splitc.errors import BundleError

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file would be larger than the file system or its limit allows",
}
_NUMPY_FULL = re.compile(r"\d+ requested and \d+ written|not enough free space")


@contextlib.contextmanager
def staging(out: str | os.PathLike[str]) -> Iterator[Path]:
    """An empty folder that takes the place of ``out`` when the block ends well.

    An earlier bundle at ``out`` stays until the new one is complete. When the block raises, all that was written is
    removed.

    Raises:
        BundleError: ``out`` holds something that is not a bundle, or cannot be written (disk full, no permission).
    """
    place = Path(os.path.abspath(out))
    with _as_refusals(Path(out), place), _parents(place.parent):
        with _locked(place.parent):
            _sweep(place)
            _refuse_foreign(place)
            partial = _hidden(place, "partial")
            partial.mkdir()
            alive = _lock(partial)
        try:
            yield partial
            _sync_tree(partial)
            with _locked(place.parent):
                _swap(partial, place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            os.close(alive)


def _swap(partial: Path, place: Path) -> None:
    """Show the new folder; the old one is back in place if that fails."""
    _refuse_foreign(place)
    old = _hidden(place, "old")
    try:
        if place.exists():
            os.rename(place, old)
        os.rename(partial, place)
    except BaseException:
        if old.exists() and not place.exists():
            os.rename(old, place)
        raise
    _sync(place.parent)
    shutil.rmtree(old, ignore_errors=True)


def _refuse_foreign(place: Path) -> None:
    """Only a bundle, with nothing in it that is not its own, or an empty folder is ever replaced."""
    if not os.path.lexists(place):
        return
    advice = "so it is not replaced; choose another place or move it away."
    if place.is_symlink() or not place.is_dir():
        raise BundleError(f"{place.name}: exists and is not a folder, {advice}")
    found = (path for path in place.rglob("*") if path.is_symlink() or not path.is_dir())
    names = {path.relative_to(place).as_posix() for path in found}
    if not names:
        return
    try:
        manifest = read_manifest(place)
    except BundleError:
        raise BundleError(f"{place.name}: exists and is not a bundle (no readable {MANIFEST}), {advice}") from None
    names = {name for name in names if not is_built_folder("/".join(name.split("/")[:4]))}
    if foreign := sorted(names - manifest.files.keys() - {MANIFEST}):
        raise BundleError(f"{place.name}: holds {foreign[0]!r}, which is no part of the bundle, {advice}")


def _sweep(place: Path) -> None:
    """Put back or remove what a killed build left. The parent is locked, so nobody is between two renames."""
    pattern = re.compile(rf"\.{re.escape(place.name)}\.[0-9a-f]{{12}}\.(partial|old)")
    for path in sorted(place.parent.iterdir()):
        match = pattern.fullmatch(path.name)
        if match is None or path.is_symlink():
            continue
        if match[1] == "old" and not os.path.lexists(place):
            os.rename(path, place)
        elif match[1] == "old" or not _is_locked(path):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _as_refusals(out: Path, place: Path) -> Iterator[None]:
    """Failures to write become one sentence; other failures pass."""
    try:
        yield
    except OSError as error:
        reason = _FULL.get(error.errno or 0)
        if reason is None and error.errno is None and _NUMPY_FULL.search(str(error)):
            reason = _FULL[errno.ENOSPC]
        if reason is None and error.filename and _is_ours(os.fsdecode(error.filename), place):
            reason = (error.strerror or str(error)).lower()
        if reason is None:
            raise
        raise BundleError(f"{out}: cannot be written: {reason}. Nothing was left behind.") from error


def _is_ours(name: str, place: Path) -> bool:
    """Whether a failed path is one that staging makes, and no input that happens to lie beside the bundle."""
    path = Path(os.path.abspath(name))
    hidden = str(place.parent / f".{place.name}.")
    return path in (place, place.parent, *place.parent.parents) or str(path).startswith(hidden)


@contextlib.contextmanager
def _parents(folder: Path) -> Iterator[None]:
    """Make the folders above, and remove the new ones again when the block raises."""
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


def _hidden(place: Path, kind: str) -> Path:
    return place.parent / f".{place.name}.{secrets.token_hex(6)}.{kind}"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = _lock(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _is_locked(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if not path.is_symlink() and (path.is_file() or path.is_dir()):
            _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
