"""What a quantizer is, and the parameters it learns.

The same quantizer lives here in NumPy and in ``splitc.passes.insert_codec`` as standard ONNX operators, and both give
the same symbols. That is why everything that decides a symbol is a float32 value stored in :class:`QuantParams`, and
every operation on it is one that IEEE 754 defines exactly (subtract, multiply, round half to even, compare); a
logarithm only ever proposes a symbol, and stored thresholds decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from splitc.errors import CodecError
from splitc.registry import Component
from splitc.types import F32, Array, Symbols

MAX_GRAPH_BITS = 8
"""A quantizer inside a graph has a UINT8 wire."""
MIN_BIN_COUNT = 4
"""A bin with fewer calibration values keeps its midpoint: their mean says little."""


@dataclass(frozen=True)
class QuantParams:
    """What a quantizer learned. ``S`` is 1 (scope "tensor") or the number of channels (scope "channel").

    Attributes:
        lo: Lower end of the range, float32 ``[S]``.
        scale: float32 ``[S]``. Uniform: symbols per unit, ``1 / step``. Log: symbols per bit of ``log2(x - lo + 1)``.
        thresholds: float32 ``[S, 2**bits - 1]``, ascending: a value is symbol ``q`` when exactly ``q`` thresholds are
            at or below it. ``[S, 0]`` where ``round((x - lo) * scale)`` itself decides.
        levels: Reconstruction points, float32 ``[S, 2**bits]``; ``[S, 0]`` above 8 bits, where a formula gives them.
    """

    lo: F32
    scale: F32
    thresholds: F32
    levels: F32


class Quantizer(Component):
    """Options of a scalar quantizer.

    Features have the channel on axis 1 (rank 2 and above); rank 1 is one channel.
    """

    wire_id: ClassVar[int]
    """FORMAT.md, section "Quantizers"; never reused."""
    curve: ClassVar[Literal["linear", "log"]]
    """Of ``x - lo``: what ``scale`` multiplies to propose a symbol."""

    bits: int = Field(4, ge=1, le=16, description="bits a symbol")
    scope: Literal["tensor", "channel"] = Field("channel", description="one range for the tensor, or one a channel")
    reconstruction: Literal["centroid", "midpoint"] = Field(
        "centroid", description="decode to the calibrated mean of a bin, or to its middle"
    )

    @property
    def count(self) -> int:
        """Number of symbols, ``2**bits``."""
        return 1 << self.bits

    @property
    def symbol_dtype(self) -> type[np.uint8] | type[np.uint16]:
        """uint8 up to 8 bits, uint16 above."""
        return np.uint8 if self.bits <= MAX_GRAPH_BITS else np.uint16

    def fit(self, features: F32) -> QuantParams:
        """Learn the parameters.

        Args:
            features: Calibration features, float32 ``[n, C, ...]``.

        Raises:
            CodecError: No finite values, or NaN among them.
        """
        rows = self._rows(_checked(features))
        params = self._fit_range(rows)
        return self._with_levels(rows, params)

    @property
    def side_count(self) -> int:
        """float32 values that each sample carries beside its symbols; 0 where calibration fixed everything."""
        return 0

    def side(self, x: F32) -> F32:
        """Side information of each sample, float32 ``[n, side_count]``."""
        return np.empty((len(x), self.side_count), np.float32)

    def quantize(self, x: F32, params: QuantParams, side: F32 | None = None) -> Symbols:
        """Features to symbols of the same shape (uint8 up to 8 bits, uint16 above).

        Args:
            x: float32 ``[n, C, ...]``.
            params: Of :meth:`fit`.
            side: Of :meth:`side` on ``x``; None where ``side_count`` is 0.

        Raises:
            CodecError: NaN in ``x``, or channels that do not fit ``params``.
        """
        raise NotImplementedError

    def dequantize(self, symbols: Symbols, params: QuantParams, side: F32 | None = None) -> F32:
        """Symbols to reconstructed float32 features of the same shape."""
        if params.levels.shape[1] == 0:
            return self._dequantize_formula(symbols, params)
        return _lookup(params.levels, symbols)

    def _fit_range(self, rows: F32) -> QuantParams:
        """Parameters without levels from ``[S, values]``."""
        raise NotImplementedError

    def _dequantize_formula(self, symbols: Symbols, params: QuantParams) -> F32:
        """Bin middles by formula; any number of bits."""
        raise NotImplementedError

    def _rows(self, features: F32) -> F32:
        if self.scope == "tensor" or features.ndim < 2:
            return features.reshape(1, -1)
        return channel_rows(features)

    def _with_levels(self, rows: F32, params: QuantParams) -> QuantParams:
        if self.bits > MAX_GRAPH_BITS:
            return params
        every = np.tile(np.arange(self.count, dtype=np.uint8), (1, len(rows), 1))
        levels = self._dequantize_formula(every, params)[0]
        if self.reconstruction == "centroid":
            symbols = self.quantize(rows[None], params, self.side(rows[None]))[0]
            levels = _centroids(rows, symbols, levels)
        return QuantParams(params.lo, params.scale, params.thresholds, levels)


def channel_rows(features: F32) -> F32:
    """``[n, C, ...]`` to ``[C, values]``: all values of a channel in one row."""
    return np.ascontiguousarray(np.moveaxis(features, 1, 0).reshape(features.shape[1], -1))


def against_channels(row_values: F32, x: Array) -> F32:
    """Reshape ``[S]`` so that it broadcasts over axis 1 of ``x``.

    Raises:
        CodecError: ``x`` has another number of channels.
    """
    if len(row_values) == 1:
        return row_values.reshape(())
    if x.ndim < 2 or x.shape[1] != len(row_values):
        raise CodecError(
            f"feature of shape {list(x.shape)}: the codec was fitted on {len(row_values)} channels (axis 1)."
        )
    return row_values.reshape(1, -1, *[1] * (x.ndim - 2))


def refuse_nan(x: F32) -> None:
    """Raises: CodecError: ``x`` holds a NaN; it has no symbol."""
    if np.isnan(np.min(x, initial=np.float32(np.inf))):
        raise CodecError("feature holds NaN, which has no symbol; look at the head's input for NaN or overflow.")


def _checked(features: F32) -> F32:
    if features.size == 0:
        raise CodecError("no calibration features: a quantizer cannot be fitted on nothing.")
    refuse_nan(features)
    if not np.isfinite(features).all():
        raise CodecError("calibration features hold infinities; look at the head's input for overflow.")
    return np.ascontiguousarray(features, dtype=np.float32)


def _centroids(rows: F32, symbols: Symbols, middles: F32) -> F32:
    """Mean of the values in each bin, ``[S, 2**bits]``; the middle where a bin is nearly empty."""
    levels: F32 = middles.copy()
    for row, (values, chosen) in enumerate(zip(rows, symbols, strict=True)):
        counts = np.bincount(chosen, minlength=middles.shape[1])
        sums = np.bincount(chosen, weights=values, minlength=middles.shape[1])
        full = counts >= MIN_BIN_COUNT
        levels[row, full] = (sums[full] / counts[full]).astype(np.float32)
    return levels


def _lookup(levels: F32, symbols: Symbols) -> F32:
    if len(levels) == 1:
        shared: F32 = np.take(levels[0], symbols)
        return shared
    if symbols.ndim < 2 or symbols.shape[1] != len(levels):
        raise CodecError(f"symbols of shape {list(symbols.shape)}: the codec has {len(levels)} channels (axis 1).")
    channel = np.arange(len(levels)).reshape(1, -1, *[1] * (symbols.ndim - 2))
    restored: F32 = levels[channel, symbols]
    return restored
