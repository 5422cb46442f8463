"""A stream held to a rate by the choice of its step, frame by frame.

    packet ──► what a keyframe and a predicted frame take at the finest step ──► the step at which a GOP takes
          └──► bytes beyond what the GOP's plan had for this frame ─────────────────┘ what it may

A keyframe is planned to take more than the frames behind it, so that the step does not jump with every GOP.
"""

from __future__ import annotations

import math
import re

from splitc.codec.packet_header import read_header
from splitc.codec.stream import Encoder
from splitc.errors import UsageError

UNITS = {"bit/s": 1 / 8, "kbit/s": 1e3 / 8, "mbit/s": 1e6 / 8}
"""Bytes a second."""
A_FRAME = "b/frame"
COARSER = 0.75
"""Bytes at one step, of those at the step before; what measurements say between them is close to it."""
MEMORY = 0.25
"""Weight of the newest frame in what frames are known to take."""
KEYFRAMES = 4.0
"""Bytes of a keyframe, of those of a predicted frame, as long as nothing is known."""
RESERVE_GOPS = 2.0
"""Within so many GOPs bytes too many or too few are made up for."""
CREDIT_GOPS = 0.5
"""So much of a GOP may have been saved; what is saved beyond is not spent later."""
TRIM = (0.5, 1.5)
"""What that may make of the wanted bytes."""
HYSTERESIS = 0.65
"""Steps by which the wanted one must be off before another is taken."""


class RateControl:
    """Chooses the steps of one stream: tell it of every packet that the encoder gave.

        control = RateControl(encoder, bytes_a_frame("200 kbit/s", frames_a_second=25))
        for x in frames:
            packet = encoder.encode([x])
            control.sent(packet)

    Source: a virtual buffer over a model of two frame types, as in MPEG-2 Test Model 5, step 1 and 2.
    """

    def __init__(self, encoder: Encoder, target_bytes: float) -> None:
        """
        Args:
            encoder: Of a codec with several steps; it begins in their middle.
            target_bytes: Of a packet, on average.

        Raises:
            UsageError: The codec has one step, or the target is no positive number.
        """
        if encoder.rungs < 2:
            raise UsageError(
                "a rate is held by changing steps, and the codec has one; build it with codec.temporal = "
                '"dpcm" or "motion" and codec.rungs.'
            )
        if not (math.isfinite(target_bytes) and target_bytes > 0):
            raise UsageError(f"a rate of {target_bytes} bytes a frame cannot be held; it must be above 0.")
        self._encoder, self._target = encoder, target_bytes
        self._gop = encoder.period
        self._known: dict[bool, float] = {}
        self._debt = 0.0
        encoder.rung = encoder.rungs // 2

    @property
    def debt_bytes(self) -> float:
        """Bytes sent beyond the plan so far; negative: fewer."""
        return self._debt

    def sent(self, packet: bytes) -> None:
        """Learn from the packet of the last frame and choose the step of the next one."""
        is_keyframe, at_finest = read_header(packet).is_keyframe, len(packet) / COARSER**self._encoder.rung
        before = self._known.get(is_keyframe, at_finest)
        self._known[is_keyframe] = before + MEMORY * (at_finest - before)
        self._debt += len(packet) - self._target * self._takes(is_keyframe) / self._mean()
        self._debt = max(self._debt, -CREDIT_GOPS * self._gop * self._target)
        wanted = math.log(self._wanted() / self._mean()) / math.log(COARSER)
        self._encoder.rung = self._nearest(wanted)

    def _nearest(self, wanted: float) -> int:
        """One step towards ``wanted`` at most, and none for a small distance."""
        now = self._encoder.rung
        if abs(wanted - now) < HYSTERESIS:
            return now
        return min(max(now + (1 if wanted > now else -1), 0), self._encoder.rungs - 1)

    def _wanted(self) -> float:
        """Mean bytes of the next frames that pay the debt back."""
        trim = 1 - self._debt / (RESERVE_GOPS * self._gop * self._target)
        return self._target * min(max(trim, TRIM[0]), TRIM[1])

    def _takes(self, is_keyframe: bool) -> float:
        """Bytes of a frame at the finest step."""
        if is_keyframe in self._known:
            return self._known[is_keyframe]
        other = self._known[not is_keyframe]
        return other * KEYFRAMES if is_keyframe else other / KEYFRAMES

    def _mean(self) -> float:
        """Over a GOP, at the finest step."""
        return (self._takes(True) + (self._gop - 1) * self._takes(False)) / self._gop


def bytes_a_frame(rate: str, frames_a_second: float) -> float:
    """``"200 kbit/s"`` or ``"2000 B/frame"`` as bytes a frame.

    Args:
        rate: A number and a unit: bit/s, kbit/s, Mbit/s or B/frame.
        frames_a_second: Of the stream.

    Raises:
        UsageError: Another text, or no positive number.
    """
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?)\s*([A-Za-z/]+)\s*", rate)
    unit = found.group(2).lower() if found else ""
    if not found or unit not in {*UNITS, A_FRAME} or float(found.group(1)) <= 0:
        raise UsageError(f"rate {rate!r} is not like '200 kbit/s', '1.5 Mbit/s' or '2000 B/frame'.")
    if unit == A_FRAME:
        return float(found.group(1))
    return float(found.group(1)) * UNITS[unit] / frames_a_second
