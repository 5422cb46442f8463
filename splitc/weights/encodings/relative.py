"""Relative indices of sparse matrices (FORMAT.md, "Relative index"; T-C3D section III-F, RT12).

A matrix is walked line by line: rows in CSR, columns in CSC. Within a line an entry tells its distance to the entry
before it, less one, in ``bits`` bits; a longer distance passes through *fillers*, entries of value zero at the largest
distance. So a distance of 17 at 4 bits is a filler at 16, then 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splitc.errors import BitstreamError
from splitc.types import Array

I64 = np.int64


class Entries(NamedTuple):
    """What is stored of a sparse matrix.

    Attributes:
        gaps: Distance less one of every entry, ``[stored]``.
        sources: Flat position among the line-by-line values that the entry holds, ``[stored]``; -1 for a filler.
        lengths: Entries in every line, ``[lines]``.
    """

    gaps: Array
    sources: Array
    lengths: Array


def entries_of(is_kept: Array, bits: int) -> Entries:
    """Where ``is_kept [lines, length]`` is true, as relative indices of ``bits`` bits."""
    lines, columns = np.nonzero(is_kept)
    positions = np.flatnonzero(is_kept)
    is_first = np.ones(len(lines), bool)
    is_first[1:] = lines[1:] != lines[:-1]
    before = np.where(is_first, -1, np.roll(columns, 1))
    distance = columns - before
    largest = 1 << bits
    fillers = (distance - 1) // largest
    ends = np.cumsum(fillers + 1) - 1
    stored = int(ends[-1]) + 1 if len(ends) else 0
    gaps = np.full(stored, largest - 1, I64)
    gaps[ends] = distance - fillers * largest - 1
    sources = np.full(stored, -1, I64)
    sources[ends] = positions
    lengths = np.bincount(lines, fillers + 1, len(is_kept)).astype(I64)
    return Entries(gaps, sources, lengths)


def positions_of(gaps: Array, lengths: Array, line_length: int) -> Array:
    """Flat position of every entry, fillers among them, ``[stored]``.

    Raises:
        BitstreamError: An entry beyond the end of its line.
    """
    ends = np.cumsum(lengths.astype(I64))
    travelled = np.cumsum(gaps.astype(I64) + 1)
    starts = ends - lengths
    before = np.where(starts > 0, travelled[np.maximum(starts, 1) - 1] if len(travelled) else 0, 0)
    line = np.repeat(np.arange(len(lengths)), lengths)
    columns = travelled - before[line] - 1
    if columns.size and int(columns.max()) >= line_length:
        raise BitstreamError("an index lies beyond the end of its line.")
    return line * line_length + columns
