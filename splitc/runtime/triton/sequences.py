"""Decoders of Triton's sequences: one for each correlation id, and none for those that nobody ended."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

from splitc.codec import Decoder

Key: TypeAlias = "int | str"
"""A correlation id: Triton takes numbers and texts, and ``7`` is another sequence than ``"7"``."""


class Sequences:
    """One decoder a sequence.

    Args:
        make: A new decoder.
        most: Decoders kept; the one that was used longest ago goes first.
        idle_s: A decoder that was not used for longer is dropped.
        clock: Seconds.
    """

    def __init__(
        self, make: Callable[[], Decoder], most: int, idle_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make, self._most, self._idle_s, self._clock = make, most, idle_s, clock
        self._kept: OrderedDict[Key, tuple[Decoder, float]] = OrderedDict()  # by last use

    def __len__(self) -> int:
        return len(self._kept)

    def decoder(self, key: Key, *, starts: bool, ends: bool) -> Decoder:
        """The sequence's decoder, for one packet; a new one where the sequence starts or is not known."""
        now = self._clock()
        found, _ = self._kept.pop(key, (None, 0.0))
        decoder = self._make() if found is None or starts else found
        if not ends:
            self._kept[key] = decoder, now
        self._drop(now)
        return decoder

    def end(self, key: Key) -> None:
        """Forget a sequence."""
        self._kept.pop(key, None)
        self._drop(self._clock())

    def _drop(self, now: float) -> None:
        """Those beyond the count, and those that nobody used for too long."""
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        for key, (_, used) in list(self._kept.items()):
            if now - used <= self._idle_s:
                return
            del self._kept[key]
