"""Names of classes."""

from __future__ import annotations

from pathlib import Path

from splitc.errors import UsageError
from splitc.files import read_bounded

MAX_BYTES = 64 << 20


def read_classes(file: Path) -> list[str]:
    """Class names, one a line, by index.

    Raises:
        UsageError: The file is absent or not text.
    """
    try:
        return [line.strip() for line in read_bounded(file, MAX_BYTES).decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise UsageError(f"{file}: is not UTF-8 text.") from None
