"""Names of classes."""

from __future__ import annotations

from pathlib import Path

from splitc.files import read_text

MAX_BYTES = 64 << 20


def read_classes(file: Path) -> list[str]:
    """Class names, one a line, by index; empty lines behind the last are none.

    Raises:
        UsageError: The file is absent or not text.
    """
    return [line.strip() for line in read_text(file, MAX_BYTES).rstrip().splitlines()]
