"""When a packet leaves an emulated link: rate, queue, delay, jitter, loss, or the rates of a trace."""

from __future__ import annotations

import random
from dataclasses import dataclass

from splitc.device import Trace

QUEUE_S = 0.2
"""A packet that would wait longer is dropped, as a router with a buffer of that size does."""


@dataclass(frozen=True)
class LinkSpec:
    """One direction of a link.

    Attributes:
        mbps: 10**6 bit/s; None: as fast as it goes.
        delay_ms: From one end to the other, of a packet too small for its size to matter.
        jitter_ms: Up to so much more, evenly; packets keep their order.
        loss: Share of packets that never arrive.
        trace: Rates over time instead of ``mbps``; read with a round trip of 0.
    """

    mbps: float | None = None
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    trace: Trace | None = None


class Shaper:
    """A virtual queue in front of a link.

    Args:
        spec: The link.
        seed: Of losses and jitter.
        start_s: When the trace begins, by the clock that ``leave_s`` is asked with.
    """

    def __init__(self, spec: LinkSpec, seed: int, start_s: float = 0.0) -> None:
        self._spec, self._rng, self._start_s = spec, random.Random(seed), start_s
        self._free_s = self._last_s = start_s
        self.lost = self.dropped = 0

    def is_lost(self) -> bool:
        """Whether the air takes the next packet."""
        lost = self._rng.random() < self._spec.loss
        self.lost += lost
        return lost

    def leave_s(self, now_s: float, size: int) -> float | None:
        """When a packet of ``size`` bytes comes out at the far end; None: the queue is full."""
        begun_s = max(now_s, self._free_s)
        if begun_s - now_s > QUEUE_S:
            self.dropped += 1
            return None
        self._free_s = begun_s + self._push_s(begun_s, size)
        late_s = (self._spec.delay_ms + self._rng.uniform(0, self._spec.jitter_ms)) / 1e3
        self._last_s = max(self._last_s, self._free_s + late_s)
        return self._last_s

    def _push_s(self, at_s: float, size: int) -> float:
        if self._spec.trace is not None:
            return self._spec.trace.wire_ms(at_s - self._start_s, size) / 1e3
        return size * 8 / (self._spec.mbps * 1e6) if self._spec.mbps else 0.0
