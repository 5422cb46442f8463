"""The pace of a client: how many calls and frames it may begin, counted in front of gRPC.

A call that is refused, or that anyone may make, costs the server as much as an answer does, and gRPC drops anybody's
calls when too many wait. Each client has a budget for all its connections. A call takes of it, the answer to a packet
gives back, since answers are shared out elsewhere; with nothing left, the client's frames wait at the gate.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

CALLS_AHEAD = 200.0
"""Calls at once that no answer has paid for yet."""
CALL, RESET, SMALL_FRAME = 1.0, 4.0, 0.02
"""What a call costs, one that is taken back besides, and any other frame that carries little.

grpc.aio does not free 80 bytes for each operation that a call was in when its client took it back or hung up (1.85,
https://github.com/grpc/grpc/issues/43360); at this price that is about 4 kB a second at most for each client.
"""
CREDIT = 1.25
"""What the answer to a packet gives back: its call, and the frames around it."""
SMALL_BYTES = 1024
MOST_OWED = CALLS_AHEAD
TICK_S = 0.02
PREFACE_BYTES, FRAME_HEAD = 24, 9
"""Before the first frame, and of each (RFC 9113, 3.4 and 4.1)."""
DATA, HEADERS, RST_STREAM = 0, 1, 3


class Budget:
    """Of one client.

    Args:
        calls_a_second: That it may begin; 0 for no bound.
        clock: Seconds.
    """

    def __init__(self, calls_a_second: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = calls_a_second, clock
        self._left, self._since = CALLS_AHEAD, clock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._timer: asyncio.Handle | None = None
        self._is_serving = False

    @property
    def is_full(self) -> bool:
        """Nothing was taken of it lately, and nobody waits: a new one would be the same."""
        return not self._waiting and self._refilled() >= CALLS_AHEAD

    def spend(self, cost: float) -> bool:
        """Take so much, if anything is left and nobody waits already."""
        if not self._rate:
            return True
        if (self._waiting and not self._is_serving) or self._refilled() <= 0:
            return False
        self._left -= cost
        return True

    def charge(self, cost: float) -> None:
        """Take so much, whatever is left."""
        if self._rate:
            self._left = max(-MOST_OWED, self._refilled() - cost)

    def credit(self, much: float = CREDIT) -> None:
        """Give back; whoever waits goes on."""
        self._left = min(CALLS_AHEAD, self._refilled() + much)
        if self._waiting and self._left > 0:
            self._schedule(0.0)

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call ``go_on`` once something is left, in turn."""
        self._waiting.append(go_on)
        if self._timer is None and not self._is_serving:  # whoever comes later puts nobody off
            self._schedule(max(TICK_S, -self._refilled() / self._rate))

    def _schedule(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._serve)

    def _serve(self) -> None:
        self._timer, self._is_serving = None, True
        try:
            while self._waiting and self._refilled() > 0:
                self._waiting.popleft()()
        finally:
            self._is_serving = False
        if self._waiting:
            self._schedule(max(TICK_S, -self._refilled() / self._rate))

    def _refilled(self) -> float:
        now = self._clock()
        self._left = min(CALLS_AHEAD, self._left + (now - self._since) * self._rate)
        self._since = now
        return self._left


class FrameMeter:
    """Follows the frames of one HTTP/2 client.

    Attributes:
        calls: That began.
        is_held: The budget had nothing left for the next frame.
    """

    def __init__(self) -> None:
        self._inside = PREFACE_BYTES
        self.calls, self.is_held = 0, False

    def passable(self, data: bytes, budget: Budget) -> int:
        """How many of these bytes may go on to gRPC; the rest comes again, with what follows it.

        Args:
            data: What was not passed on before, and what was read since.
            budget: Pays for each frame that begins.
        """
        self.is_held = False
        at = min(self._inside, len(data))
        self._inside -= at
        while at + FRAME_HEAD <= len(data):
            size = int.from_bytes(data[at : at + 3], "big")
            if not budget.spend(_cost(data[at + 3], size)):
                self.is_held = True
                break
            self.calls += data[at + 3] == HEADERS
            end = at + FRAME_HEAD + size
            at, self._inside = min(end, len(data)), max(0, end - len(data))
        return at


def _cost(kind: int, size: int) -> float:
    if kind in (HEADERS, RST_STREAM):
        return CALL if kind == HEADERS else RESET
    return 0.0 if kind == DATA and size >= SMALL_BYTES else SMALL_FRAME
