"""What is known about pictures: their class, and the names of classes."""

from __future__ import annotations

import csv
from pathlib import Path

from splitc.errors import UsageError

MAX_BYTES = 64 << 20


def read_labels(file: Path) -> dict[str, int]:
    """Picture name -> class index from a CSV file: the name comes first, the index is the first whole number after it.

    A first line without a whole number is taken as the heading.

    Raises:
        UsageError: Not there, not text, or a line without an index.
    """
    labels: dict[str, int] = {}
    for number, row in enumerate(csv.reader(_lines(file)), start=1):
        if not row:
            continue
        index = next((cell.strip() for cell in row[1:] if cell.strip().isdecimal()), None)
        if index is not None:
            labels[Path(row[0]).name] = int(index)
        elif number > 1:
            raise UsageError(f'{file}:{number}: no class index; a line is "picture,index".')
    if not labels:
        raise UsageError(f'{file}: holds no labels; a line is "picture,index".')
    return labels


def read_classes(file: Path) -> list[str]:
    """Class names, one a line, by index.

    Raises:
        UsageError: Not there or not text.
    """
    return [line.strip() for line in _lines(file)]


def _lines(file: Path) -> list[str]:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise UsageError(f"{file}: larger than {MAX_BYTES >> 20} MiB; is this the right file?")
        return file.read_text("utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError:
        raise UsageError(f"{file}: is not UTF-8 text.") from None
