"""The verdict on a cut, as lines for people."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

WIDTH = 100


def verdict_lines(headline: str, warnings: Sequence[str]) -> list[str]:
    """The headline, then each warning with a mark; long ones on several lines."""
    lines = textwrap.wrap(headline, WIDTH)
    for one in warnings:
        lines += textwrap.wrap(one, WIDTH, initial_indent="! ", subsequent_indent="  ")
    return lines
