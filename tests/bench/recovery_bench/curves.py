"""Bytes of designs at equal agreement, and at equal divergence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from splitc.train import MeasuredDesign

Measure = Callable[[MeasuredDesign], float]


def by_fidelity(one: MeasuredDesign) -> float:
    """What a curve is read at: agreement, as a loss that grows."""
    return 1 - one.fidelity


def by_divergence(one: MeasuredDesign) -> float:
    """What a curve is read at: the logarithm of the divergence."""
    return float(np.log(max(one.divergence, 1e-12)))


def bytes_at(points: Sequence[MeasuredDesign], measure: Measure, wanted: float) -> float | None:
    """Fewest bytes at which a design loses no more than ``wanted``: lines between neighbours in log bytes.

    None where no point loses so little; where every point loses less, the fewest bytes there are.
    """
    ordered = sorted(points, key=lambda one: one.payload_bytes)
    losses = np.minimum.accumulate([measure(one) for one in ordered])  # more bytes never lose more
    logs = np.log([one.payload_bytes for one in ordered])
    if losses[-1] > wanted:
        return None
    if losses[0] <= wanted:
        return float(np.exp(logs[0]))
    right = int(np.argmax(losses <= wanted))
    share = (losses[right - 1] - wanted) / (losses[right - 1] - losses[right])
    return float(np.exp((1 - share) * logs[right - 1] + share * logs[right]))


def ratio_at(
    ours: Sequence[MeasuredDesign], theirs: Sequence[MeasuredDesign], measure: Measure, wanted: float
) -> float | None:
    """Bytes of ours by bytes of theirs; None where a curve does not reach so far."""
    pair = [bytes_at(points, measure, wanted) for points in (ours, theirs)]
    return None if pair[0] is None or pair[1] is None else pair[0] / pair[1]
