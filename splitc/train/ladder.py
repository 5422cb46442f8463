"""Which steps a pair is trained at, and which of them moves answers as far as is wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitc.train.measure import MeasuredDesign
from splitc.types import F32, F64

RATES = (1.0, 0.2)
"""Bytes of the ladder's finest and coarsest step, as shares of the best training-free codec's."""
SYMBOLS = 240
"""Levels that the finest step may need: a graph's symbols are bytes."""
HALVINGS = 30
"""Of the interval in which a step is looked for."""
WIDEST = 64.0
"""Factor by which a step may lie beside the code's spread."""


def order0_bytes(codes: F32, step: float) -> float:
    """Bytes a sample at the entropies of each channel's symbols.

    Args:
        codes: float32 ``[n, c, h, w]``.
        step: Distance of levels.
    """
    rows = np.rint(np.moveaxis(codes, 1, 0).reshape(codes.shape[1], -1) / step).astype(np.int64)
    bits = 0.0
    for row in rows:
        counts = np.unique(row, return_counts=True)[1]
        bits += float(-(counts * np.log2(counts / row.size)).sum())
    return bits / len(codes) / 8


def step_of_bytes(codes: F32, wanted: float) -> float:
    """The step at which :func:`order0_bytes` gives ``wanted`` bytes."""
    spread = float(codes.std(dtype=np.float64)) or 1.0
    low, high = np.log(spread / WIDEST), np.log(spread * WIDEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if order0_bytes(codes, float(np.exp(middle))) > wanted else (low, middle)
    return float(np.exp((low + high) / 2))


def ladder_of(codes: F32, most_bytes: float) -> tuple[float, float]:
    """Finest and coarsest step that a pair is trained at.

    Args:
        codes: float32 ``[n, c, h, w]``.
        most_bytes: Of a sample, what the training-free codec takes.
    """
    finest, coarsest = (step_of_bytes(codes, share * most_bytes) for share in RATES)
    finest = max(finest, float(codes.max() - codes.min()) / SYMBOLS)
    return finest, max(coarsest, finest)


def steps_between(steps: tuple[float, float], count: int) -> list[float]:
    """So many steps from the finest to the coarsest, evenly in their logarithms."""
    return [float(one) for one in np.geomspace(steps[0], steps[1], count)]


def size_at(sizes: Sequence[float], points: Sequence[MeasuredDesign], divergence: float) -> float | None:
    """The step at which a ladder's divergence is ``divergence``, between two of its points; the coarsest where all lie
    below it, None where all lie above.

    Args:
        sizes: Steps, ascending.
        points: What was measured at each.
        divergence: Above 0.
    """
    logs: F64 = np.log(np.maximum([one.divergence for one in points], 1e-12))
    logs = np.minimum.accumulate(logs[::-1])[
        ::-1
    ]  # a finer step that clips, or by chance, is no better than a coarser one
    target = np.log(divergence)
    if target < logs[0]:
        return None
    if target >= logs[-1]:
        return sizes[-1]
    right = int(np.searchsorted(logs, target, side="right"))
    share = (target - logs[right - 1]) / (logs[right] - logs[right - 1])
    return float(np.exp((1 - share) * np.log(sizes[right - 1]) + share * np.log(sizes[right])))
