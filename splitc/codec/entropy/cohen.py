"""Truncated unary binarization and adaptive binary coding (FORMAT.md, "cohen payload").

Source: Cohen, Choi and Bajic 2021, whose clip and quantizer are ``uniform`` here: clip, quantize, binarize, code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitc.codec.entropy.base import ChunkCoder, EntropyCoder, check_bits, check_no_tables, hash_of_tables
from splitc.native import _core
from splitc.types import Symbols


class Cohen(EntropyCoder):
    """A context for every bin position and nothing else: no neighbours, no channels. Meant for few levels."""

    name: ClassVar[str] = "cohen"
    wire_id: ClassVar[int] = 18
    max_bits: ClassVar[int] = 8
    speed_mels: ClassVar[tuple[float, float]] = (45.0, 43.0)

    def open(self, bits: int, channels: int, tables: bytes) -> ChunkCoder:
        check_bits(self, bits)
        check_no_tables(self, tables)
        return _CohenChunks(bits)


@dataclass(frozen=True)
class _CohenChunks:
    bits: int
    wire_id: int = Cohen.wire_id
    tables_hash: bytes = hash_of_tables(b"")

    def encode(self, symbols: Symbols, first_plane: int = 0) -> bytes:
        return _core.cohen_encode(symbols, self.bits)

    def decode(self, payload: bytes | memoryview, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        return _core.cohen_decode(payload, self.bits, *shape)
