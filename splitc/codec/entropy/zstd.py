"""Zstandard on bit-packed symbols: the general-purpose baseline (FORMAT.md, "zstd payload").

Source: RFC 8878. Packing two 4-bit symbols a byte beats one a byte (3.24 against 3.37 bits per element); symbols that
straddle bytes lose more than they save (5 bits: 3.9 against 2.8), so widths that do not divide a byte take the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import zstandard
from pydantic import Field

from splitc.codec.entropy.base import ChunkCoder, EntropyCoder, check_bits, check_no_tables, hash_of_tables
from splitc.errors import BitstreamError, CodecError
from splitc.native import _core
from splitc.types import Symbols

WIDTHS = (1, 2, 4, 8, 16)
MAX_WINDOW_BYTES = 1 << 27
"""FORMAT.md, "Limits": no decoder keeps more history than this."""


class Zstd(EntropyCoder):
    """Packed symbols through zstd; what everything else is measured against."""

    name: ClassVar[str] = "zstd"
    wire_id: ClassVar[int] = 3
    max_bits: ClassVar[int] = 16
    speed_mels: ClassVar[tuple[float, float]] = (3.3, 388.0)

    level: int = Field(19, ge=1, le=22, description="of compression: higher is smaller and slower")

    def open(self, bits: int, channels: int, tables: bytes) -> ChunkCoder:
        check_bits(self, bits)
        check_no_tables(self, tables)
        return _ZstdChunks(bits, self.level)


@dataclass(frozen=True)
class _ZstdChunks:
    bits: int
    level: int
    wire_id: int = Zstd.wire_id
    tables_hash: bytes = hash_of_tables(b"")

    def encode(self, symbols: Symbols, first_plane: int = 0) -> bytes:
        packed = _core.pack_bits(symbols, self._width)  # refuses other arrays first
        largest = int(symbols.max())
        if largest >> self.bits:
            raise CodecError(f"zstd: symbol {largest} does not fit {self.bits} bits.")
        return zstandard.ZstdCompressor(level=self.level, write_content_size=True).compress(packed)

    def decode(self, payload: bytes | memoryview, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        packed = _decompress(payload, (math.prod(shape) * self._width + 7) // 8)
        unpack = _core.unpack_bits_u8 if self.bits <= 8 else _core.unpack_bits_u16
        symbols: Symbols = unpack(packed, self._width, *shape)
        largest = int(symbols.max())
        if largest >> self.bits:
            raise BitstreamError(f"zstd: symbol {largest} does not fit {self.bits} bits.")
        return symbols

    @property
    def _width(self) -> int:
        """Bits that a symbol takes before compression."""
        return next(width for width in WIDTHS if width >= self.bits)


def _decompress(payload: bytes | memoryview, expected: int) -> bytes:
    """Exactly ``expected`` bytes from one frame; its header is checked before anything is allocated."""
    try:
        frame = zstandard.get_frame_parameters(payload)
        if frame.content_size != expected or frame.dict_id != 0:
            raise BitstreamError(
                f"zstd: frame declares {frame.content_size} bytes (dictionary {frame.dict_id}), "
                f"needs {expected} and no dictionary."
            )
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        return decompressor.decompress(payload, max_output_size=expected, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BitstreamError(f"zstd: {error}.") from error
