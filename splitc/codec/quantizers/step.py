"""A step fixed against the feature's spread, and as many symbols as the values then need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from splitc.codec.quantizers.base import (
    MIN_BIN_COUNT,
    FixedScope,
    Quantizer,
    column_blocks,
    rows_of,
    some_values,
    spreads,
    with_centroids,
    with_middles,
)
from splitc.codec.quantizers.mean_error import MeanError
from splitc.codec.quantizers.params import MAX_GRAPH_BITS, QuantParams
from splitc.codec.quantizers.rules import Affine, Lattice, Linear, Rule
from splitc.types import F32, F64, Array

MARGIN = 1 / 8
"""Symbols wanted beyond the calibrated range, as a share of it; a wider symbol is taken only for want of them."""

CLIPPED = 1e-4
"""Share of a plane's values that an alphabet may clip rather than take a wider step."""


class Step(Quantizer):
    """Round to whole multiples of a step, never clipping what calibration saw while ``bits`` allow.

    The step is ``step`` standard deviations of the feature (of the tensor, or of each channel), so one value of the
    option means one coarseness whatever the feature's scale. Zero is a level of its own, and exact, wherever the range
    holds it. The rest is the entropy coder's: rare symbols cost many bits and common ones few. Rounding is to the
    nearest, decoding to the middle: a dead zone, and means of bins as well, shrink every feature towards zero, which
    the network feels more than the bits or the squared error it saves (tests/bench/codec.py).

    The alphabet is the least ``2**b`` symbols, ``b <= bits``, that cover the calibration features and a margin. What
    lies outside clips. Channels share the alphabet: each has zero (or, where its values are all on one side of zero,
    its mean) at the same symbol.

    Coarse steps move the mean of a channel whose values are mostly on one side of their bins, and a constant shift goes
    through every convolution. ``reconstruction = "unbiased"`` decodes to the middles less each channel's calibrated
    mean error, which costs no bit. ``offset`` moves each channel's levels towards the mean of its middle bin: where
    most values fall into one bin, half the way saves squared error and bias alike.

    Source: uniform reconstruction with unbounded alphabet is the high-rate optimum of Gish & Pierce 1968.
    """

    name: ClassVar[str] = "step"
    wire_id: ClassVar[int] = 3

    bits: int = Field(MAX_GRAPH_BITS, ge=1, le=16, description="most bits a symbol; fewer where fewer do")
    scope: FixedScope = Field("tensor", description="one step for the tensor, or one a channel")
    reconstruction: Literal["centroid", "midpoint", "unbiased"] = Field(
        "midpoint",
        description="decode to the middle of a bin, to its calibrated mean (zero stays zero), or to the middle less "
        "the channel's mean error",
    )
    step: float = Field(0.5, ge=1 / 1024, le=16, description="distance of levels, in standard deviations")
    offset: float | None = Field(
        None,
        ge=0,
        le=1,
        description='reconstruction = "unbiased": how far each channel\'s levels move to the mean of its middle bin; '
        "absent: they stay",
    )

    steps: Literal["even", "sensitivity"] | None = Field(
        None,
        description='reconstruction = "unbiased": "even" or absent: `step` everywhere; "sensitivity": of the same '
        "divergence, but each plane's by how much the answers feel its noise, measured on the tail",
    )

    @model_validator(mode="before")
    @classmethod
    def _implied(cls, given: Any) -> Any:
        """What only unbiased levels have asks for them."""
        if not isinstance(given, dict) or not any(given.get(name) for name in ("offset", "steps")):
            return given
        return {"reconstruction": "unbiased"} | given

    @model_validator(mode="after")
    def _goes_with_unbiased(self) -> Step:
        for name in ("offset", "steps"):
            if getattr(self, name) and not self.takes_steps:
                raise ValueError(f'{name} goes with reconstruction = "unbiased"')
        return self

    @property
    def takes_steps(self) -> bool:
        return self.reconstruction == "unbiased"

    @property
    def rule(self) -> Linear:
        return Affine() if self.takes_steps else Lattice()

    def may_choose(self, count: int) -> bool:
        return count in (1 << bits for bits in range(1, self.bits + 1))

    def fit(self, features: F32 | Sequence[F32]) -> QuantParams:
        if not self.takes_steps:
            return super().fit(features)
        rows = rows_of(features, by_channel=True)
        return self.fit_steps(rows, self.even_steps(rows))

    def even_steps(self, rows: F32) -> F64:
        """The step of every channel that the option ``step`` stands for, ``[C]``.

        Args:
            rows: Calibration values, float32 ``[C, values]``, finite.
        """
        spread_of = rows if self.scope == "channel" else rows.reshape(1, -1)
        return np.broadcast_to(_steps(spread_of, self.step), len(rows))

    def least_steps(self, rows: F32, *, holds_zero: bool = True) -> F64:
        """The finest steps, ``[C]``, at which ``bits`` hold all but :data:`CLIPPED` of a row; see :meth:`fit_steps`."""
        count = 1 << self.bits
        is_positive = holds_zero and rows.min() >= 0
        centre = 0.0 if holds_zero else rows.mean(1, dtype=np.float64)[:, None]
        reach = np.quantile(np.abs(some_values(rows) - centre), 1 - CLIPPED, axis=1)
        return np.asarray(reach / max(count - 2 if is_positive else count // 2 - 1, 1), np.float64)

    def fit_steps(self, rows: F32, step: F64, *, holds_zero: bool = True) -> QuantParams:
        """Unbiased levels at given distances.

        Args:
            rows: Calibration values of every plane, float32 ``[C, values]``, finite.
            step: Of every plane, ``[C]``.
            holds_zero: Symbols are counted from zero in planes that hold it; else from the mean everywhere.
        """
        centre = _centres(rows, step) if holds_zero else np.rint(rows.mean(1, dtype=np.float64) / step)
        low, bits = _alphabet(rows, step, centre, self.bits)
        zero = centre * step + (self.offset or 0.0) * _middle_bin_means(rows, step, centre)
        lo = (zero + low * step).astype(np.float32)
        params = QuantParams.of(1 << bits, lo, (1 / step).astype(np.float32)).with_gain()
        error = MeanError(len(rows))
        for block in column_blocks(rows):
            symbols = self.rule.symbols(block[None], params, None)
            error.add(block[None], self.rule.features(symbols, params, None))
        return params.with_gain(error.corrected(params.bias))

    def _fit(self, rows: F32) -> QuantParams:
        step = _steps(rows, self.step)
        centre = _centres(rows, step)
        low, bits = _alphabet(rows, step, centre, self.bits)
        lo = ((centre + low) * step).astype(np.float32)
        params = with_middles(self.rule, QuantParams.of(1 << bits, lo, (1 / step).astype(np.float32)))
        if self.reconstruction == "midpoint":
            return _with_constants(self.rule, rows, params)
        return _with_zero(with_centroids(self.rule, rows, params), centre == 0, -low)


def _steps(rows: F32, share: float) -> F64:
    """Step of each row as float32 values, float64 ``[S]``; a constant row takes the tensor's, or its own size."""
    spread = np.where(rows.max(1) > rows.min(1), spreads(rows), 0.0)
    everything = spreads(rows.reshape(1, -1))[0] if rows.max() > rows.min() else 0.0
    step = np.where(spread > 0, spread, everything) * share
    step = np.where(step > 0, step, np.abs(rows[:, 0], dtype=np.float64))
    step[step == 0] = 1.0
    limits = np.finfo(np.float32)
    return np.clip(step, limits.tiny, limits.max / 2).astype(np.float32).astype(np.float64)


def _centres(rows: F32, step: F64) -> F64:
    """Multiple of the step at which each row's symbols are counted from: zero, or near the mean far away from it."""
    holds_zero = (rows.min(1) <= step / 2) & (rows.max(1) >= -step / 2)
    return np.where(holds_zero, 0.0, np.rint(rows.mean(1, dtype=np.float64) / step))


def _middle_bin_means(rows: F32, step: F64, centre: F64) -> F64:
    """Mean of the values that round to each row's centre, counted from there, float64 ``[S]``; 0 where there are none.

    Rounding to a mean of a few values would be noise: a bin with less than :data:`MIN_BIN_COUNT` has none.
    """
    counts, sums = np.zeros(len(rows)), np.zeros(len(rows))
    for block in column_blocks(rows):
        distance = block - (centre * step)[:, None]
        is_near = np.abs(distance) <= step[:, None] / 2
        counts += is_near.sum(1)
        sums += np.where(is_near, distance, 0.0).sum(1)
    return np.where(counts >= MIN_BIN_COUNT, sums / np.maximum(counts, 1), 0.0)


def _alphabet(rows: F32, step: F64, centre: F64, most_bits: int) -> tuple[int, int]:
    """First symbol's number, counted from each row's centre, and the width of the alphabet.

    Features that are never negative get no symbols below zero.
    """
    first = int((np.rint(rows.min(1) / step) - centre).min())
    last = int((np.rint(rows.max(1) / step) - centre).max())
    span = last - first + 1
    wanted = span + int(np.ceil(span * MARGIN))
    bits = min(most_bits, max(1, (wanted - 1).bit_length()))
    spare = (1 << bits) - span
    if spare < 0:
        return _least_clipped(np.rint(some_values(rows) / step[:, None]) - centre[:, None], 1 << bits), bits
    return (first if first == 0 and rows.min() >= 0 else first - spare // 2), bits


def _least_clipped(numbers: F64, count: int) -> int:
    """First of the ``count`` consecutive numbers that clip the others with the least squared error."""
    values, counts = np.unique(numbers, return_counts=True)
    starts = np.append(values[values < values[-1] - count + 1], values[-1] - count + 1)
    below = _clip_error(values, counts, starts)
    above = _clip_error(-values[::-1], counts[::-1], -(starts + count - 1)[::-1])[::-1]
    return int(starts[np.argmin(below + above)])


def _clip_error(values: F64, counts: Array, starts: F64) -> F64:
    """Squared error of raising what is below each of the ascending ``starts`` to it, by prefix sums."""
    sums = [np.concatenate([[0.0], np.cumsum(counts * values**power)]) for power in (0, 1, 2)]
    n, total, squares = (each[np.searchsorted(values, starts)] for each in sums)
    return np.asarray(starts**2 * n - 2 * starts * total + squares)


def _with_constants(rule: Rule, rows: F32, params: QuantParams) -> QuantParams:
    """``params``, with means of bins as levels in rows of one value: they are that value, to the last bit."""
    is_constant = rows.max(1, keepdims=True) == rows.min(1, keepdims=True)
    if not is_constant.any():
        return params
    return params.with_levels(np.where(is_constant, with_centroids(rule, rows, params).levels, params.levels))


def _with_zero(params: QuantParams, holds_zero: Array, zero: int) -> QuantParams:
    """``params`` with an exact zero at symbol ``zero`` of the rows that have it there."""
    if not 0 <= zero < params.levels.shape[1]:
        return params
    levels = params.levels.copy()
    levels[holds_zero, zero] = 0.0
    return params.with_levels(levels)
