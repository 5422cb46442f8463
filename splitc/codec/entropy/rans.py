"""Interleaved rANS with static tables chosen by channel class and neighbours (FORMAT.md, "rans payload").

Source: Duda 2013 (arXiv 1311.2540); lanes after Giesen 2014 (arXiv 1402.3392). The table selection is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from splitc.codec.entropy.base import ChunkCoder, EntropyCoder, check_samples, hash_of_tables
from splitc.codec.entropy.rans_tables import MAX_BITS, MAX_CHANNELS
from splitc.codec.entropy.rans_training import train
from splitc.errors import CodecError
from splitc.native import _core
from splitc.types import Symbols


class Rans(EntropyCoder):
    """Static tables trained on calibration symbols; fast, and small on data like the calibration set's."""

    name: ClassVar[str] = "rans"
    wire_id: ClassVar[int] = 1
    max_bits: ClassVar[int] = MAX_BITS
    is_trained: ClassVar[bool] = True

    def fit(self, samples: Sequence[Symbols], bits: int) -> bytes:
        check_samples(self, samples, bits)
        if samples[0].shape[0] > MAX_CHANNELS:
            raise CodecError(f"rans: {samples[0].shape[0]} channels, at most {MAX_CHANNELS} have tables.")
        return train(samples, bits).to_bytes()

    def open(self, bits: int, channels: int, tables: bytes) -> ChunkCoder:
        model = _core.RansModel(tables)
        if (model.bits, model.channels) != (bits, channels):
            raise CodecError(
                f"rans: tables are for {model.bits} bits and {model.channels} channels, "
                f"the tensor has {bits} bits and {channels} channels."
            )
        return _RansChunks(model, hash_of_tables(tables))


@dataclass(frozen=True)
class _RansChunks:
    model: _core.RansModel
    tables_hash: bytes
    wire_id: int = Rans.wire_id

    def encode(self, symbols: Symbols, first_plane: int = 0) -> bytes:
        return self.model.encode(symbols, first_plane)

    def decode(self, payload: bytes | memoryview, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        return self.model.decode(payload, *shape, first_plane)
