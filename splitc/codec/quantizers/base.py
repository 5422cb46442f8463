"""What a quantizer is, and the parameters it learns.

A quantizer is how parameters are learned (:class:`Quantizer`) and a rule by which they turn values into symbols and
back (:class:`splitc.codec.quantizers.rules.Rule`). Every rule has a host form and a graph form, which give the same
symbols: what decides a symbol are float32 values stored in :class:`QuantParams` and operations that IEEE 754 defines
exactly.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from splitc.codec.quantizers.operators import Operators, T
from splitc.codec.quantizers.params import MAX_GRAPH_BITS, QuantParams
from splitc.codec.quantizers.rules import Rule, refuse_nan
from splitc.errors import CodecError
from splitc.registry import Component
from splitc.types import F32, F64, Symbols

FixedScope = Literal["tensor", "channel"]
"""Scopes whose parameters calibration fixes."""
MIN_BIN_COUNT = 4
"""A bin with fewer calibration values keeps its middle: their mean says little."""
NOTHING = "no calibration features: a quantizer cannot be fitted on nothing."
FIT_VALUES = 1 << 21
"""Values that a search for parameters looks at, all rows together; more do not change what it finds."""
BLOCK_VALUES = 1 << 20
"""Values that are computed on at once, where all of them would take several times the memory of the features."""


class Quantizer(Component):
    """Options of a scalar quantizer.

    Features are wires: samples on axis 0, the channel on axis 1 (rank 2 and above); rank 1 is one channel.
    """

    wire_id: ClassVar[int]
    """FORMAT.md, section "Quantizers"; never reused."""

    bits: int = Field(4, ge=1, le=16, description="bits a symbol")
    scope: str = Field("channel", description="what has parameters of its own")

    @property
    def count(self) -> int:
        """Most symbols that fitting may choose; all quantizers but ``step`` choose exactly so many."""
        return 1 << self.bits

    @property
    @abstractmethod
    def rule(self) -> Rule:
        """How fitted parameters turn values into symbols and back."""

    @property
    def has_even_levels(self) -> bool:
        """Symbols stand for the evenly spaced middles of their bins."""
        return self.rule.is_linear and getattr(self, "reconstruction", None) == "midpoint"

    @property
    def takes_steps(self) -> bool:
        """It can be given a step for each channel."""
        return False

    def fit(self, features: F32 | Sequence[F32]) -> QuantParams:
        """Learn the parameters.

        Args:
            features: Calibration features, float32 ``[n, C, ...]``; several, where their inner sizes differ.

        Raises:
            CodecError: No finite values, or NaN among them.
        """
        return self._fit(rows_of(features, by_channel=self.scope == "channel"))

    @property
    def side_count(self) -> int:
        """float32 values that each sample carries beside its symbols; 0 where calibration fixed everything."""
        return self.rule.side_count

    def side(self, x: F32) -> F32:
        """Side information of each sample, float32 ``[n, side_count]``.

        Raises:
            CodecError: NaN or infinities decide it.
        """
        return self.rule.side(x)

    def quantize(self, x: F32, params: QuantParams, side: F32 | None = None) -> Symbols:
        """Features to symbols of the same shape (uint8 up to 8 bits, uint16 above).

        Args:
            x: float32 ``[n, C, ...]``.
            params: Of :meth:`fit`.
            side: Of :meth:`side` on ``x``; None where ``side_count`` is 0.

        Raises:
            CodecError: NaN in ``x``, or channels that do not fit ``params``.
        """
        return self.rule.symbols(x, params, side)

    def dequantize(self, symbols: Symbols, params: QuantParams, side: F32 | None = None) -> F32:
        """Symbols to reconstructed float32 features of the same shape.

        Raises:
            CodecError: Channels that do not fit ``params``.
        """
        return self.rule.features(symbols, params, side)

    def check(self, params: QuantParams) -> None:
        """Refuse parameters that :meth:`fit` cannot have found; they may come from a stranger.

        Raises:
            ValueError: A number of symbols, shape or value is wrong.
        """
        if not self.may_choose(params.count):
            raise ValueError(f"count: {params.count}, the options give {self.count}")
        self.rule.check(params)

    def may_choose(self, count: int) -> bool:
        """Whether fitting may give an alphabet of ``count`` symbols."""
        return count == self.count

    def graph_side(self, ops: Operators[T], x: T) -> T:
        """:meth:`side` in operators; only where ``side_count`` is not 0."""
        return self.rule.graph_side(ops, x)

    def graph_quantize(self, ops: Operators[T], x: T, params: QuantParams, side: T | None) -> T:
        """:meth:`quantize` in operators: whole numbers as float32 or int32."""
        return self.rule.graph_symbols(ops, x, params, side)

    def graph_dequantize(self, ops: Operators[T], symbols: T, params: QuantParams, side: T | None) -> T:
        """:meth:`dequantize` in operators, from int32 symbols."""
        return self.rule.graph_features(ops, symbols, params, side)

    @abstractmethod
    def _fit(self, rows: F32) -> QuantParams:
        """Parameters from ``[S, values]``."""


def rows_of(features: F32 | Sequence[F32], *, by_channel: bool) -> F32:
    """Calibration values as ``[S, values]``: one row, or one a channel where there are channels.

    Raises:
        CodecError: No finite values, or NaN among them.
    """
    arrays = [_checked(x) for x in ([features] if isinstance(features, np.ndarray) else features)]
    if not arrays:
        raise CodecError(NOTHING)
    has_rows = by_channel and arrays[0].ndim > 1
    return _joined([channel_rows(x) if has_rows else x.reshape(1, -1) for x in arrays])


def channel_rows(features: F32) -> F32:
    """``[n, C, ...]`` to ``[C, values]``: all values of a channel in one row."""
    return np.ascontiguousarray(np.moveaxis(features, 1, 0).reshape(features.shape[1], -1))


def some_values(rows: F32) -> F32:
    """Evenly spaced values of every row, at most about :data:`FIT_VALUES` together."""
    return rows[:, :: max(1, rows.size // FIT_VALUES)]


def with_middles(rule: Rule, params: QuantParams) -> QuantParams:
    """``params`` with the rule's bin middles as levels; none above 8 bits, where a formula gives them."""
    if params.bits > MAX_GRAPH_BITS:
        return params
    every = np.tile(np.arange(params.count, dtype=np.uint8), (1, len(params.lo), 1))
    return params.with_levels(rule.features(every, params, None)[0])


