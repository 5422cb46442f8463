"""How long a client waits for an unreachable server, and for answers of a reachable one."""

from __future__ import annotations

import threading
from collections.abc import Callable

from splitc.errors import RemoteError
from splitc.runtime.client.outbox import Outbox, Talk, now

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
FOREIGN_TRIES, SEARCH_PAUSE_S = 30, 0.05
"""Connections on which another build may answer before the first that has the right one."""
LEAST_ANSWER_S = 10.0
"""One that is there gets so long for an answer, or half of the patience if that is longer; with less, all of it."""
LEAST_GREETING_S = 2.0
"""For shaking hands, however little patience is left."""


class Patience:
    """Waits longer after each loss, up to a limit that counts from the first loss since the last answer.

    Attributes:
        was_answered: The server has answered once.
    """

    def __init__(self, patience_s: float, clock: Callable[[], float] = now) -> None:
        self._patience_s, self._clock = patience_s, clock
        self._pause_s, self._since = FIRST_PAUSE_S, float("inf")
        self._foreign = 0
        self.was_answered = False

    def renew(self) -> None:
        """The server answers."""
        self.was_answered, self._foreign = True, 0
        self._pause_s, self._since = FIRST_PAUSE_S, float("inf")

    def owed_nothing(self) -> None:
        """The server was reachable and owed no answer, so its silence does not count."""
        self._since = float("inf")

    def met_another(self, took_s: float = 0.0) -> None:
        """Another build answers: the right one may be there too, behind the same address.

        Args:
            took_s: So long it was asked for.
        """
        self._foreign += 1
        self._since = min(self._since, self._clock() - took_s)

    @property
    def skips_a_turn(self) -> bool:
        """Whether to let a turn of the balancer pass before the stream: each other time that another build answered."""
        return self._foreign % 2 == 1

    @property
    def searches_on(self) -> bool:
        """Whether to look for the right build where it has never answered: so often, and while patience lasts."""
        return self._foreign < FOREIGN_TRIES and self.left_s > 0

    @property
    def left_s(self) -> float:
        """How long a server that is away still has."""
        return max(0.0, self._patience_s - max(0.0, self._clock() - self._since))

    def next_pause(self, address: str, reason: str, *, is_endless: bool, silent_s: float = 0.0) -> float:
        """Seconds to wait before the next try.

        Args:
            address: Of the server.
            reason: Why it counts as away.
            is_endless: Patience never ends.
            silent_s: For so long an answer has been awaited already.

        Raises:
            RemoteError: The server has been unreachable for too long, unless patience is endless.
        """
        moment, pause_s = self._clock(), self._pause_s
        self._since, self._pause_s = min(self._since, moment - silent_s), min(2 * pause_s, LONGEST_PAUSE_S)
        silent = moment - self._since
        if is_endless:
            return pause_s
        if silent >= self._patience_s:
            raise RemoteError(f"{address}: no answer for {silent:.1f} s ({reason}); is splitc serve running there?")
        return min(pause_s, self._patience_s - silent)


def answer_limit_s(patience_s: float) -> float:
    """How long one connection may owe an answer; without any patience for a server that is away, the least."""
    return max(patience_s / 2, min(LEAST_ANSWER_S, patience_s)) or LEAST_ANSWER_S


class Watchdog(threading.Thread):
    """Hangs up on a server that takes frames and answers none.

    Args:
        box: Knows how long the oldest frame has been under way.
        talk: Its end ends this thread.
        patience_s: The longest time without an answer.
        hang_up: Ends the connection.
    """

    def __init__(self, box: Outbox, talk: Talk, patience_s: float, hang_up: Callable[[], object]) -> None:
        super().__init__(name="watch", daemon=True)
        self._box, self._talk, self._hang_up = box, talk, hang_up
        self._limit_s = answer_limit_s(patience_s)

    def run(self) -> None:
        while not self._talk.over.wait(self._limit_s / 8):
            if self._box.silent_s(self._talk) > self._limit_s:
                self._talk.is_unanswered = True
                self._hang_up()
                return
