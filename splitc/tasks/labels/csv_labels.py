"""Classes and values by the path of their sample, from CSV files."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from splitc.errors import UsageError
from splitc.files import read_bounded
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.truth import Truth

MAX_BYTES = 64 << 20
MAX_CELL = 20
"""Longer cells are no class index."""


def read_class_labels(file: Path, *, several: bool = False) -> LabelTable:
    """Path of a sample -> class index: the path comes first, the index is the first whole number behind it.

    A first line without a whole number is taken as the heading.

    Args:
        file: UTF-8 text.
        several: Every whole number of a line is a class of the sample; a line with none says that there is none.

    Raises:
        UsageError: Not there, not text, a line without an index, or a sample with two.
    """
    labels: dict[str, Truth] = {}
    for number, name, cells in _rows(file):
        indices = [int(cell) for cell in cells if cell.isdecimal() and len(cell) < MAX_CELL]
        if several and not (number == 1 and not indices):
            found: Truth = frozenset(indices)
        elif indices:
            found = indices[0]
        elif number == 1:
            continue
        else:
            raise UsageError(f'{file}:{number}: no class index; a line is "picture,index".')
        if labels.setdefault(name, found) != found:
            raise UsageError(f"{file}:{number}: {name!r} is {found} here and {labels[name]} above; keep one.")
    if not labels:
        raise UsageError(f'{file}: holds no labels; a line is "picture,index".')
    return LabelTable(dict(labels))


def read_value_labels(file: Path) -> LabelTable:
    """Path of a sample -> values: the path comes first, the numbers follow.

    Raises:
        UsageError: Not there, not text, or a line with no numbers, other numbers than finite ones, or too few.
    """
    labels: dict[str, Truth] = {}
    count = 0
    for number, name, cells in _rows(file):
        values = [_number(cell) for cell in cells]
        if number == 1 and None in values:
            continue  # the heading
        numbers = [value for value in values if value is not None]
        if len(numbers) < len(values) or not numbers or len(numbers) != (count or len(numbers)):
            raise UsageError(f'{file}:{number}: a line is "sample,value", with {count or "some"} finite numbers.')
        if name in labels:
            raise UsageError(f"{file}:{number}: {name!r} has values above already; keep one.")
        count = len(numbers)
        labels[name] = np.array(numbers, np.float64)
    if not labels:
        raise UsageError(f'{file}: holds no labels; a line is "sample,value".')
    return LabelTable(dict(labels))


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _rows(file: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Line number, path and other cells of every line that is not empty."""
    try:
        lines = read_bounded(file, MAX_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{file}: is not UTF-8 text.") from None
    for number, row in enumerate(csv.reader(lines), start=1):
        if row:
            path = os.path.normpath(row[0].strip().replace("\\", "/"))
            yield number, path, [cell.strip() for cell in row[1:]]
