"""Files on disk, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from splitc.errors import UsageError


def write_whole(path: Path, data: bytes) -> None:
    """Write beside ``path``, onto the disk, then rename: a reader sees the old file or the new one.

    Raises:
        UsageError: The folder is absent, full, or not ours to write, or ``path`` is a folder.
    """
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """:func:`write_whole` for several: none takes its place before all are on the disk; in order.

    Raises:
        UsageError: One of them cannot be written; all places are as they were.
    """
    with ExitStack() as stack:
        beside = {path: stack.enter_context(_beside(path, data)) for path, data in files.items()}
        for path, aside in beside.items():
            try:
                aside.replace(path)
            except OSError as error:
                raise _refusal(path, error) from error


@contextmanager
def _beside(path: Path, data: bytes) -> Iterator[Path]:
    """``data`` on the disk beside ``path``, as readable as the file there; gone afterwards if it is still there."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it.")
    aside = path.with_name(f".{path.name}.partial")
    try:
        _write(aside, data)
        if path.is_file():
            shutil.copymode(path, aside)
        yield aside
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _refusal(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path}: cannot be written ({error.strerror or error}).")
