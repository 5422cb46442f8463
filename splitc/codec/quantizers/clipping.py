"""Clip ranges: what part of a feature's range gets the levels, chosen on calibration values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splitc.types import F32, F64, Array

SHARES = np.linspace(0.05, 1.0, 39)
"""Shares of the full range tried as clip range. Up to 4 bits the choice matters; above, the widest usually wins."""
HISTOGRAM_BINS = 2048
"""Of the search by divergence; from as many levels on it cannot tell two ranges apart and takes the widest."""
_FLOOR = 1e-9
"""Probability that stands for none at all."""

Range = tuple[F64, F64]
"""Lower and upper end for each row, float64 ``[S]``."""


def widest(rows: F32) -> Range:
    """The extremes of ``[S, values]``."""
    return rows.min(1).astype(np.float64), rows.max(1).astype(np.float64)


def percentile_range(rows: F32, percentile: float) -> Range:
    """From the ``100 - percentile`` to the ``percentile`` percentile; the minimum of features that have no sign."""
    lo, hi = np.percentile(rows, [100 - percentile, percentile], axis=1)
    low = rows.min(1).astype(np.float64)
    return np.where(low >= 0, low, lo), np.asarray(hi, np.float64)


def least_error_range(rows: F32, count: int) -> Range:
    """The shrunken copy of the full range with the least squared error after rounding to ``count`` even levels."""
    return _best_share(rows, lambda lo, hi: _squared_error(rows, lo, hi, count))


def least_divergence_range(rows: F32, count: int) -> Range:
    """The shrunken copy of the full range whose quantized histogram diverges least from the clipped one.

    Source: entropy calibration (Migacz 2017), here for ranges that need not be symmetric.
    """
    if count >= HISTOGRAM_BINS:
        return widest(rows)
    low, high = widest(rows)
    step = np.where(high > low, high - low, 1.0)[:, None] / HISTOGRAM_BINS
    bins = np.minimum((rows - low[:, None]) / step, HISTOGRAM_BINS - 1).astype(np.int64)
    counts = _row_sums(bins, np.ones(1), HISTOGRAM_BINS)
    middles = low[:, None] + (np.arange(HISTOGRAM_BINS) + 0.5) * step
    return _best_share(rows, lambda lo, hi: _divergence(counts, middles, lo, hi, count))


def _best_share(rows: F32, cost: Callable[[F64, F64], F64]) -> Range:
    """The range of least cost for each row, among shrunken copies of the full one around the mean.

    Features that are never negative (after ReLU) shrink towards zero, which they keep.
    """
    low, high = widest(rows)
    centre = np.where(low >= 0, 0.0, rows.mean(1, dtype=np.float64))
    best = np.full(len(rows), np.inf)
    best_lo, best_hi = low, high
    for share in SHARES:
        lo, hi = centre + share * (low - centre), centre + share * (high - centre)
        now = cost(lo, hi)
        better = now < best
        best = np.where(better, now, best)
        best_lo, best_hi = np.where(better, lo, best_lo), np.where(better, hi, best_hi)
    return best_lo, best_hi


def _squared_error(rows: F32, lo: F64, hi: F64, count: int) -> F64:
    step = (np.maximum(hi - lo, 1e-30) / (count - 1)).astype(np.float32)[:, None]
    base = lo.astype(np.float32)[:, None]
    with np.errstate(over="ignore", invalid="ignore"):  # an error too large for float32 is never the least
        rounded = np.clip(np.rint((rows - base) / step), 0, count - 1) * step + base
        error: F64 = np.square(rounded - rows).mean(1, dtype=np.float64)
    return error


def _divergence(counts: F64, middles: F64, lo: F64, hi: F64, count: int) -> F64:
    """Kullback-Leibler divergence of the histogram quantized inside the range from the one clipped to it.

    Args:
        counts: Histogram of each row, ``[S, bins]``.
        middles: Its bins' middles, ``[S, bins]``.
        lo, hi: The range, ``[S]``.
        count: Levels in the range.
    """
    step = np.maximum(hi - lo, 1e-30)[:, None] / (count - 1)
    level = np.clip(np.rint((middles - lo[:, None]) / step), 0, count - 1).astype(np.int64)
    inside = (middles >= lo[:, None] - step / 2) & (middles <= hi[:, None] + step / 2)
    kept = np.where(inside, counts, 0.0)
    clipped = kept + _outside_at_ends(counts, inside)
    filled = (clipped > 0).astype(np.float64)
    mass, bins = _row_sums(level, kept, count), _row_sums(level, filled, count)
    spread = np.take_along_axis(mass / np.maximum(bins, 1), level, axis=1) * filled
    p, q = _normal(clipped), np.maximum(_normal(spread), _FLOOR)
    return np.asarray((p * np.log(np.maximum(p, _FLOOR) / q)).sum(1))


def _outside_at_ends(counts: F64, inside: Array) -> F64:
    """What lies outside the range, put into its first and last bin."""
    rows = np.arange(len(counts))
    first, last = inside.argmax(1), inside.shape[1] - 1 - inside[:, ::-1].argmax(1)
    place = np.arange(counts.shape[1])
    ends = np.zeros_like(counts)
    ends[rows, first] += np.where(place < first[:, None], counts, 0.0).sum(1)
    ends[rows, last] += np.where(place > last[:, None], counts, 0.0).sum(1)
    return ends


def _row_sums(index: Array, weights: F64, count: int) -> F64:
    """``sums[row, k]`` of the weights where ``index`` is ``k``."""
    place = index + np.arange(len(index))[:, None] * count
    every = np.broadcast_to(weights, index.shape).ravel()
    sums = np.bincount(place.ravel(), every, len(index) * count)
    return np.asarray(sums.reshape(len(index), count), np.float64)


def _normal(mass: F64) -> F64:
    return np.asarray(mass / np.maximum(mass.sum(1, keepdims=True), 1e-300), np.float64)
