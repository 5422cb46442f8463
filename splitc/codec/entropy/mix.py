"""Logistic mixing with tables from calibration: binary decisions, each from six contexts (FORMAT.md, "mix payload").

Source: Mahoney 2005 (mixing in the logistic domain), without adaptation: weights and probabilities are one table of
logits, learnt by additive logistic regression (Hastie & Tibshirani 1990). The contexts, and planes that are expected
from others, are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from splitc.codec.entropy.base import ChunkCoder, EntropyCoder, check_bits, check_samples, hash_of_tables
from splitc.codec.entropy.mix_tables import MAX_BITS, MAX_CHANNELS, MAX_REFERENCES
from splitc.codec.entropy.mix_training import train
from splitc.errors import BitstreamError, CodecError
from splitc.native import _core
from splitc.types import Shape, Symbols


class Mix(EntropyCoder):
    """The fewest bytes: every symbol is expected from its neighbours and from other channels; slower than ``rans``."""

    name: ClassVar[str] = "mix"
    wire_id: ClassVar[int] = 4
    max_bits: ClassVar[int] = MAX_BITS
    speed_mels: ClassVar[tuple[float, float]] = (32.0, 27.0)
    is_trained: ClassVar[bool] = True
    needs_tables: ClassVar[bool] = True
    is_whole: ClassVar[bool] = True

    references: int = Field(
        24, ge=0, le=MAX_REFERENCES, description="other channels that a channel is expected from, at most"
    )

    def refusal(self, wire: Shape) -> str | None:
        if len(wire) > 1 and isinstance(wire[1], int) and wire[1] > MAX_CHANNELS:
            return f"has {wire[1]:,} channels; entropy coder 'mix' has tables for at most {MAX_CHANNELS:,}"
        return None

    def fit(self, samples: Sequence[Symbols], bits: int) -> bytes:
        self._check(samples, bits)
        return train(samples, bits, None, self.references).to_bytes()

    def fit_predicted(self, samples: Sequence[Symbols], previous: Sequence[Symbols], bits: int) -> bytes:
        self._check(samples, bits)
        check_samples(self, previous, bits)
        if [sample.shape for sample in previous] != [sample.shape for sample in samples]:
            raise CodecError("mix: the frames before the samples differ from them in number or shape.")
        return train(samples, bits, previous, self.references).to_bytes()

    def _check(self, samples: Sequence[Symbols], bits: int) -> None:
        check_samples(self, samples, bits)
        if samples[0].shape[0] > MAX_CHANNELS:
            raise CodecError(f"mix: {samples[0].shape[0]} channels, at most {MAX_CHANNELS} have tables.")

    def following(self, prepared: ChunkCoder, previous: Symbols) -> ChunkCoder:
        return (
            _MixChunks(prepared.model, prepared.tables_hash, previous) if isinstance(prepared, _MixChunks) else prepared
        )

    def open(self, bits: int, channels: int, tables: bytes) -> ChunkCoder:
        check_bits(self, bits)
        model = _core.MixModel(tables)
        if (model.bits, model.channels) != (bits, channels):
            raise CodecError(
                f"mix: tables are for {model.bits} bits and {model.channels} channels, "
                f"the tensor has {bits} bits and {channels} channels."
            )
        return _MixChunks(model, hash_of_tables(tables))


@dataclass(frozen=True)
class _MixChunks:
    """``previous``: residual planes of the frame before, ``[planes, H, W]``; None: there is none."""

    model: _core.MixModel
    tables_hash: bytes
    previous: Symbols | None = None
    wire_id: int = Mix.wire_id

    def encode(self, symbols: Symbols, first_plane: int = 0) -> bytes:
        return self.model.encode(symbols, first_plane, self._before(symbols.shape, first_plane))

    def decode(self, payload: bytes | memoryview, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        before = self._before(shape, first_plane)
        if before is not None and before.shape != shape:
            raise BitstreamError("the packet's sizes are not those of the frame it is predicted from.")
        if self.model.bits <= 8:
            return self.model.decode_u8(payload, *shape, first_plane, before)
        return self.model.decode_u16(payload, *shape, first_plane, before)

    def _before(self, shape: tuple[int, ...], first_plane: int) -> Symbols | None:
        if self.previous is None:
            return None
        return self.previous[first_plane : first_plane + shape[0]]
