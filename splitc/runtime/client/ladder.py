"""Which of several prebuilt pairs to use: the one with the largest packets that the link carries without a queue."""

from __future__ import annotations

from collections import deque
from statistics import median

FRAMES = 12
"""Answers that are looked at together."""
FIRST_HOLD, LONGEST_HOLD = 48, 3072
"""Answers without a queue before a larger packet is tried; doubled each time that trial fails."""


class Ladder:
    """Steps down when packets queue on the way, and carefully up again.

    A link that is too slow shows as time on the wire far above the least seen, and above all computing together.

    Args:
        count: How many pairs, from the largest packets to the smallest.

    Attributes:
        rung: The pair to use now, 0 for the largest packets.
        switched: How often it has changed.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._recent: deque[tuple[float, float]] = deque(maxlen=FRAMES)
        self._least_ms = float("inf")
        self._hold, self._calm = FIRST_HOLD, 0
        self._is_trial = False
        self.rung = 0
        self.switched = 0

    def note(self, rung: int, wire_ms: float, compute_ms: float) -> None:
        """One answer has arrived.

        Args:
            rung: The pair that it is of; answers of an earlier one are ignored.
            wire_ms: Time on the wire.
            compute_ms: All other time except waiting.
        """
        self._least_ms = min(self._least_ms, wire_ms)
        if rung != self.rung:
            return
        self._recent.append((wire_ms, compute_ms))
        if len(self._recent) < FRAMES:
            return
        if not self._is_queueing():
            self._try_step_up()
        elif not self._is_draining():
            self._step_down()

    def _is_queueing(self) -> bool:
        wire, compute = (median(times) for times in zip(*self._recent, strict=True))
        return bool(wire > max(3 * self._least_ms, 2 * compute))

    def _is_draining(self) -> bool:
        """Whether a queue that an earlier step left behind is getting shorter."""
        wires = [wire for wire, _ in self._recent]
        older, newer = wires[: FRAMES // 2], wires[FRAMES // 2 :]
        return bool(median(newer) < 0.95 * median(older))

    def _step_down(self) -> None:
        if self._is_trial:
            self._hold = min(2 * self._hold, LONGEST_HOLD)
        if self.rung + 1 < self._count:
            self._go_to(self.rung + 1, is_trial=False)

    def _try_step_up(self) -> None:
        self._calm += 1
        if self._calm < self._hold:
            return
        if self._is_trial:  # it held
            self._hold, self._is_trial = FIRST_HOLD, False
        if self.rung > 0:
            self._go_to(self.rung - 1, is_trial=True)

    def _go_to(self, rung: int, *, is_trial: bool) -> None:
        self.rung, self._is_trial, self._calm = rung, is_trial, 0
        self.switched += 1
        self._recent.clear()
