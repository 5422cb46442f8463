"""Quantiles of numbers that are counted and not kept."""

from __future__ import annotations

import numpy as np

from splitc.types import F64

LOWEST, HIGHEST = -120, 120
"""Exponents of two that are told apart."""
STEPS = 16
"""Bins between a number and its double: a quantile is at most 4.4 % too large."""


class LogHistogram:
    """Counts of numbers >= 0 by size; its memory does not grow."""

    def __init__(self) -> None:
        self._counts = np.zeros((HIGHEST - LOWEST) * STEPS + 2, np.int64)  # zero, the bins, and what lies beyond
        self.largest = 0.0

    def add(self, numbers: F64) -> None:
        """Count numbers of any shape; finite and not negative."""
        flat = numbers.ravel()
        if not flat.size:
            return
        self.largest = max(self.largest, float(flat.max()))
        positive = flat[flat > 0]
        bins = np.clip(np.ceil((np.log2(positive) - LOWEST) * STEPS), 1, len(self._counts) - 1).astype(np.int64)
        self._counts[0] += flat.size - positive.size
        self._counts += np.bincount(bins, minlength=len(self._counts))

    def quantile(self, share: float) -> float:
        """Least bin edge that at least ``share`` of the numbers do not exceed; never above the largest number."""
        total = int(self._counts.sum())
        if not total:
            return 0.0
        place = int(np.searchsorted(np.cumsum(self._counts), max(share * total, 1)))
        if place in (0, len(self._counts) - 1):
            return self.largest if place else 0.0
        return min(float(2.0 ** (LOWEST + place / STEPS)), self.largest)
