"""A fitted codec: features -> symbols -> one bitstream packet, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from splitc.codec.bitstream import StreamLayout, TensorLayout, read_packet, write_packet
from splitc.codec.planes import as_planes
from splitc.codec.spec import CodecSpec, FittedTensor, JsonObject
from splitc.errors import BundleError, CodecError, UsageError
from splitc.types import F32, Symbols, TensorSpec

NO_PAIR = bytes(4)
"""Pair tag of packets that belong to no bundle."""


@dataclass(frozen=True)
class Codec:
    """``quantizer -> entropy coder``, fitted on calibration features and then fixed.

    Encoder and decoder hold equal values of this class; the bundle's contract carries them to both ends.

    Attributes:
        spec: The names and numbers asked for.
        tensors: One a cut tensor, in wire order.
        pair_tag: First 4 bytes of the pair id; a packet with another tag is refused.
    """

    spec: CodecSpec
    tensors: tuple[FittedTensor, ...]
    pair_tag: bytes = NO_PAIR

    @classmethod
    def fit(cls, spec: CodecSpec, tensors: Sequence[TensorSpec], features: Sequence[F32]) -> Codec:
        """Fit quantizers, then entropy tables on the symbols they give.

        Args:
            spec: What to fit.
            tensors: The cut, in wire order; a batch dimension first.
            features: Calibration features of each, float32 ``[n, C, ...]``.

        Raises:
            CodecError: Features that cannot be fitted, or a channel axis of unknown size.
            UsageError: The spec asks for what no component gives.
        """
        quantizer, coder = spec.make_quantizer(), spec.make_entropy()
        fitted = []
        for tensor, values in zip(tensors, features, strict=True):
            if len(tensor.shape) > 1 and not isinstance(tensor.shape[1], int):
                raise CodecError(f"cut value {tensor.name!r}: axis 1 has no fixed size; fix it in model.shapes.")
            params = quantizer.fit(values)
            symbols = quantizer.quantize(values, params)
            samples = [as_planes(symbols[i : i + 1]) for i in range(len(symbols))]
            fitted.append(FittedTensor(tensor, quantizer, params, coder.fit(samples, spec.bits)))
        return cls(spec, tuple(fitted))

    def quantize(self, features: Sequence[F32]) -> list[Symbols]:
        """Features to symbols, one array a cut tensor.

        Raises:
            CodecError: NaN, or shapes that are not the cut's.
        """
        return [t.quantizer.quantize(x, t.params) for t, x in zip(self.tensors, features, strict=True)]

    def dequantize(self, symbols: Sequence[Symbols]) -> list[F32]:
        """Symbols to reconstructed float32 features."""
        return [t.quantizer.dequantize(s, t.params) for t, s in zip(self.tensors, symbols, strict=True)]

    def encode_symbols(self, symbols: Sequence[Symbols], *, sequence: int = 0) -> bytes:
        """Symbols to one packet, header included (FORMAT.md).

        Raises:
            CodecError: Shapes or values that do not fit the codec.
        """
        return write_packet(self._layout, symbols, sequence=sequence)

    def decode_symbols(self, packet: bytes) -> list[Symbols]:
        """One packet to symbols.

        Raises:
            BitstreamError: Damaged, or another pair's.
        """
        return list(read_packet(self._layout, packet).symbols)

    def encode(self, features: Sequence[F32], *, sequence: int = 0) -> bytes:
        """Features to one packet: :meth:`quantize`, then :meth:`encode_symbols`."""
        return self.encode_symbols(self.quantize(features), sequence=sequence)

    def decode(self, packet: bytes) -> list[F32]:
        """One packet to reconstructed features: :meth:`decode_symbols`, then :meth:`dequantize`."""
        return self.dequantize(self.decode_symbols(packet))

    def with_entropy(self, name: str) -> Codec:
        """The same symbols coded by an untrained coder, for comparing rates."""
        spec = self.spec.model_copy(update={"entropy": name})
        if spec.make_entropy().is_trained:
            raise UsageError(f"entropy coder {name!r} needs tables; fit a codec with it.")
        return Codec(spec, tuple(replace(tensor, tables=b"") for tensor in self.tensors), self.pair_tag)

    def to_json(self) -> JsonObject:
        """All but the pair tag, which follows from the contract that this goes into."""
        return {"spec": self.spec.model_dump(mode="json"), "tensors": [tensor.to_json() for tensor in self.tensors]}

    @classmethod
    def from_json(cls, data: JsonObject, pair_tag: bytes = NO_PAIR) -> Codec:
        """Invert :meth:`to_json`; the data may come from a stranger.

        Raises:
            BundleError: Not a codec that this version wrote.
        """
        try:
            spec = CodecSpec(**data["spec"])
            quantizer = spec.make_quantizer()
            codec = cls(spec, tuple(FittedTensor.from_json(one, quantizer) for one in data["tensors"]), pair_tag)
            _ = codec._layout.description  # opens the coders, which check their tables
        except (KeyError, TypeError, ValueError, UsageError, CodecError) as error:
            raise BundleError(f"contract: the codec is not one of this version ({error}).") from error
        return codec

    @cached_property
    def _layout(self) -> StreamLayout:
        coder = self.spec.make_entropy()
        tensors = (
            TensorLayout(
                shape=tuple(size if isinstance(size, int) else None for size in tensor.spec.shape),
                bits=self.spec.bits,
                coder=coder.open(self.spec.bits, tensor.channels, tensor.tables),
                quantizer=tensor.quantizer_field,
            )
            for tensor in self.tensors
        )
        return StreamLayout(tensors=tuple(tensors), pair_tag=self.pair_tag)


def mean_packet_bytes(codec: Codec, samples: Sequence[F32]) -> float:
    """Mean size of real packets, header included.

    Args:
        codec: A fitted codec.
        samples: Features of each cut tensor, float32 ``[n, C, ...]``, that the codec was not fitted on.
    """
    count = len(samples[0])
    return float(np.mean([len(codec.encode([x[i : i + 1] for x in samples])) for i in range(count)]))
