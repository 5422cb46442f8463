"""Tables that people and tools write as text: rows of cells, and which column means what."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from splitc.errors import UsageError
from splitc.files.reading import read_text

MAX_BYTES = 64 << 20
DELIMITERS = (",", "\t", ";")
MAX_DIGITS = 19
"""Longer cells are no number of a class."""
_SAMPLE_NAMES = ("file", "filename", "file_name", "filepath", "path", "image_path", "image", "image_id", "img")
_WEAK_SAMPLE_NAMES = ("picture", "sample", "name", "id")
"""They often name something else, so they count only where none of the others is there."""
_CLASS_NAMES = (
    *("label", "label_idx", "label_index", "label_id"),
    *("class_index", "class_idx", "class_id", "classid", "class"),
)
_WEAK_CLASS_NAMES = ("target", "category_id", "category", "index", "labels", "y")


@dataclass(frozen=True)
class TableRow:
    """Cells of one line, without blanks around them.

    Attributes:
        line: Its number in the file, from 1.
        cells: At least one is not empty.
    """

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class ClassColumns:
    """Which columns name a sample and hold its class, from 0.

    Attributes:
        sample: Its name or path.
        classes: One with the number of the class; or several, one a class, of which one holds 1 and the others 0.
    """

    sample: int
    classes: tuple[int, ...]

    def sample_of(self, row: TableRow) -> str:
        """Name of a row's sample, or an empty text."""
        return _cell(row, self.sample)

    def class_of(self, row: TableRow) -> int | None:
        """Number of a row's class, or None where it has none."""
        cells = [_cell(row, column) for column in self.classes]
        if len(cells) > 1:
            return cells.index("1") if _is_one_hot(cells) else None
        return int(cells[0]) if is_whole(cells[0]) else None

    def class_cell(self, row: TableRow) -> str:
        """A row's cell in the first column of classes, or an empty text."""
        return _cell(row, self.classes[0])


def read_rows(file: Path) -> list[TableRow]:
    """Rows of a text file: comma, tab or semicolon between cells, else the last blank of a line.

    UTF-8, or UTF-16 with its mark; any newline. Empty lines are left out, comments (``#``) above the first row, and
    marks (U+FEFF) at the start of a line, where files were joined. A cell may be quoted, within its line.

    Raises:
        UsageError: Not there, not text, larger than 64 MiB, or a line whose quotes do not end.
    """
    lines = (line.lstrip("\ufeff") for line in re.split(r"\r\n|\r|\n", read_text(file, MAX_BYTES)))
    written = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    while written and written[0][1].startswith("#"):
        del written[0]
    delimiter = _delimiter(file, *written[0]) if written else None
    rows = (TableRow(number, _cells(file, number, line, delimiter)) for number, line in written)
    return [row for row in rows if any(row.cells)]


def is_whole(cell: str) -> bool:
    """Whether a cell is the number of a class."""
    return cell.isdecimal() and len(cell) <= MAX_DIGITS


def cell_fault(cell: str) -> str:
    """Why a cell is no number of a class, and what to do; empty where it is one."""
    hidden = next((letter for letter in cell if unicodedata.category(letter) in ("Cf", "Cc")), None)
    if is_whole(cell):
        return ""
    if not cell:
        return "the class is missing"
    if hidden is not None:
        return f"{cell!r} holds the invisible character U+{ord(hidden):04X}; remove it"
    if re.fullmatch(r"\+?\d{1,19}[.,]0*", cell):
        return f"{cell!r} is written as a fraction; write {int(re.split('[.,]', cell)[0])}"
    if re.fullmatch(r"-\d+", cell):
        return f"{cell!r} is below 0, from which classes count"
    return f"{cell!r} is no whole number; write that of the class, counted from 0"


def has_heading(rows: list[TableRow], is_data: Callable[[Sequence[str]], bool] | None = None) -> bool:
    """Whether the first row says what the columns are.

    It does where its cells name or number them (``file,0``, and ``0,1`` as pandas writes), or where it is no data. A
    first row whose cell ends as that below it (``.png``) is data in any case.

    Args:
        rows: Of the file.
        is_data: Tells by a row's cells; by default a row with a whole number is data.
    """
    if not rows or _is_alike(rows):
        return False
    cells = rows[0].cells
    return _names_columns(cells) or _numbers_columns(rows) or not (is_data or _has_whole)(cells)


