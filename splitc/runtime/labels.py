"""Labels of pictures, and names of classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from splitc.errors import UsageError
from splitc.files import class_columns, has_heading, read_bounded, read_rows
from splitc.runtime.sources import Sample

MAX_BYTES = 64 << 20


class Labels:
    """Finds the label of each sample: the one whose path is the end of the sample's path.

    ``cat/0.png`` labels ``pictures/cat/0.png`` and never ``pictures/dog/0.png``; ``0.png`` alone labels either, but not
    both. ``more.npz#3`` labels one sample of a file of many.
    """

    def __init__(self, known: Mapping[str, int]) -> None:
        self._known = known
        self._labelled: dict[str, str] = {}
        self._last = ""

    def find(self, sample: Sample) -> int | None:
        """Class index, or None where it is unknown.

        Raises:
            UsageError: Two labels that differ, or a label that names another file too.
        """
        file = _plain(os.path.abspath(sample.file or sample.name))
        self._last = file
        one = f"{file.rpartition('/')[0]}/{sample.name}"
        names = [name for path in dict.fromkeys((one, file)) for name in _endings(path) if name in self._known]
        if len({self._known[name] for name in names}) > 1:
            raise UsageError(
                f"labels: {names[0]!r} is {self._known[names[0]]} and {names[-1]!r} is {self._known[names[-1]]}, and "
                f"both name {file}; keep one."
            )
        for name in names:
            other = self._labelled.setdefault(name, file)
            if other != file:
                raise UsageError(f"labels: {name!r} names both {other} and {file}; write more of its path.")
        return self._known[names[0]] if names else None

    def require_match(self) -> None:
        """Raises: UsageError: there are labels, but none belonged to a sample that was looked up."""
        if self._known and not self._labelled:
            raise UsageError(
                f"labels: none of the {len(self._known)} names, such as {next(iter(self._known))!r}, is the end of a "
                f"sample's path, such as {self._last}; look at the first column."
            )


def read_labels(file: Path) -> dict[str, int]:
    """Path of a picture -> class index from a table as :func:`splitc.files.read_rows` takes it.

    The heading says which columns they are; without one, the path comes first, and the index is the one column of
    whole numbers. A path may be as short as the picture's name; see :class:`Labels`.

    Raises:
        UsageError: Not there, not text, a line without an index, a picture with two, or several columns that may be
            the index.
    """
    rows = read_rows(file)
    body = rows[has_heading(rows) :]
    if not body:
        raise UsageError(f'{file}: holds no labels; a line is "picture,index".')
    labels: dict[str, int] = {}
    columns = class_columns(file, rows)
    for row in body:
        index, path = columns.class_of(row), columns.sample_of(row)
        if index is None or not path:
            raise UsageError(f'{file}:{row.line}: no class index; a line is "picture,index".')
        name = os.path.normpath(_plain(path))
        if labels.setdefault(name, index) != index:
            raise UsageError(f"{file}:{row.line}: {name!r} is {index} here and {labels[name]} above; keep one.")
    return labels


def read_classes(file: Path) -> list[str]:
    """Class names, one a line, by index.

    Raises:
        UsageError: The file is absent or not text.
    """
    return [line.strip() for line in _lines(file)]


def _plain(path: str) -> str:
    return path.replace("\\", "/")


def _endings(path: str) -> list[str]:
    """``/a/b/c`` -> ``c``, ``b/c``, ``a/b/c``, ``/a/b/c``."""
    parts = path.split("/")
    return ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)]


def _lines(file: Path) -> list[str]:
    try:
        return read_bounded(file, MAX_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{file}: is not UTF-8 text.") from None
