"""Evenly spaced levels in a calibrated clip range."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from splitc.codec.quantizers.base import Quantizer, QuantParams, against_channels, refuse_nan
from splitc.types import F32, F64, Symbols

SHARES = np.linspace(0.05, 1.0, 39)
"""Shares of the full range tried as clip range. Up to 4 bits the choice matters; above, the widest usually wins."""
FIT_VALUES = 1 << 21
"""Values that the search looks at, all rows together; more do not change the choice."""


class Uniform(Quantizer):
    """Clip to a range, then round to ``2**bits`` even levels: ``q = clip(rint((x - lo) * scale), 0, 2**bits - 1)``.

    The range is the one of least squared error on the calibration features, among shrunken copies of their full range;
    features that are never negative (after ReLU) keep their zero.

    Source: clip, then quantize, is Cohen, Choi & Bajic 2021; the search over ranges is ours.
    """

    name: ClassVar[str] = "uniform"
    wire_id: ClassVar[int] = 1
    curve: ClassVar[Literal["linear", "log"]] = "linear"

    def quantize(self, x: F32, params: QuantParams, side: F32 | None = None) -> Symbols:
        refuse_nan(x)
        scaled = (x - against_channels(params.lo, x)) * against_channels(params.scale, x)
        symbols: Symbols = np.clip(np.rint(scaled), 0, self.count - 1).astype(self.symbol_dtype)
        return symbols

    def _fit_range(self, rows: F32) -> QuantParams:
        sample = rows[:, :: max(1, rows.size // FIT_VALUES)]
        lo, hi = _best_range(sample, rows.min(1), rows.max(1), self.count)
        step = np.maximum((hi - lo) / (self.count - 1), np.finfo(np.float32).tiny)
        step[hi <= lo] = 1.0
        nothing = np.empty((len(rows), 0), np.float32)
        return QuantParams(lo.astype(np.float32), (1 / step).astype(np.float32), nothing, nothing)

    def _dequantize_formula(self, symbols: Symbols, params: QuantParams) -> F32:
        x = symbols.astype(np.float64)
        lo, scale = (np.float64(against_channels(v, x)) for v in (params.lo, params.scale))
        restored: F32 = (x / scale + lo).astype(np.float32)
        return restored


def _best_range(rows: F32, low: F32, high: F32, count: int) -> tuple[F64, F64]:
    """Clip range of least squared error for each row; float64 ``[S]`` each."""
    centre = np.where(low >= 0, np.minimum(low, 0), rows.mean(1, dtype=np.float64))
    best = np.full(len(rows), np.inf)
    best_lo, best_hi = low.astype(np.float64), high.astype(np.float64)
    for share in SHARES:
        lo, hi = centre + share * (low - centre), centre + share * (high - centre)
        error = _squared_error(rows, lo, hi, count)
        better = error < best
        best, best_lo, best_hi = (
            np.where(better, error, best),
            np.where(better, lo, best_lo),
            np.where(better, hi, best_hi),
        )
    return best_lo, best_hi


def _squared_error(rows: F32, lo: F64, hi: F64, count: int) -> F64:
    step = (np.maximum(hi - lo, 1e-30) / (count - 1)).astype(np.float32)[:, None]
    base = lo.astype(np.float32)[:, None]
    with np.errstate(over="ignore", invalid="ignore"):  # an error too large for float32 is never the least
        rounded = np.clip(np.rint((rows - base) / step), 0, count - 1) * step + base
        error: F64 = np.square(rounded - rows).mean(1, dtype=np.float64)
    return error
