"""How far the answers moved, and the rate at equal fidelity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
FIT_POINTS = 5
EACH_SIDE = 2
WIDTH = 1.2
"""Of the bell that weighs points by ln KL: a factor of 3.3 in KL is one standard deviation."""
MIN_KL = 1e-7


class Fidelity(NamedTuple):
    """Mean KL(reference || got) in nats, and the share of unchanged top-1 answers."""

    kl: float
    agreement: float


@dataclass(frozen=True)
class Point:
    """One operating point of a method: a setting, its rate in bits per element, and what it does to the answers."""

    setting: str
    rate_bpe: float
    kl: float
    agreement: float


class AtKl(NamedTuple):
    """A method at equal fidelity."""

    rate_bpe: float
    agreement: float
    nearest: Point


def fidelity(reference: F32, got: F32) -> Fidelity:
    """Compare logits ``[n, classes]``."""
    p, q = _log_softmax(reference), _log_softmax(got)
    kl = float((np.exp(p) * (p - q)).sum(1).mean())
    return Fidelity(max(kl, MIN_KL), float((p.argmax(1) == q.argmax(1)).mean()))


def at_kl(points: Sequence[Point], kl: float) -> AtKl | None:
    """Rate and agreement at ``kl``: a parabola in ln KL by least squares, near points counting more than far ones.

    Returns:
        None where fewer than five points are there or none lies on one side of ``kl``: nothing is extrapolated.
    """
    if len(points) < FIT_POINTS or not min(p.kl for p in points) <= kl <= max(p.kl for p in points):
        return None
    x = np.log([point.kl / kl for point in points])
    nearness = np.exp(-0.25 * (x / WIDTH) ** 2)  # polyfit squares it: a bell of standard deviation WIDTH
    rate = np.polyfit(x, [point.rate_bpe for point in points], 2, w=nearness)[-1]
    agreement = np.polyfit(x, [point.agreement for point in points], 1, w=nearness)[-1]
    return AtKl(float(rate), float(min(agreement, 1.0)), points[int(np.abs(x).argmin())])


def around(
    start: int, count: int, measure: Callable[[int], Point], kl: float, each_side: int = EACH_SIDE
) -> list[Point]:
    """Operating points on both sides of ``kl``: walk a ladder of settings from ``start``, gentlest setting first.

    Args:
        start: Rung measured first.
        count: Rungs there are.
        measure: Gives the point of a rung; its KL grows with the rung.
        kl: Target, in nats.
        each_side: Points wanted on each side of the target.

    Returns:
        At least five points, as far as the ladder reaches.
    """
    low = high = start
    points = [measure(start)]
    while True:
        below, above = (sum(p.kl < kl for p in points), sum(p.kl >= kl for p in points))
        if len(points) >= FIT_POINTS and min(below, above) >= each_side:
            return points
        few = len(points) < FIT_POINTS
        if high + 1 < count and (above < each_side or above <= below):
            high += 1
            points.append(measure(high))
        elif low > 0 and (below < each_side or few):
            low -= 1
            points.append(measure(low))
        elif high + 1 < count and few:
            high += 1
            points.append(measure(high))
        else:
            return points


def _log_softmax(logits: F32) -> npt.NDArray[np.float64]:
    x = logits.astype(np.float64) - logits.max(1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(1, keepdims=True)))
