"""Write models whole or not at all: a folder with two halves, or one model and its data."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from splitc import files
from splitc.errors import UsageError
from splitc.graph.files.onnx_files import DATA, with_data_file

HEAD, TAIL = "head.onnx", "tail.onnx"
HALVES = frozenset({HEAD, TAIL, HEAD + DATA, TAIL + DATA})
"""All that a split writes."""
_TOKEN_DIGITS = 12


def halves_folder(out: Path) -> AbstractContextManager[Path]:
    """An empty folder for ``head.onnx`` and ``tail.onnx`` that takes the place of ``out`` when the block ends well.

    Raises:
        UsageError: ``out`` holds something else than an earlier split, or cannot be written.
    """
    _refuse_strange(out)  # also before the hidden folder is made, which lies in out where that is the root
    return files.whole_folder(out, lambda _: _refuse_strange(out))


@contextlib.contextmanager
def model_file(out: Path) -> Iterator[Path]:
    """A path in a hidden folder for a model and its data, which take the place of ``out`` when the block ends well.

    Two files cannot be renamed at one moment, so the old model's data are left alone until the new model stands: new
    data that differ from those at ``out`` + ".data" are named ``out`` + ".HASH.data", which the new model says. The
    model is renamed last, and data that no model at ``out`` reads go afterwards. Whenever the writer is killed, the
    old pair or the new one stands there.

    Raises:
        UsageError: ``out`` is a folder, or cannot be written.
    """
    files.refuse_special(out)
    with files.as_refusals(out, UsageError), files.aside_folder(out) as folder:
        yield folder / out.name
        with files.locked(out):
            _publish(folder / out.name, out)


def _publish(model: Path, out: Path) -> None:
    """Data first, under a name that the old model does not read."""
    written = model.with_name(model.name + DATA)
    data = None
    if written.exists():
        data = _free_name(written, out.with_name(written.name))
        if data.name != written.name:
            with_data_file(model, data.name)
        files.move_into_place(written, data)
    files.move_into_place(model, out)
    for old in _data_files(out):
        if old != data:
            old.unlink()


def _free_name(written: Path, place: Path) -> Path:
    """``place`` if it is free or holds the same bytes; else a name with the hash of the new bytes."""
    if not os.path.lexists(place):
        return place
    digest = files.sha256_of(written)
    if place.is_file() and place.stat().st_size == written.stat().st_size and files.sha256_of(place) == digest:
        return place
    return place.with_name(f"{place.name.removesuffix(DATA)}.{digest[:_TOKEN_DIGITS]}{DATA}")


def _data_files(out: Path) -> list[Path]:
    """The data files of models that stand or stood at ``out``."""
    pattern = re.compile(rf"{re.escape(out.name)}(\.[0-9a-f]{{{_TOKEN_DIGITS}}})?{re.escape(DATA)}")
    return [path for path in out.absolute().parent.iterdir() if pattern.fullmatch(path.name)]


def _refuse_strange(out: Path) -> None:
    """Only an earlier split or an empty folder is replaced."""
    if not os.path.lexists(out):
        return
    if out.is_symlink() or not out.is_dir():
        raise UsageError(f"{out}: exists and is not a folder; choose another place.")
    foreign = sorted({path.name for path in out.iterdir()} - HALVES)
    if foreign:
        raise UsageError(f"{out}: holds {foreign[0]!r}, which no split wrote; choose another place or an empty folder.")
