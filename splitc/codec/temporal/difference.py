"""Symbol difference between consecutive frames (FORMAT.md section 11, "difference")."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, cast

import numpy as np

from splitc.codec.temporal.base import Predictor, unzigzag, zigzag
from splitc.types import U8, Array, Symbols

MAX_TABLE_COUNT = 256
"""Alphabets up to this size are folded by a table."""


class Difference(Predictor):
    """The difference of symbols, folded into the symbols' own alphabet; lossless, so quantizers may stay in the graph.

    previous p = 2, count = 8:

        symbol    0  1  2  3  4  5  6  7
        residual  4  2  0  1  3  5  6  7
    """

    name: ClassVar[str] = "difference"
    wire_id: ClassVar[int] = 1

    def residual(self, symbols: Symbols, previous: Symbols, count: int) -> Symbols:
        if count > MAX_TABLE_COUNT:
            return cast(Symbols, fold(symbols.astype(np.int32), previous, count).astype(symbols.dtype))
        return _fold_table(count)[previous, symbols]

    def restore(self, residual: Symbols, previous: Symbols, count: int) -> Symbols:
        if count > MAX_TABLE_COUNT:
            return cast(Symbols, unfold(residual.astype(np.int32), previous, count).astype(residual.dtype))
        return _unfold_table(count)[previous, residual]


def fold(symbols: Array, previous: Array, count: int) -> Array:
    """``symbols - previous`` by distance, signs in turn while both are possible: 0 .. count - 1."""
    difference = symbols - np.asarray(previous, np.int32)
    both = np.minimum(previous, count - 1 - np.asarray(previous, np.int32))  # distances that both signs can have
    size = np.abs(difference)
    return np.where(size <= both, zigzag(difference), size + both)


def unfold(residual: Array, previous: Array, count: int) -> Array:
    """Invert :func:`fold`."""
    base = np.asarray(previous, np.int32)
    room = count - 1 - base
    both = np.minimum(base, room)
    beyond = np.where(base <= room, residual - both, both - residual)
    return np.asarray(base + np.where(residual <= 2 * both, unzigzag(residual), beyond))


@lru_cache
def _fold_table(count: int) -> U8:
    """uint8 ``[previous, symbol]``."""
    every = np.arange(count, dtype=np.int32)
    return cast(U8, fold(every[None], every[:, None], count).astype(np.uint8))


@lru_cache
def _unfold_table(count: int) -> U8:
    """uint8 ``[previous, residual]``."""
    every = np.arange(count, dtype=np.int32)
    return cast(U8, unfold(every[None], every[:, None], count).astype(np.uint8))
