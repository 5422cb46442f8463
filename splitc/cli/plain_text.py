"""Text that others wrote, on a terminal: what would move the cursor or turn the line is shown as its number."""

from __future__ import annotations

import re

_NOT_SHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 without tab and newline, C1, marks of direction, separators of lines, and bytes of a name that are no UTF-8."""


def plain(text: str) -> str:
    """``text`` with every such character as Python writes it: ``\\x1b``, ``\\u202e``."""
    return _NOT_SHOWN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def plain_json(text: str) -> str:
    """JSON with every such character as JSON writes it: ``\\u001b``. They stand in its texts alone."""
    return _NOT_SHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
