"""Adaptive binary range coder: learns as it codes, so it needs no calibration (FORMAT.md, "range payload").

Source: Martin 1979 (range coding); probabilities at two speeds after Fenwick and, in video coding, AV1 and VVC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitc.codec.entropy.base import ChunkCoder, EntropyCoder, check_bits, check_no_tables, hash_of_tables
from splitc.native import _core
from splitc.types import Symbols


class Range(EntropyCoder):
    """Adaptive, for streams without calibration; small on any data, slower than ``rans``."""

    name: ClassVar[str] = "range"
    wire_id: ClassVar[int] = 2
    max_bits: ClassVar[int] = 16
    speed_mels: ClassVar[tuple[float, float]] = (28.0, 26.0)

    def open(self, bits: int, channels: int, tables: bytes) -> ChunkCoder:
        check_bits(self, bits)
        check_no_tables(self, tables)
        return _RangeChunks(bits)


@dataclass(frozen=True)
class _RangeChunks:
    bits: int
    wire_id: int = Range.wire_id
    tables_hash: bytes = hash_of_tables(b"")

    def encode(self, symbols: Symbols, first_plane: int = 0) -> bytes:
        return _core.range_encode(symbols, self.bits)

    def decode(self, payload: bytes | memoryview, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        if self.bits <= 8:
            return _core.range_decode_u8(payload, self.bits, *shape)
        return _core.range_decode_u16(payload, self.bits, *shape)
