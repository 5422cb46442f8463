"""Labels of pictures, and names of classes."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path

from splitc.errors import UsageError
from splitc.files import read_bounded
from splitc.runtime.sources import Sample

MAX_BYTES = 64 << 20
MAX_CELL = 20
"""Longer cells are no class index."""


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
    """Path of a picture -> class index from a CSV file: the path comes first, the index is the first whole number.

    A path may be as short as the picture's name; see :class:`Labels`. A first line without a whole number is taken as
    the heading.

    Raises:
        UsageError: Not there, not text, a line without an index, or a picture with two.
    """
    labels: dict[str, int] = {}
    for number, row in enumerate(csv.reader(_lines(file)), start=1):
        if not row:
            continue
        index = next((int(cell) for cell in row[1:] if cell.strip().isdecimal() and len(cell) < MAX_CELL), None)
        if index is not None:
            name = os.path.normpath(_plain(row[0].strip()))
            if labels.setdefault(name, index) != index:
                raise UsageError(f"{file}:{number}: {name!r} is {index} here and {labels[name]} above; keep one.")
        elif number > 1:
            raise UsageError(f'{file}:{number}: no class index; a line is "picture,index".')
    if not labels:
        raise UsageError(f'{file}: holds no labels; a line is "picture,index".')
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
        return read_bounded(file, MAX_BYTES).decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{file}: is not UTF-8 text.") from None
