"""Which table codes a level: contexts from the size of the levels around it, and the tables of a container.

A context is the mean size of a level, on a logarithmic scale: the sum of a class of its row, one of its column and one
of its place in the kernel. Levels of one mean size are distributed nearly alike in all layers, so one set of tables,
fitted to all tensors of a container and sent once, serves them all (FORMAT.md, "Contexts", "Level tables").

Why classes and not neighbours. Neighbouring weights hardly predict each other, but rows, columns and kernel places
differ in scale. The model is a product, mean size = row * column * place, whose logarithm is a sum of three classes,
each a third of an octave; 43 contexts reach from 2**-7 to 2**7. A context is then known before any level is: decoding
has no dependency from level to level, and lanes take levels in turn, whatever the shape (scw_levels.hpp).

How the factors are fitted. For two-sided geometric levels of known column and place, the row's best scale is the mean
of size / (column * place), and so on in turn; two rounds suffice. Columns and places have the geometric mean one, or a
factor could wander between the axes. A level k of the mean size m has the probability (1 - d) / (1 + d) * d**abs(k),
whose mean size 2 d / (1 - d**2) is m for d = (sqrt(1 + m**2) - 1) / m. With that, small tensors are tried with and
without classes of rows and of columns: a class that varies costs about three bits, which few levels do not earn back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splitc.codec import FieldReader
from splitc.errors import BitstreamError
from splitc.native import _core
from splitc.types import F32, F64, U8, U16, Array

TOKENS = 256
ONE = 4096
"""What the frequencies of a context sum to."""
PER_OCTAVE = 3
CONTEXTS = 43
"""Mean sizes from 2**-7 to 2**7 in steps of a third of an octave."""
SMALLEST = 2.0**-7
CLASS_BITS = 6
MIDDLE = 32
"""The class of a column or place that is as the row says."""
SMALL = 1 << 16
"""Up to so many levels it is computed whether classes of an axis pay for themselves."""
ROUNDS = 2
CLASS_COST = 3.0
"""Bits that a class costs, for choosing; measured on real networks between 2 and 3.5."""


class Classes(NamedTuple):
    """Class of every index of the three axes, uint8; 0..CONTEXTS-1 outer, 0..63 the others."""

    outer: U8
    middle: U8
    inner: U8


def fit_classes(levels: Array) -> Classes:
    """Classes of ``levels [outer, middle, inner]``."""
    sizes = np.abs(levels).astype(np.float32)
    if sizes.size > SMALL:
        return _quantized(*_factors(sizes, True, True))
    choices = [(by_row, by_column) for by_row in (False, True) for by_column in (False, True)]
    fitted = [_quantized(*_factors(sizes, by_row, by_column)) for by_row, by_column in choices]
    costs = [_cost(sizes, classes) for classes in fitted]
    return fitted[int(np.argmin(costs))]


def _factors(sizes: F32, by_row: bool, by_column: bool) -> tuple[F32, F32, F32]:
    """Mean size as a product: of row, column and place; the last two have mean one."""
    outer, middle, inner = sizes.shape
    flat = sizes.reshape(outer, -1)
    column, place = np.ones(middle, np.float32), np.ones(inner, np.float32)
    row = np.full(outer, flat.mean(), np.float32)
    least = np.float32(SMALLEST)
    for _ in range(ROUNDS):
        if by_row:
            weights = (1 / np.outer(column, place)).reshape(-1).astype(np.float32)
            row = np.maximum(flat @ weights / weights.size, least)
        if by_column:
            both = ((1 / np.maximum(row, least)) @ flat).reshape(middle, inner)
            column = _unit((both / place).mean(1), least)
            place = _unit((both / column[:, None]).mean(0), least)
    return np.maximum(row, least), column, place


def _unit(values: F32, least: np.float32) -> F32:
    """Values with geometric mean one, none near zero."""
    floored = np.maximum(values, np.maximum(least * values.mean(), np.float32(1e-6)))
    scaled: F32 = (floored / np.exp(np.log(floored).mean())).astype(np.float32)
    return scaled


def _quantized(row: F32, column: F32, place: F32) -> Classes:
    outer = np.rint(PER_OCTAVE * np.log2(row / SMALLEST))
    shifts = [np.clip(MIDDLE + np.rint(PER_OCTAVE * np.log2(axis)), 0, 63) for axis in (column, place)]
    return Classes(np.clip(outer, 0, CONTEXTS - 1).astype(np.uint8), *(shift.astype(np.uint8) for shift in shifts))


def _cost(sizes: F32, classes: Classes) -> float:
    """Estimated bits: two-sided geometric levels of the context's mean size, and the classes."""
    outer, middle, inner = (axis.astype(np.float32) for axis in classes)
    context = outer[:, None, None] + (middle[:, None] - MIDDLE + inner - MIDDLE)
    mean = SMALLEST * np.exp2(np.clip(context, 0, CONTEXTS - 1) / PER_OCTAVE)
    decay = (np.sqrt(1 + mean**2) - 1) / mean
    bits = -np.log2((1 - decay) / (1 + decay)) - sizes * np.log2(decay)
    varied = sum(axis.size for axis in classes if len(np.unique(axis)) > 1)
    return float(bits.sum()) + CLASS_COST * varied


def frequencies_of(counts: Array) -> U16:
    """Tables ``[contexts, 256]`` for ``counts`` of the same shape; a context never seen has the zero level alone."""
    seen = counts.astype(np.float64)
    empty = seen.sum(1) == 0
    seen[empty, TOKENS // 2] = 1
    return np.stack([_normalized(row) for row in seen])


def _normalized(counts: F64) -> U16:
    """Frequencies summing to 4096, at least 1 for every token seen; the rest goes where it costs least."""
    got = np.where(counts > 0, np.maximum(np.floor(counts * (ONE / counts.sum())), 1), 0).astype(np.int64)
    while (missing := ONE - int(got.sum())) != 0:
        sign = 1 if missing > 0 else -1
        able = np.flatnonzero(got + min(sign, 0) >= 1)
        gains = counts[able] * np.log2((got[able] + sign) / got[able])
        few = min(abs(missing), 1 + len(able) // 4)
        got[able[np.argsort(-gains, kind="stable")[:few]]] += sign
    return got.astype(np.uint16)


def write_tables(frequencies: U16) -> bytes:
    """FORMAT.md, "Level tables"."""
    planes = np.stack([frequencies >> 8, frequencies & 0xFF]).astype(np.uint8)
    return bytes([len(frequencies)]) + _core.range_encode(planes, 8)


def read_tables(data: bytes) -> _core.ScwTables:
    """Inverse of :func:`write_tables`, expanded for decoding.

    Raises:
        BitstreamError: Not tables.
    """
    reader = FieldReader(data, "weights")
    contexts = reader.u8("Context_Count")
    if not 1 <= contexts <= 64:
        reader.refuse("Context_Count", f"is {contexts}, must be 1..64")
    planes = _core.range_decode_u8(bytes(reader.take("Frequencies", reader.left)), 8, 2, contexts, TOKENS)
    frequencies = planes[0].astype(np.uint16) << 8 | planes[1]
    if not (frequencies.astype(np.int64).sum(1) == ONE).all():
        raise BitstreamError("weights: Level_Tables: frequencies of a context do not sum to 4096.")
    return _core.ScwTables(frequencies)
