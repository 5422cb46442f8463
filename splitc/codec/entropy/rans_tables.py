"""The rANS coder's tables as a value and as canonical bytes (FORMAT.md, "rANS tables")."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splitc.native import _core
from splitc.types import U8, Symbols

MAGIC = b"SRNS"
VERSION = 1
MAX_BITS = 16
MAX_TOKEN_BITS = 8
ESCAPE = 255
MAX_CLASSES = 64
MAX_CONTEXTS = 64
LEVELS = 3
MAX_CHANNELS = 65535
PROBABILITY_ONE = 4096


@dataclass(frozen=True)
class TokenRule:
    """How symbols of more than 8 bits become tokens: ``(symbol >> shift) - base``; outside 0..254 an escape.

    Attributes:
        bits: Bits per symbol, 1..16. Up to 8 a symbol is its own token.
        shift: Low bits that stand beside the token.
        base: Token 0 is ``base << shift``.
    """

    bits: int
    shift: int = 0
    base: int = 0

    @property
    def token_bits(self) -> int:
        return min(self.bits, MAX_TOKEN_BITS)

    def tokens(self, symbols: Symbols) -> U8:
        """Tokens of ``symbols``, same shape."""
        if self.bits <= MAX_TOKEN_BITS:
            return symbols.astype(np.uint8, copy=False)
        above = (symbols.astype(np.int32) >> self.shift) - self.base
        return np.where((above < 0) | (above > ESCAPE), ESCAPE, above).astype(np.uint8)


@dataclass(frozen=True)
class RansView:
    """Contexts, and frequencies by (channel class, context).

    Attributes:
        activity: (low, high); the level of a position is how many of them its activity exceeds.
        thresholds: Of each level, ascending: they cut the expected sum into the level's contexts.
        frequencies: ``[classes, contexts + 1, 2**token_bits]``, each table summing to 4096, none zero. The last table
            of a class serves positions without neighbours.
    """

    activity: tuple[int, int]
    thresholds: tuple[tuple[int, ...], ...]
    frequencies: npt.NDArray[np.uint16]

    def to_bytes(self) -> bytes:
        contexts = self.frequencies.shape[1] - 1
        counts = (len(level) + 1 for level in self.thresholds)
        body = struct.pack("<BHH3B", contexts, *self.activity, *counts)
        body += np.array([t for level in self.thresholds for t in level], "<u2").tobytes()
        return body + self.frequencies.astype("<u2").tobytes()


@dataclass(frozen=True)
class RansTables:
    """Static tables.

    Attributes:
        rule: Symbols to tokens.
        class_of_channel: ``[channels]``.
        views: One for chunks by themselves and, if there is a second, one for chunks with a previous frame.
    """

    rule: TokenRule
    class_of_channel: npt.NDArray[np.uint8]
    views: tuple[RansView, ...]

    def to_bytes(self) -> bytes:
        """Canonical bytes; :class:`splitc.native._core.RansModel` is their validating reader."""
        classes = len(self.views[0].frequencies)
        rule = struct.pack("<BBH", self.rule.bits, self.rule.shift, self.rule.base)
        body = MAGIC + bytes([VERSION]) + rule
        body += struct.pack("<BBH", classes, len(self.views), len(self.class_of_channel))
        body += self.class_of_channel.tobytes() + b"".join(view.to_bytes() for view in self.views)
        return body + struct.pack("<I", _core.crc32c(body))
