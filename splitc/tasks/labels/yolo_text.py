"""YOLO's label files: one a picture, a line ``class cx cy w h`` an object, in shares of the picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from splitc.errors import UsageError
from splitc.files import read_text
from splitc.tasks.labels.box_rows import LabelledBox, true_boxes
from splitc.tasks.labels.table import LabelTable

MAX_BYTES = 16 << 20
NOT_LABELS = frozenset({"classes.txt", "names.txt", "labels.txt", "train.txt", "val.txt", "test.txt", "README.txt"})
"""Text files that lie beside labels and are none."""
NAMES = ("classes.txt", "names.txt")
"""Which of them name the classes, one a line; ``classes.txt`` may lie beside the folder too (Label Studio)."""
SLACK = 0.01
"""How far a share may be beyond 0..1: writers round."""


def label_files(folder: Path) -> list[Path]:
    """The text files of a folder that label a picture."""
    return sorted(file for file in folder.glob("*.txt") if file.name not in NOT_LABELS)


def names_beside(labels: Path) -> Path | None:
    """The file that names the classes of a folder of YOLO's label files, or None."""
    if not labels.is_dir() or not label_files(labels):
        return None
    found = [*(labels / name for name in NAMES), labels.absolute().parent / NAMES[0]]
    return next((file for file in found if file.is_file()), None)


def read_yolo_text(files: Sequence[Path], index_of: Mapping[int, int] | None = None) -> LabelTable:
    """A picture's objects from the file of its name; an empty file says that there are none, no file says nothing.

    Args:
        files: One a picture.
        index_of: Class in the files -> class of the network; None where they are the same.

    Raises:
        UsageError: A line that is not five numbers, a class that is no whole number or not in ``index_of``, or a share
            beyond 0..1.
    """
    return LabelTable({file.stem: true_boxes(_rows(file, index_of)) for file in files}, by_stem=True)


def indices_by_name(file: Path, names: Sequence[str], classes: Sequence[str]) -> dict[int, int] | None:
    """Class in label files -> class of the network, by the names of both; None where they count alike.

    Args:
        file: That names the classes of the label files, for the message.
        names: What it says.
        classes: Of the network.

    Raises:
        UsageError: Another number of names, some of which the network does not have.
    """
    known = {name: index for index, name in enumerate(classes)}
    unknown = next((name for name in names if name not in known), None)
    if unknown is None:
        return {index: known[name] for index, name in enumerate(names)}
    if len(names) == len(classes):
        return None
    raise UsageError(
        f"{file}: names {len(names)} classes, and {unknown!r} is not one of the network's {len(classes)}, such as "
        f"{classes[0]!r}; give both the same names, or remove the file where the labels count as the network does."
    )


def _rows(file: Path, index_of: Mapping[int, int] | None) -> list[LabelledBox]:
    lines = read_text(file, MAX_BYTES).splitlines()
    return [_row(f"{file}:{number}", line, index_of) for number, line in enumerate(lines, start=1) if line.strip()]


def _row(where: str, line: str, index_of: Mapping[int, int] | None) -> LabelledBox:
    cells = line.split()
    try:
        index, (x, y, w, h) = int(cells[0]), (float(cell) for cell in cells[1:])
    except ValueError:
        raise UsageError(f'{where}: {line.strip()[:60]!r}; a line is "class cx cy w h".') from None
    if index < 0 or not all(math.isfinite(one) and -SLACK <= one <= 1 + SLACK for one in (x, y, w, h)):
        raise UsageError(
            f"{where}: {line.strip()[:60]!r}; the class counts from 0, and cx cy w h are shares of the picture, 0 to 1."
        )
    if index_of is not None and index not in index_of:
        raise UsageError(f"{where}: class {index}, and the file of names beside it has {len(index_of)}; name them all.")
    corners = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    return LabelledBox(index if index_of is None else index_of[index], corners)
