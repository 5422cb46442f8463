"""CPU time: medians of repeats, so that other programs on the machine count as little as possible."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

T = TypeVar("T")

REPEATS = 7
BUDGET_S = 0.3
"""Repeats stop here; what takes longer is measured once."""


class Speed(NamedTuple):
    """Million elements per second of CPU time."""

    encode_mels: float
    decode_mels: float


def median_seconds(work: Callable[[], object]) -> float:
    """Median CPU time of this thread for ``work``, in seconds."""
    seconds: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < BUDGET_S:
        start = time.thread_time()
        work()
        seconds.append(time.thread_time() - start)
    return statistics.median(seconds)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What ``work`` returns and the CPU seconds of the whole process: for libraries with threads of their own."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def speed(elements: int, encode: Callable[[], object], decode: Callable[[], object]) -> Speed:
    """Speed of a coder on ``elements`` elements."""
    return Speed(elements / median_seconds(encode) / 1e6, elements / median_seconds(decode) / 1e6)
