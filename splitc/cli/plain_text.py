"""Text that others wrote, on a terminal: what moves the cursor, turns the line or is unseen is shown as its number."""

from __future__ import annotations

import json
import re

_ASKED = re.compile(r"[^ -~\t\n]")
"""Everything but ASCII that shows: Unicode says of the rest whether it does (``str.isprintable``)."""


def plain(text: str) -> str:
    """``text`` with every character that does not show as Python writes it: ``\\x1b``, ``\\u202e``."""
    return _ASKED.sub(lambda found: _shown(found[0], found[0].encode("unicode_escape").decode("ascii")), text)


def plain_json(text: str) -> str:
    """JSON with every such character as JSON writes it: ``\\u001b``. They stand in its texts alone."""
    return _ASKED.sub(lambda found: _shown(found[0], json.dumps(found[0])[1:-1]), text)


def _shown(one: str, number: str) -> str:
    return one if one.isprintable() else number
