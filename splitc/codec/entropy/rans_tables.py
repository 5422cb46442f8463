"""The rANS coder's tables as a value and as canonical bytes (FORMAT.md, "rANS tables")."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splitc.native import _core

MAGIC = b"SRNS"
VERSION = 1
MAX_BITS = 8
MAX_CLASSES = 8
MAX_CONTEXTS = 32
LEVELS = 3
MAX_CHANNELS = 65535
PROBABILITY_ONE = 4096


@dataclass(frozen=True)
class RansTables:
    """Static frequencies by (channel class, context).

    Attributes:
        bits: Bits per symbol, 1..8.
        class_of_channel: ``[channels]``.
        activity: (low, high); the level of a position is how many of them |W - NW| + |N - NW| exceeds.
        thresholds: Of each level, ascending: they cut W + N into the level's contexts.
        frequencies: ``[classes, contexts + 1, 2**bits]``, each table summing to 4096, none zero. The last table of a
            class serves positions without neighbours.
    """

    bits: int
    class_of_channel: npt.NDArray[np.uint8]
    activity: tuple[int, int]
    thresholds: tuple[tuple[int, ...], ...]
    frequencies: npt.NDArray[np.uint16]

    def to_bytes(self) -> bytes:
        """Canonical bytes; :class:`splitc.native._core.RansModel` is their validating reader."""
        classes, contexts = self.frequencies.shape[0], self.frequencies.shape[1] - 1
        head = struct.pack("<4sBBBBH", MAGIC, VERSION, self.bits, classes, contexts, len(self.class_of_channel))
        body = head + self.class_of_channel.tobytes()
        body += struct.pack("<HH3B", *self.activity, *(len(level) + 1 for level in self.thresholds))
        body += np.array([t for level in self.thresholds for t in level], "<u2").tobytes()
        body += self.frequencies.astype("<u2").tobytes()
        return body + struct.pack("<I", _core.crc32c(body))
