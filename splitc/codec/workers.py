"""A few threads for work that falls into independent parts; the coders leave the interpreter lock while they code."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 8


THREADED_ELEMENTS = 1 << 20
"""Fewer symbols are coded here: ``rans`` takes two milliseconds for so many, and waking threads a good part of that."""


def in_order(work: Callable[[Item], Result], items: Sequence[Item], elements: int) -> list[Result]:
    """``[work(item) for item in items]``, several at a time where there is enough to do and several processors.

    ``work`` must not call this function: its threads would wait for each other.

    Args:
        work: What to do with an item.
        items: What to do it with.
        elements: Symbols in all items together.
    """
    if len(items) < 2 or elements < THREADED_ELEMENTS or _threads() < 2:
        return [work(item) for item in items]
    return list(_pool().map(work, items))


def _threads() -> int:
    """Processors that this process may use, within reason."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_THREADS, usable)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_threads(), thread_name_prefix="splitc-chunks")


# Threads do not survive a fork: the child makes its own.
os.register_at_fork(after_in_child=_pool.cache_clear)