def with_centroids(rule: Rule, rows: F32, params: QuantParams) -> QuantParams:
    """``params`` with each level at the mean of its bin's values in ``rows``, where there are enough of them."""
    if params.bits > MAX_GRAPH_BITS:
        return params
    counts, sums = np.zeros((len(rows), params.count), np.int64), np.zeros((len(rows), params.count))
    for block in column_blocks(rows):
        symbols = rule.symbols(block[None], params, None)[0]
        for row, (values, chosen) in enumerate(zip(block, symbols, strict=True)):
            counts[row] += np.bincount(chosen, minlength=params.count)
            sums[row] = _continued_sums(sums[row], values, chosen)
    full = counts >= MIN_BIN_COUNT
    levels: F32 = params.levels.copy()
    levels[full] = (sums[full] / counts[full]).astype(np.float32)
    return params.with_levels(levels)


def _joined(rows: Sequence[F32]) -> F32:
    """``[S, values]`` of each array side by side."""
    return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)


def column_blocks(rows: F32) -> Iterator[F32]:
    """``[S, values]`` in blocks of about :data:`BLOCK_VALUES` values: what is computed from a block takes little."""
    width = max(1, BLOCK_VALUES // len(rows))
    for start in range(0, rows.shape[1], width):
        yield np.ascontiguousarray(rows[:, start : start + width])


def spreads(rows: F32) -> F64:
    """Standard deviation of each row of ``[S, values]``, float64; no temporary array is larger than a block."""
    means = rows.mean(1, dtype=np.float64)
    squares = np.zeros(len(rows))
    for block in column_blocks(rows):
        squares += np.square(block - means[:, None]).sum(1)
    return np.asarray(np.sqrt(squares / rows.shape[1]))


def _continued_sums(sums: F64, values: F32, chosen: Symbols) -> F64:
    """``sums`` of every symbol with those of more values, added in their order: blocks change no bit of them."""
    every = np.concatenate([np.arange(len(sums), dtype=np.intp), chosen])
    return np.asarray(np.bincount(every, weights=np.concatenate([sums, values]), minlength=len(sums)))


def _checked(features: F32) -> F32:
    if features.size == 0:
        raise CodecError(NOTHING)
    refuse_nan(features)
    if not np.isfinite(features).all():
        raise CodecError(
            "calibration features hold infinities; choose a cut whose tensors are finite (a mask may hold them), or "
            "look for an overflow in the head."
        )
    return np.ascontiguousarray(features, dtype=np.float32)
