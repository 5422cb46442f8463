"""The mixing coder's tables as a value and as canonical bytes (FORMAT.md, "mix tables")."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splitc.native import _core

MAGIC = b"SMIX"
VERSION = 1
MAX_BITS = 16
MAX_CHANNELS = 65535
MAX_REFERENCES = 32
OWN_WEIGHTS = 6
REFERENCE_WEIGHTS = 5
MAX_WEIGHT = 32767
MAX_WEIGHTS = 1 << 20
"""The magnitudes of a channel's weights together."""
WEIGHT_ONE = 1024


@dataclass(frozen=True)
class MixChannel:
    """What is expected of one channel.

    Attributes:
        centre: Symbol that stands for the value 0.
        scale: Four times the mean magnitude of its values.
        references: Channels above it of the same sample, or itself: its plane in the previous frame.
        weights: Of its own six neighbours, then five of every reference, in 1/1024.
    """

    centre: int
    scale: int
    references: tuple[int, ...]
    weights: tuple[int, ...]

    def to_bytes(self) -> bytes:
        head = struct.pack("<HHB", self.centre, self.scale, len(self.references))
        return head + np.array(self.references, "<u2").tobytes() + np.array(self.weights, "<i2").tobytes()


@dataclass(frozen=True)
class MixTables:
    """Static tables.

    Attributes:
        bits: Bits per symbol.
        is_residual: Symbols are residual ones, whose values alternate in sign: 0, 1, -1, 2, -2 ...
        references: Most references of a channel.
        channels: Of every channel.
        logits: int16 ``[rows, MIX_NODES]`` in 1/256; None: all zero.
    """

    bits: int
    is_residual: bool
    references: int
    channels: tuple[MixChannel, ...]
    logits: npt.NDArray[np.int16] | None = None

    @property
    def rows(self) -> int:
        """Of logits."""
        return len(self.channels) + _core.MIX_SHARED_ROWS

    def to_bytes(self) -> bytes:
        """Canonical bytes; :class:`splitc.native._core.MixModel` is their validating reader."""
        head = struct.pack("<BBBBH", VERSION, self.bits, self.is_residual, self.references, len(self.channels))
        body = MAGIC + head + b"".join(channel.to_bytes() for channel in self.channels)
        body += np.zeros(self.rows, np.uint8).tobytes() if self.logits is None else _trimmed(self.logits)
        return body + struct.pack("<I", _core.crc32c(body))


def _trimmed(logits: npt.NDArray[np.int16]) -> bytes:
    """How many nodes of every row stand before its last zeros, then those."""
    nodes = np.arange(1, logits.shape[1] + 1, dtype=np.uint8)
    counts = np.where(logits != 0, nodes, 0).max(axis=1).astype(np.uint8)
    return bytes(counts.tobytes() + logits[nodes <= counts[:, None]].astype("<i2").tobytes())
