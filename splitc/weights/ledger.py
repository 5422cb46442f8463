"""Where the bytes of a container go; the parts sum to the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

PARTS = ("values", "indices", "codebooks", "tables", "header", "dense")
"""By wire id. ``header`` is never a section: it is everything before the first one."""


class CodedSection(NamedTuple):
    """Coded bytes and the part of the ledger they count as."""

    part: str
    payload: bytes


class SectionSize(NamedTuple):
    """A section as the header announces it."""

    part: str
    bytes: int


def ledger(header_bytes: int, sections: Iterable[SectionSize]) -> dict[str, int]:
    """Bytes by part, every part named; their sum is the size of the file."""
    sizes: Counter[str] = Counter()
    for section in sections:
        sizes[section.part] += section.bytes
    sizes["header"] += header_bytes
    return {part: sizes[part] for part in PARTS}


def total(parts: Mapping[str, int]) -> int:
    """Size of the file."""
    return sum(parts.values())
