"""No garbage collection while a graph is built: each of its objects is in cycles, and every sweep would walk them all.

At 100,000 nodes the sweeps take more time than the work.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Also a decorator. Nested uses and a collector that was off already are left as they are."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
