"""Numbers that must rise along an order, and do not quite because few samples were measured."""

from __future__ import annotations

from collections.abc import Sequence


def rising(values: Sequence[float]) -> list[float]:
    """The nearest sequence, in squares, that never falls: runs out of order become their means.

    Source: pool adjacent violators, Ayer et al., Annals of Mathematical Statistics 26(4), 1955.
    """
    runs: list[tuple[float, int]] = []
    for value in values:
        total, count = value, 1
        while runs and runs[-1][0] / runs[-1][1] >= total / count:
            before, of = runs.pop()
            total, count = total + before, count + of
        runs.append((total, count))
    return [total / count for total, count in runs for _ in range(count)]
