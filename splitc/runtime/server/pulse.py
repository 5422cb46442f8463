"""Whether a stream is still active: an inactive one must not keep its place."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class StreamLimits:
    """Bounds of streams.

    Attributes:
        pending: Packets of one stream in progress.
        stall_s: How long an answer may wait for its client to read it.
        idle_s: How long a stream may have neither packets nor answers.
    """

    pending: int
    stall_s: float
    idle_s: float


class Pulse:
    """When a stream last moved, and in which direction."""

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits
        self._last = time.monotonic()
        self._is_sending = False

    def received(self) -> None:
        """A packet came."""
        self._last = time.monotonic()

    def sending(self) -> None:
        """An answer is handed to the connection."""
        self._last, self._is_sending = time.monotonic(), True

    def sent(self) -> None:
        """The connection took it."""
        self._last, self._is_sending = time.monotonic(), False

    @property
    def is_unread(self) -> bool:
        """Whether an answer has waited for too long."""
        return self._is_sending and time.monotonic() - self._last > self._limits.stall_s

    @property
    def is_idle(self) -> bool:
        """Whether nothing has moved for too long."""
        return time.monotonic() - self._last > self._limits.idle_s

    async def stopped(self) -> str:
        """Why the stream is to end, once it is: ``unread`` or ``idle``."""
        while not (self.is_unread or self.is_idle):
            await asyncio.sleep(min(self._limits.stall_s, self._limits.idle_s) / 4)
        return "unread" if self.is_unread else "idle"
