"""A bundle appears whole at its place, or not at all; nothing but a bundle is ever replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from splitc.bundle.manifest import MANIFEST, UNLISTED, is_built_folder, is_bytecode_folder, read_manifest
from splitc.errors import BundleError
from splitc.files import whole_folder


def staging(out: str | os.PathLike[str]) -> AbstractContextManager[Path]:
    """An empty folder that takes the place of ``out`` when the block ends well.

    An earlier bundle at ``out`` stays until the new one is complete. When the block raises, all that was written is
    removed.

    Raises:
        BundleError: ``out`` holds something that is not a bundle, or cannot be written (disk full, no permission).
    """
    return whole_folder(out, lambda place: _refuse_foreign(place, Path(out)), BundleError)


def _refuse_foreign(place: Path, out: Path) -> None:
    """Only a bundle, with nothing in it that is not its own, or an empty folder is ever replaced.

    Args:
        place: The place, absolute.
        out: As it was named, for messages.
    """
    if _is_not_text(place):
        raise BundleError(f"{out}: onnxruntime opens no file whose path is not UTF-8; choose another place.")
    if not os.path.lexists(place):
        return
    advice = "so it is not replaced; choose another place or move it away."
    if place.is_symlink() or not place.is_dir():
        raise BundleError(f"{out}: exists and is not a folder, {advice}")
    if next(_files_in(place), None) is None:
        return
    try:
        manifest = read_manifest(place)
    except BundleError:
        raise BundleError(f"{out}: exists and is not a bundle (no readable {MANIFEST}), {advice}") from None
    names = {path.relative_to(place).as_posix() for path in _files_in(place)}
    names = {name for name in names if not is_built_folder("/".join(name.split("/")[:4]))}
    names = {name for name in names if not is_bytecode_folder(name.rpartition("/")[0])}
    if foreign := sorted(names - manifest.files.keys() - set(UNLISTED)):
        raise BundleError(f"{out}: holds {foreign[0]!r}, which is no part of the bundle, {advice}")


def _is_not_text(place: Path) -> bool:
    """Whether the name holds bytes that are no UTF-8, which Python keeps as lone surrogates."""
    return any("\ud800" <= letter <= "\udfff" for letter in str(place))


def _files_in(folder: Path) -> Iterator[Path]:
    """Everything below but folders, one by one: the first of ``/`` is at hand before all are found."""
    return (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
