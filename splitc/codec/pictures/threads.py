"""Threads that an encoder starts, and what it does to the caller's."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def ordinary_threads() -> Iterator[None]:
    """Undo what the block does to the scheduling of this process's threads.

    As root, SVT-AV1 puts the thread that opens an encoder, and those that it starts, under SCHED_FIFO at priority 99,
    and leaves them there. All that such a thread does or starts from then on starves the rest of a small machine.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    before = _scheduling()
    own = before[threading.get_native_id()]
    try:
        yield
    finally:
        for thread, found in _scheduling().items():
            if found != before.get(thread, own):
                policy, priority = before.get(thread, own)
                with suppress(ProcessLookupError):
                    os.sched_setscheduler(thread, policy, os.sched_param(priority))


def _scheduling() -> dict[int, tuple[int, int]]:
    """``(policy, priority)`` of every thread of this process."""
    found = {}
    for thread in map(int, os.listdir("/proc/self/task")):
        with suppress(ProcessLookupError):  # it has ended
            found[thread] = os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority
    return found
