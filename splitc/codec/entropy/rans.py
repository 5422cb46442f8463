"""Interleaved rANS with static tables chosen by channel class and neighbours (FORMAT.md, "rans payload").

Source: Duda 2013 (arXiv 1311.2540); lanes after Giesen 2014 (arXiv 1402.3392). The table selection is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from splitc.codec.entropy.base import ChunkCoder, EntropyCoder, check_bits, check_samples, hash_of_tables
from splitc.codec.entropy.rans_tables import MAX_BITS, MAX_CHANNELS
from splitc.codec.entropy.rans_training import CAPACITIES, train
from splitc.errors import BitstreamError, CodecError
from splitc.native import _core
from splitc.types import Shape, Symbols


class Rans(EntropyCoder):
    """Static tables trained on calibration symbols; fast, and small on data like the calibration set's.

    Opened without tables, every chunk brings the frequencies of its own symbols: larger, but nothing to fit.
    """

    name: ClassVar[str] = "rans"
    wire_id: ClassVar[int] = 1
    max_bits: ClassVar[int] = MAX_BITS
    speed_mels: ClassVar[tuple[float, float]] = (415.0, 170.0)
    is_trained: ClassVar[bool] = True

    contexts: Literal["few", "wide"] = Field(
        "few", description="tables that are trained: wide has up to 24 channel classes, not 8"
    )

    def refusal(self, wire: Shape) -> str | None:
        if len(wire) > 1 and isinstance(wire[1], int) and wire[1] > MAX_CHANNELS:
            return f"has {wire[1]:,} channels; entropy coder 'rans' has tables for at most {MAX_CHANNELS:,}"
        return None

    def fit(self, samples: Sequence[Symbols], bits: int, previous: Sequence[Symbols] | None = None) -> bytes:
        """Learn tables; ``previous``, the frame before each sample, adds a view for chunks coded with theirs."""
        check_samples(self, samples, bits)
        if samples[0].shape[0] > MAX_CHANNELS:
            raise CodecError(f"rans: {samples[0].shape[0]} channels, at most {MAX_CHANNELS} have tables.")
        if previous is not None:
            check_samples(self, previous, bits)
            if [sample.shape for sample in previous] != [sample.shape for sample in samples]:
                raise CodecError("rans: the frames before the samples differ from them in number or shape.")
        return train(samples, bits, previous, CAPACITIES[self.contexts]).to_bytes()

    def fit_predicted(self, samples: Sequence[Symbols], previous: Sequence[Symbols], bits: int) -> bytes:
        return self.fit(samples, bits, previous)

    def following(self, prepared: ChunkCoder, previous: Symbols) -> ChunkCoder:
        return _ChunksAfter(prepared, previous) if isinstance(prepared, _RansChunks) else prepared

    def open(self, bits: int, channels: int, tables: bytes) -> ChunkCoder:
        if not tables:
            check_bits(self, bits)
            return _UnfittedChunks(bits)
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
        return _decode(self.model, payload, shape, first_plane, None)


def _decode(
    model: _core.RansModel,
    payload: bytes | memoryview,
    shape: tuple[int, int, int],
    first_plane: int,
    previous: Symbols | None,
) -> Symbols:
    if model.bits <= 8:
        return model.decode_u8(payload, *shape, first_plane, previous)
    return model.decode_u16(payload, *shape, first_plane, previous)


@dataclass(frozen=True)
class _ChunksAfter:
    """Chunks of the frame that follows the residual planes ``previous``, ``[planes, H, W]``."""

    chunks: _RansChunks
    previous: Symbols
    wire_id: int = Rans.wire_id

    @property
    def tables_hash(self) -> bytes:
        return self.chunks.tables_hash

    def encode(self, symbols: Symbols, first_plane: int = 0) -> bytes:
        return self.chunks.model.encode(symbols, first_plane, self._before(symbols.shape, first_plane))

    def decode(self, payload: bytes | memoryview, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        before = self._before(shape, first_plane)
        if before.shape != shape:
            raise BitstreamError("the packet's sizes are not those of the frame it is predicted from.")
        return _decode(self.chunks.model, payload, shape, first_plane, before)

    def _before(self, shape: tuple[int, ...], first_plane: int) -> Symbols:
        return self.previous[first_plane : first_plane + shape[0]]


@dataclass(frozen=True)
class _UnfittedChunks:
    """Every chunk by itself: the previous frame is not looked at."""

    bits: int
    wire_id: int = Rans.wire_id
    tables_hash: bytes = hash_of_tables(b"")

    def encode(self, symbols: Symbols, first_plane: int = 0) -> bytes:
        return _core.rans_encode_alone(symbols, self.bits)

    def decode(self, payload: bytes | memoryview, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        if self.bits <= 8:
            return _core.rans_decode_alone_u8(payload, self.bits, *shape)
        return _core.rans_decode_alone_u16(payload, self.bits, *shape)
