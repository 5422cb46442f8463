"""The curve of one coding of the input, bytes against divergence, and where it has a given divergence.

 bytes │╲
(log)  │ ╲_          settings from the best to the worst; divergences of few samples do not quite rise along them,
       │   ╲___      so neighbours out of order are averaged (isotonic regression) before the curve is read
       └────────── divergence (log)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from splitc.plan import Measurement, rising

LEAST, MOST = 1e-12, 1e12
"""Divergences are kept between these, so that they have logarithms."""


@dataclass(frozen=True)
class Place:
    """Between two neighbouring settings: ``share`` of the way from the better one, ``low``, to ``high``."""

    low: int
    high: int
    share: float

    def between(self, low: float, high: float) -> float:
        """The number there, where it is ``low`` and ``high`` at the two settings."""
        return low + self.share * (high - low)

    def between_logs(self, low: float, high: float) -> float:
        """The same of a positive number whose logarithm runs straight."""
        return math.exp(self.between(math.log(low), math.log(high)))


def measured_down_to(divergence: float, count: int, measure: Callable[[int], Measurement]) -> list[Measurement]:
    """Measure settings from the best one on, until two in a row have more than this divergence.

    What lies beyond cannot move the place that is sought, so more of it is not measured.
    """
    found: list[Measurement] = []
    while len(found) < count and not (len(found) > 1 and all(_of(one) > divergence for one in found[-2:])):
        found.append(measure(len(found)))
    return found


def place_of(divergence: float, measured: Sequence[Measurement]) -> Place:
    """Where a coding has this divergence: a better setting for a smaller one, never the other way round.

    Args:
        divergence: Wanted.
        measured: Of settings from the best to the worst.

    Returns:
        Between two settings; at the best one where even that has more, at the worst measured one where that has less.
    """
    wanted = math.log(min(max(divergence, LEAST), MOST))
    logs = rising([math.log(_of(one)) for one in measured])
    high = next((index for index, log in enumerate(logs) if log > wanted), None)
    if high is None:
        return Place(len(logs) - 1, len(logs) - 1, 0.0)
    if high == 0:
        return Place(0, 0, 0.0)
    low = high - 1
    return Place(low, high, (wanted - logs[low]) / (logs[high] - logs[low]))


def _of(found: Measurement) -> float:
    """A measured divergence, kept in bounds."""
    assert found.divergence is not None, "trials measure answers"
    return min(max(found.divergence, LEAST), MOST)
