"""Canonical Huffman coding (FORMAT.md, "huffman payload").

Source: Huffman 1952; lengths of at most 15 bits by package-merge (Larmore and Hirschberg 1990).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from splitc.codec.entropy.base import ChunkCoder, EntropyCoder, check_bits, check_samples, hash_of_tables
from splitc.errors import CodecError
from splitc.native import _core
from splitc.types import Symbols

MAGIC = b"SHUF"
VERSION = 1


class Huffman(EntropyCoder):
    """One code for all channels: each chunk's own, sent with it, or one that calibration fixed."""

    name: ClassVar[str] = "huffman"
    wire_id: ClassVar[int] = 17
    max_bits: ClassVar[int] = 8
    speed_mels: ClassVar[tuple[float, float]] = (281.0, 220.0)

    huffman_table: Literal["packet", "calibration"] = Field(
        "packet", description="each packet's own code, sent with it, or one fixed by calibration"
    )

    def fit(self, samples: Sequence[Symbols], bits: int) -> bytes:
        check_samples(self, samples, bits)
        if self.huffman_table == "packet":
            return b""
        counts = np.sum([np.bincount(sample.ravel(), minlength=1 << bits) for sample in samples], axis=0)
        lengths = _core.huffman_lengths([int(count) + 1 for count in counts])  # a symbol not seen yet has a code too
        tables = MAGIC + bytes([VERSION, bits]) + lengths
        return tables + struct.pack("<I", _core.crc32c(tables))

    def open(self, bits: int, channels: int, tables: bytes) -> ChunkCoder:
        check_bits(self, bits)
        if not tables:
            return _OwnCode(bits)
        model = _core.HuffmanModel(tables)
        if model.bits != bits:
            raise CodecError(f"huffman: tables are for {model.bits} bits, the tensor has {bits} bits.")
        return _FixedCode(model, hash_of_tables(tables))


@dataclass(frozen=True)
class _OwnCode:
    bits: int
    wire_id: int = Huffman.wire_id
    tables_hash: bytes = hash_of_tables(b"")

    def encode(self, symbols: Symbols, first_plane: int = 0) -> bytes:
        return _core.huffman_encode(symbols, self.bits)

    def decode(self, payload: bytes | memoryview, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        return _core.huffman_decode(payload, self.bits, *shape)


@dataclass(frozen=True)
class _FixedCode:
    model: _core.HuffmanModel
    tables_hash: bytes
    wire_id: int = Huffman.wire_id

    def encode(self, symbols: Symbols, first_plane: int = 0) -> bytes:
        return self.model.encode(symbols)

    def decode(self, payload: bytes | memoryview, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        return self.model.decode(payload, *shape)