def class_columns(file: Path, rows: list[TableRow]) -> ClassColumns:
    """Which columns say the sample and its class: by the heading, else by what they hold.

    Without a telling heading the sample is the first column that holds anything but whole numbers, and the class the
    only other one of nothing but whole numbers, or all others where each row has one 1 among zeros. A column that a
    heading leaves unnamed, as pandas does that of the row's number, is no class.

    Args:
        file: For the message.
        rows: At least one behind the heading, where there is one.

    Raises:
        UsageError: Several columns could be the class.
    """
    heading = [cell.lower() for cell in rows[0].cells] if has_heading(rows) else []
    body = rows[bool(heading) :]
    width = min(len(row.cells) for row in body)
    numeric = [column for column in range(width) if all(is_whole(row.cells[column]) for row in body)]
    texts = [column for column in range(width) if column not in numeric]
    sample = [*_named(heading, _SAMPLE_NAMES), *_named(heading, _WEAK_SAMPLE_NAMES), *texts, 0][0]
    named = [column for column in _named(heading, (*_CLASS_NAMES, *_WEAK_CLASS_NAMES)) if column != sample]
    others = [column for column in numeric if column != sample and heading[column : column + 1] != [""]]
    found = [column for column in named if column in numeric][:1] or others or named or [int(sample == 0)]
    if others == found and len(found) > 1 and not all(_is_one_hot([row.cells[one] for one in found]) for row in body):
        columns = ", ".join(str(column + 1) for column in found)
        raise UsageError(f'{file}: columns {columns} hold whole numbers; name that of the class "label" in a heading.')
    return ClassColumns(sample, tuple(found) if others == found else tuple(found[:1]))


def _has_whole(cells: Sequence[str]) -> bool:
    return any(map(is_whole, cells))


def _is_alike(rows: Sequence[TableRow]) -> bool:
    """Whether a cell of the first row has the ending of the one below it."""
    pairs = zip(rows[0].cells, rows[1].cells if len(rows) > 1 else (), strict=False)
    endings = ((PurePath(one).suffix.lower(), PurePath(other).suffix.lower()) for one, other in pairs)
    return any(one == other != "" for one, other in endings)


def _names_columns(cells: Sequence[str]) -> bool:
    """Whether a cell is what a column of samples or classes is called."""
    return any(cell.lower() in (*_SAMPLE_NAMES, *_WEAK_SAMPLE_NAMES, *_CLASS_NAMES) for cell in cells)


def _numbers_columns(rows: Sequence[TableRow]) -> bool:
    """Whether the first row counts its columns, above one that holds more than numbers."""
    counted = [cell for cell in rows[0].cells if cell]
    below = rows[1].cells if len(rows) > 1 else ()
    return (
        len(counted) > 1
        and counted == [str(column) for column in range(len(counted))]
        and not all(map(is_whole, below))
    )


def _named(heading: list[str], names: Sequence[str]) -> list[int]:
    """Columns of these names, in the order of the names."""
    return [heading.index(name) for name in names if name in heading]


def _is_one_hot(cells: Sequence[str]) -> bool:
    return sorted(cells, reverse=True) == ["1"] + ["0"] * (len(cells) - 1)


def _cell(row: TableRow, column: int) -> str:
    return row.cells[column] if column < len(row.cells) else ""


def _delimiter(file: Path, number: int, line: str) -> str | None:
    """The first that parts the line; None: blanks."""
    return next((one for one in DELIMITERS if one in line and len(_cells(file, number, line, one)) > 1), None)


def _cells(file: Path, number: int, line: str, delimiter: str | None) -> tuple[str, ...]:
    if delimiter is None and '"' not in line:
        return tuple(line.strip().rsplit(maxsplit=1))
    if "\0" in line:
        raise UsageError(f"{file}:{number}: holds a NUL; it is not text.")
    try:
        ((*cells,),) = csv.reader([line.strip(" ")], delimiter=delimiter or " ", skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as error:
        raise UsageError(f"{file}:{number}: quotes or cells that do not end ({error}).") from None
    return tuple(cell.strip() for cell in cells)
