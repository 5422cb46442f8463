"""The TOML parser: in the standard library since Python 3.11, the same code as ``tomli`` before."""

from __future__ import annotations

import importlib
import sys
from typing import Any

_PARSER = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


def parse_toml(text: str) -> dict[str, Any]:
    """The document as tables.

    Raises:
        ValueError: Not TOML; the message ends in the line and column.
        RecursionError: Nested too deeply.
    """
    table: dict[str, Any] = _PARSER.loads(text)
    return table
