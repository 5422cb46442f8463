"""YOLO's label files: one a picture, a line ``class cx cy w h`` an object, in shares of the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from splitc.errors import UsageError
from splitc.files import read_bounded
from splitc.tasks.labels.box_rows import LabelledBox, true_boxes
from splitc.tasks.labels.table import LabelTable

MAX_BYTES = 16 << 20
NOT_LABELS = frozenset({"classes.txt", "names.txt", "labels.txt", "train.txt", "val.txt", "test.txt", "README.txt"})
"""Text files that lie beside labels and are none."""
SLACK = 0.01
"""How far a share may be beyond 0..1: writers round."""


def read_yolo_text(files: Sequence[Path]) -> LabelTable:
    """A picture's objects from the file of its name; an empty file says that there are none, no file says nothing.

    Raises:
        UsageError: A line that is not five numbers, a class that is no whole number, or a share beyond 0..1.
    """
    return LabelTable({file.stem: true_boxes(_rows(file)) for file in files}, by_stem=True)


def _rows(file: Path) -> list[LabelledBox]:
    try:
        lines = read_bounded(file, MAX_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{file}: is not UTF-8 text.") from None
    return [_row(f"{file}:{number}", line) for number, line in enumerate(lines, start=1) if line.strip()]


def _row(where: str, line: str) -> LabelledBox:
    cells = line.split()
    try:
        index, (x, y, w, h) = int(cells[0]), (float(cell) for cell in cells[1:])
    except ValueError:
        raise UsageError(f'{where}: {line.strip()[:60]!r}; a line is "class cx cy w h".') from None
    if index < 0 or not all(math.isfinite(one) and -SLACK <= one <= 1 + SLACK for one in (x, y, w, h)):
        raise UsageError(
            f"{where}: {line.strip()[:60]!r}; the class counts from 0, and cx cy w h are shares of the picture, 0 to 1."
        )
    return LabelledBox(index, (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
