"""Logarithmic levels above a minimum: fine near zero, coarse far away."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from splitc.codec.quantizers.base import MAX_GRAPH_BITS, Quantizer, QuantParams, against_channels, refuse_nan
from splitc.types import F32, F64, Symbols


class Log(Quantizer):
    """``q = rint(log2(x - lo + 1) / log2(hi - lo + 1) * (2**bits - 1))`` with ``lo``, ``hi`` fixed by calibration.

    Source: Chen et al. 2019, eq. 5 and 6, with the extremes taken from calibration as Xing et al. 2020 do ("implicit in
    encoder and decoder", no side information); values beyond them clip.

    Up to 8 bits stored float32 thresholds decide, because no two libraries agree on the last bit of a logarithm.
    """

    name: ClassVar[str] = "log"
    wire_id: ClassVar[int] = 2
    curve: ClassVar[Literal["linear", "log"]] = "log"

    def quantize(self, x: F32, params: QuantParams, side: F32 | None = None) -> Symbols:
        refuse_nan(x)
        if params.thresholds.shape[1]:
            return _count_thresholds(x, params.thresholds)
        lo, scale = (np.float64(against_channels(v, x)) for v in (params.lo, params.scale))
        exact = np.log2(np.maximum(x - lo, 0) + 1) * scale
        symbols: Symbols = np.clip(np.rint(exact), 0, self.count - 1).astype(np.uint16)
        return symbols

    def _fit_range(self, rows: F32) -> QuantParams:
        lo, hi = rows.min(1).astype(np.float64), rows.max(1).astype(np.float64)
        span = np.where(hi > lo, np.log2(hi - lo + 1), 1.0)
        scale = (self.count - 1) / np.maximum(span, 1e-30)
        nothing = np.empty((len(rows), 0), np.float32)
        thresholds = _thresholds(lo, scale, self.count) if self.bits <= MAX_GRAPH_BITS else nothing
        return QuantParams(lo.astype(np.float32), scale.astype(np.float32), thresholds, nothing)

    def _dequantize_formula(self, symbols: Symbols, params: QuantParams) -> F32:
        x = symbols.astype(np.float64)
        lo, scale = (np.float64(against_channels(v, x)) for v in (params.lo, params.scale))
        restored: F32 = (np.exp2(x / scale) - 1 + lo).astype(np.float32)
        return restored


def _thresholds(lo: F64, scale: F64, count: int) -> F32:
    """Least float32 value of each symbol above 0, ``[S, count - 1]``.

    Halves round to even: the value at ``q - 0.5`` is symbol ``q`` when ``q`` is even; else the next value up is.
    """
    q = np.arange(1, count, dtype=np.float64)
    exact = np.exp2((q - 0.5) / scale[:, None]) - 1 + lo[:, None]
    rounded = exact.astype(np.float32)
    above = np.nextafter(rounded, np.float32(np.inf))
    odd_tie = (rounded == exact) & (q % 2 == 1)
    return np.where((rounded < exact) | odd_tie, above, rounded).astype(np.float32)


def _count_thresholds(x: F32, thresholds: F32) -> Symbols:
    if len(thresholds) == 1:
        return np.searchsorted(thresholds[0], x, side="right").astype(np.uint8)
    against_channels(thresholds[:, 0], x)
    symbols = np.empty(x.shape, np.uint8)
    for channel, edges in enumerate(thresholds):
        symbols[:, channel] = np.searchsorted(edges, x[:, channel], side="right")
    return symbols
