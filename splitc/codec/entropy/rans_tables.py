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
MAX_CONTEXTS = 12
MAX_CHANNELS = 65535
PROBABILITY_ONE = 4096


@dataclass(frozen=True)
class RansTables:
    """Static frequencies by (channel class, context).

    Attributes:
        bits: Bits per symbol, 1..8.
        class_of_channel: ``[channels]``.
        thresholds: Ascending; the context of W + N is the number of thresholds that it reaches.
        frequencies: ``[classes, contexts + 1, 2**bits]``, each table summing to 4096, none zero. The last table of a
            class serves positions without neighbours.
    """

    bits: int
    class_of_channel: npt.NDArray[np.uint8]
    thresholds: tuple[int, ...]
    frequencies: npt.NDArray[np.uint16]

    def to_bytes(self) -> bytes:
        """Canonical bytes; :class:`splitc.native._core.RansModel` is their validating reader."""
        classes, contexts = self.frequencies.shape[0], self.frequencies.shape[1] - 1
        head = struct.pack("<4sBBBBH", MAGIC, VERSION, self.bits, classes, contexts, len(self.class_of_channel))
        body = head + self.class_of_channel.tobytes()
        body += np.array(self.thresholds, "<u2").tobytes() + self.frequencies.astype("<u2").tobytes()
        return body + struct.pack("<I", _core.crc32c(body))
