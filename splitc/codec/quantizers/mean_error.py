"""The calibrated mean error of every channel, and levels that are without it."""

from __future__ import annotations

import numpy as np

from splitc.types import F32, F64


class MeanError:
    """Sums over calibration values, and what they say to take off.

    Args:
        rows: 1, or the number of channels.
    """

    def __init__(self, rows: int) -> None:
        self._count = 0
        self._sums, self._squares = np.zeros(rows), np.zeros(rows)

    def add(self, x: F32, decoded: F32) -> None:
        """Values ``[n, C, ...]`` and what was decoded for them."""
        error = np.moveaxis(x - decoded, 1, 0) if x.ndim > 1 else x - decoded
        by_row = error.reshape(len(self._sums), -1)
        self._count += by_row.shape[1]
        self._sums += by_row.sum(1, dtype=np.float64)
        self._squares += np.square(by_row, dtype=np.float64).sum(1)

    def corrected(self, bias: F32) -> F32:
        """``bias`` moved by each row's mean error, float32 of its shape.

        A mean that could be chance is taken off in part: of a mean ``m`` with standard error ``s``, ``1 - (s / m)**2``
        of it, and nothing below ``s`` (the positive part of James and Stein).
        """
        if not self._count:
            return bias
        mean: F64 = self._sums / self._count
        variance = np.maximum(self._squares / self._count - mean**2, 0) / self._count
        square = np.maximum(mean**2, np.finfo(np.float64).tiny)
        moved: F32 = (bias + mean * np.maximum(0.0, 1 - variance / square)).astype(np.float32)
        return moved
