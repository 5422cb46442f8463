"""Classes and values by the path of their sample, from CSV files."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from splitc.errors import UsageError
from splitc.files import ClassColumns, TableRow, cell_fault, class_columns, has_heading, is_whole, read_rows
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.truth import Truth


def read_class_labels(file: Path, *, several: bool = False, count: int = 0) -> LabelTable:
    """Path of a sample -> class index, from columns as :func:`splitc.files.class_columns` finds them.

    Args:
        file: A table as :func:`splitc.files.read_rows` takes it, with a heading as :func:`splitc.files.has_heading`
            tells it or without one.
        several: The path comes first, and every whole number behind it is a class of the sample; a line with none says
            that there is none.
        count: Classes of the network; 0 where labels are no classes of its.

    Raises:
        UsageError: Not there, not text, a line without an index, a sample with two, a class that the network does not
            have, or several columns that may be the index.
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
            raise UsageError(f'{file}:{row.line}: no class index; a line is "picture,index": {_fault(row, columns)}.')
        name = _plain(path)
        if labels.setdefault(name, found) != found:
            raise UsageError(f"{file}:{row.line}: {name!r} is {found} here and {labels[name]} above; keep one.")
    _require_known(file, labels, count)
    return LabelTable(dict(labels))


def _fault(row: TableRow, columns: ClassColumns) -> str:
    """What is wrong with a row that labels nothing."""
    if not columns.sample_of(row):
        return "the picture is missing"
    if len(columns.classes) > 1:
        return f"of the {len(columns.classes)} columns of classes one must be 1 and all others 0"
    return cell_fault(columns.class_cell(row))


def _require_known(file: Path, labels: Mapping[str, Truth], count: int) -> None:
    """Raises: UsageError: the network has fewer classes than the labels."""
    classes = {name: _indices(label) for name, label in labels.items()}
    known = {index for indices in classes.values() for index in indices}
    if not count or max(known, default=0) < count:
        return
    name, index = next((name, index) for name, indices in classes.items() for index in indices if index >= count)
    advice = "give the labels of this network"
    if 0 not in known and max(known) == count:
        advice = "no label is 0, so they seem to count from 1: subtract 1 from each"
    raise UsageError(f"{file}: {name!r} is labelled {index}, and the network has classes 0 to {count - 1}; {advice}.")


def _indices(label: Truth) -> frozenset[int]:
    return frozenset({label}) if isinstance(label, int) else label if isinstance(label, frozenset) else frozenset()


def read_value_labels(file: Path) -> LabelTable:
    """Path of a sample -> values: the path comes first, the numbers follow.

    A first line of anything else is the heading, unless its path ends as that below it.

    Raises:
        UsageError: Not there, not text, or a line with no numbers, other numbers than finite ones, or too few.
    """
    labels: dict[str, Truth] = {}
    count = 0
    rows = read_rows(file)
    for row in rows[has_heading(rows, _has_values) :]:
        name, values = _plain(row.cells[0]), [_number(cell) for cell in row.cells[1:]]
        numbers = [value for value in values if value is not None]
        if len(numbers) < len(values) or not numbers or len(numbers) != (count or len(numbers)):
            raise UsageError(f'{file}:{row.line}: a line is "sample,value", with {count or "some"} finite numbers.')
        if name in labels:
            raise UsageError(f"{file}:{row.line}: {name!r} has values above already; keep one.")
        count = len(numbers)
        labels[name] = np.array(numbers, np.float64)
    if not labels:
        raise UsageError(f'{file}: holds no labels; a line is "sample,value".')
    return LabelTable(dict(labels))


def _has_values(cells: Sequence[str]) -> bool:
    return all(_number(cell) is not None for cell in cells[1:])


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _plain(path: str) -> str:
    return os.path.normpath(path.replace("\\", "/"))
