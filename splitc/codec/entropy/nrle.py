"""N-run-length coding: only the dominant symbol runs (FORMAT.md, "nrle payload").

Source: IFMDC, where N is the zero residual. The paper leaves the bits open: N is chosen for every chunk, runs are in
Elias gamma, and packed symbols stand in where runs would be longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitc.codec.entropy.base import ChunkCoder, EntropyCoder, check_bits, check_no_tables, hash_of_tables
from splitc.native import _core
from splitc.types import Symbols


class Nrle(EntropyCoder):
    """The entropy coder of IFMDC; never larger than packed symbols."""

    name: ClassVar[str] = "nrle"
    wire_id: ClassVar[int] = 16
    max_bits: ClassVar[int] = 16
    speed_mels: ClassVar[tuple[float, float]] = (28.0, 26.0)  # not measured: those of range
    is_whole: ClassVar[bool] = True

    def open(self, bits: int, channels: int, tables: bytes) -> ChunkCoder:
        check_bits(self, bits)
        check_no_tables(self, tables)
        return _NrleChunks(bits)


@dataclass(frozen=True)
class _NrleChunks:
    bits: int
    wire_id: int = Nrle.wire_id
    tables_hash: bytes = hash_of_tables(b"")

    def encode(self, symbols: Symbols, first_plane: int = 0) -> bytes:
        return _core.nrle_encode(symbols, self.bits)

    def decode(self, payload: bytes | memoryview, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        if self.bits <= 8:
            return _core.nrle_decode_u8(payload, self.bits, *shape)
        return _core.nrle_decode_u16(payload, self.bits, *shape)
