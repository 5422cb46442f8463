"""Classes and values by the path of their sample, from CSV files."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from splitc.errors import UsageError
from splitc.files import ClassColumns, class_columns, has_heading, is_whole, read_rows
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.truth import Truth


def read_class_labels(file: Path, *, several: bool = False) -> LabelTable:
    """Path of a sample -> class index, from columns as :func:`splitc.files.class_columns` finds them.

    A first line without a whole number is taken as the heading.

    Args:
        file: A table as :func:`splitc.files.read_rows` takes it.
        several: The path comes first, and every whole number behind it is a class of the sample; a line with none says
            that there is none.

    Raises:
        UsageError: Not there, not text, a line without an index, a sample with two, or several columns that may be the
            index.
    """
    rows = read_rows(file)
    body = rows[has_heading(rows) :]
    if not body:
        raise UsageError(f'{file}: holds no labels; a line is "picture,index".')
    columns = ClassColumns(0, (1,)) if several else class_columns(file, rows)
    labels: dict[str, Truth] = {}
    for row in body:
        found = frozenset(map(int, filter(is_whole, row.cells[1:]))) if several else columns.class_of(row)
        path = columns.sample_of(row)
        if found is None or not path:
            raise UsageError(f'{file}:{row.line}: no class index; a line is "picture,index".')
        name = _plain(path)
        if labels.setdefault(name, found) != found:
            raise UsageError(f"{file}:{row.line}: {name!r} is {found} here and {labels[name]} above; keep one.")
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
    for row in read_rows(file):
        yield row.line, _plain(row.cells[0]), list(row.cells[1:])


def _plain(path: str) -> str:
    return os.path.normpath(path.replace("\\", "/"))
