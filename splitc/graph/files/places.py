"""Models in their place on disk, whole or not at all: a folder with two halves, or one merged file."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from splitc.errors import UsageError

HEAD, TAIL = "head.onnx", "tail.onnx"
DATA = ".data"
"""Added to a model's name: the file of its external weights."""
HALVES = frozenset({HEAD, TAIL, HEAD + DATA, TAIL + DATA})
"""All that a split writes."""


@contextlib.contextmanager
def halves_folder(out: Path) -> Iterator[Path]:
    """An empty folder for ``head.onnx`` and ``tail.onnx`` that takes the place of ``out`` when the block ends well.

    Raises:
        UsageError: ``out`` holds something else than an earlier split, or cannot be written.
    """
    with _aside(out) as partial:
        _refuse_strange(out)
        yield partial
        _refuse_strange(out)
        old = _hidden(out) if out.exists() else None
        if old is not None:
            out.rename(old)
        try:
            partial.rename(out)
        except BaseException:
            if old is not None and not out.exists():
                old.rename(out)
            raise
        if old is not None:
            shutil.rmtree(old)


@contextlib.contextmanager
def model_file(out: Path) -> Iterator[Path]:
    """A path in an empty folder for a model and its data, which are moved to ``out`` when the block ends well.

    A model that is replaced is removed before the new data appear: none at all, but never one with foreign weights.

    Raises:
        UsageError: ``out`` is a folder, or cannot be written.
    """
    if out.is_dir():
        raise UsageError(f"{out}: is a folder; name a file in it.")
    with _aside(out) as partial:
        yield partial / out.name
        out.unlink(missing_ok=True)
        data = out.with_name(out.name + DATA)
        data.unlink(missing_ok=True)
        for place in (data, out):
            if (partial / place.name).exists():
                (partial / place.name).rename(place)


@contextlib.contextmanager
def _aside(out: Path) -> Iterator[Path]:
    """A hidden folder beside ``out``; gone afterwards."""
    partial = _hidden(out)
    made = next((folder for folder in reversed(partial.parents) if not folder.exists()), None)
    try:
        partial.mkdir(parents=True)
        yield partial
    except OSError as error:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
        raise UsageError(f"{out}: cannot be written ({error.strerror or error}); nothing was left behind.") from error
    except BaseException:
        shutil.rmtree(made or partial, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _hidden(out: Path) -> Path:
    place = Path(os.path.abspath(out))
    return place.parent / f".{place.name}.{secrets.token_hex(6)}.partial"


def _refuse_strange(out: Path) -> None:
    """Only an earlier split or an empty folder is replaced."""
    if not os.path.lexists(out):
        return
    if out.is_symlink() or not out.is_dir():
        raise UsageError(f"{out}: exists and is not a folder; choose another place.")
    foreign = sorted({path.name for path in out.iterdir()} - HALVES)
    if foreign:
        raise UsageError(f"{out}: holds {foreign[0]!r}, which no split wrote; choose another place or an empty folder.")
