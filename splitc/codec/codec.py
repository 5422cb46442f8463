"""A fitted codec: features -> symbols -> packets of the bitstream, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from splitc.codec.bitstream import NO_PAIR, StreamLayout, TensorLayout, write_packet
from splitc.codec.fitted import FittedTensor, JsonObject
from splitc.codec.fitting import check_features, fit_tensor
from splitc.codec.planes import as_planes
from splitc.codec.quantized import Quantized
from splitc.codec.spec import CodecSpec
from splitc.codec.stream import Decoder, Encoder
from splitc.codec.temporal import Temporal
from splitc.errors import BundleError, CodecError, UsageError
from splitc.types import F32, Array, Symbols, TensorSpec

"""Pair tag of packets that belong to no bundle."""


@dataclass(frozen=True)
class Codec:
    """``quantizer -> temporal predictor -> entropy coder``, fitted on calibration features and then fixed.

    Encoder and decoder hold equal values of this class; the bundle's contract carries them to both ends. The methods
    here code one inference by itself; consecutive frames go through an :meth:`encoder` and a :meth:`decoder`.

        spec = CodecSpec(quantizer="uniform", bits=4)
        codec = Codec.fit(spec, [TensorSpec(name="x", dtype="float32", shape=("N", 64, 14, 14))], [calibration])
        packet = codec.encode([x])          # bytes; x is float32 [1, 64, 14, 14]
        restored = codec.decode(packet)     # [float32 [1, 64, 14, 14]]

    Frames of a clip are each predicted from the one before (``CodecSpec(temporal="dpcm")``):

        encoder, decoder = codec.encoder(), codec.decoder()
        for x in frames:
            restored = decoder.decode(encoder.encode([x]))

    Attributes:
        spec: The names and numbers asked for.
        tensors: One a cut tensor, in wire order.
        pair_tag: First 4 bytes of the pair id; a packet with another tag is refused.
    """

    spec: CodecSpec
    tensors: tuple[FittedTensor, ...]
    pair_tag: bytes = NO_PAIR

    @classmethod
    def fit(
        cls,
        spec: CodecSpec,
        tensors: Sequence[TensorSpec],
        features: Sequence[F32],
        sequence_lengths: Sequence[int] | None = None,
    ) -> Codec:
        """Fit quantizers, then entropy tables on the symbols they give.

        Args:
            spec: What to fit.
            tensors: The cut, in wire order; a batch dimension first.
            features: Calibration features of each, float32 ``[n, C, ...]``.
            sequence_lengths: How many samples in a row are consecutive frames of one clip, clip by clip; their sum
                is n. None: all samples are one clip. Matters only to a spec with prediction.

        Raises:
            CodecError: Features that cannot be fitted, a channel axis of unknown size, or no consecutive frames.
            UsageError: The spec asks for what no component gives.
        """
        spec = spec.resolved()
        check_features(tensors, features)
        lengths = [len(features[0])] if sequence_lengths is None else list(sequence_lengths)
        if any(sum(lengths) != len(values) for values in features) or (
            sequence_lengths is not None and min(lengths, default=0) < 1
        ):
            raise CodecError(
                f"sequence_lengths {lengths} are no lengths of clips: the features are {len(features[0])} samples."
            )
        fitted = [fit_tensor(spec, tensor, x, lengths) for tensor, x in zip(tensors, features, strict=True)]
        return cls(spec, tuple(fitted))

    # -- one inference by itself -----------------------------------------------------------------------------------

    def quantize(self, features: Sequence[F32]) -> Quantized:
        """Features to symbols and side values, one array a cut tensor.

        Args:
            features: float32 ``[n, C, ...]`` each.

        Raises:
            CodecError: NaN, or shapes that are not the cut's.
        """
        check_features([tensor.spec for tensor in self.tensors], features)
        side = tuple(t.quantizer.side(x) for t, x in zip(self.tensors, features, strict=True))
        every = zip(self.tensors, features, side, strict=True)
        return Quantized(tuple(t.quantizer.quantize(x, t.params, s) for t, x, s in every), side)

    def dequantize(self, quantized: Quantized) -> list[F32]:
        """Symbols to reconstructed float32 features of the same shapes."""
        every = zip(self.tensors, quantized.symbols, quantized.side, strict=True)
        return [t.quantizer.dequantize(q, t.params, s) for t, q, s in every]

    def encode_symbols(self, quantized: Quantized, *, sequence: int = 0) -> bytes:
        """Symbols to one keyframe packet, header included (FORMAT.md section 2).

        Args:
            quantized: Of :meth:`quantize`, or of a graph that quantizes.
            sequence: Number of the packet in its stream.

        Raises:
            CodecError: Shapes or values that do not fit the codec.
        """
        self.check_alphabet(quantized.symbols)
        return write_packet(self.layout, quantized.symbols, quantized.side, sequence=sequence)

    def check_alphabet(self, symbols: Sequence[Symbols]) -> None:
        """Refuse symbols that stand for nothing: an alphabet need not fill its bits.

        Raises:
            CodecError: A symbol above the last one of its tensor.
        """
        for tensor, array in zip(self.tensors, symbols, strict=False):
            if (largest := int(array.max(initial=0))) >= tensor.count:
                raise CodecError(f"symbol {largest} is outside the quantizer's 0..{tensor.count - 1}.")

    def decode_symbols(self, packet: bytes) -> Quantized:
        """One keyframe packet to symbols and side values.

        Raises:
            BitstreamError: Damaged, another pair's, or predicted from another packet.
        """
        return self.decoder().decode_symbols(packet)

    def encode(self, features: Sequence[F32], *, sequence: int = 0) -> bytes:
        """Features to one keyframe packet: :meth:`quantize`, then :meth:`encode_symbols`.

        Args:
            features: One array a cut tensor, float32 ``[n, C, ...]``.
            sequence: Number of the packet in its stream.

        Raises:
            CodecError: NaN, or shapes that are not the cut's.
        """
        return self.encode_symbols(self.quantize(features), sequence=sequence)

    def decode(self, packet: bytes) -> list[F32]:
        """One keyframe packet to reconstructed features: :meth:`decode_symbols`, then :meth:`dequantize`.

        Raises:
            BitstreamError: Damaged, another pair's, or predicted from another packet.
        """
        return self.dequantize(self.decode_symbols(packet))

    # -- streams ---------------------------------------------------------------------------------------------------

    def encoder(self) -> Encoder:
        """The sending end of a new stream of consecutive frames."""
        return Encoder(self)

    def decoder(self) -> Decoder:
        """The receiving end of a new stream."""
        return Decoder(self)

    @cached_property
    def temporal(self) -> Temporal:
        """What frames are predicted by."""
        return self.spec.make_temporal()

    def quantize_after(self, features: Sequence[F32], previous: Sequence[Symbols]) -> Quantized:
        """As :meth:`quantize`, for a frame that is predicted from the symbols ``previous``."""
        every = zip(self.tensors, features, previous, strict=True)
        symbols = tuple(self.temporal.choose(x, before, t) for t, x, before in every)
        return Quantized(symbols, tuple(t.quantizer.side(x) for t, x in zip(self.tensors, features, strict=True)))

    def residual(self, quantized: Quantized, previous: Sequence[Symbols]) -> Quantized:
        """Symbols of a predicted frame to residual symbols; side values stay.

        Raises:
            CodecError: Symbols that the prediction cannot say.
        """
        every = zip(self.tensors, quantized.symbols, previous, strict=True)
        symbols = tuple(self.temporal.residual(q, before, t.count) for t, q, before in every)
        return Quantized(symbols, quantized.side)

    def restore(self, residual: Sequence[Symbols], previous: Sequence[Symbols]) -> tuple[Symbols, ...]:
        """Residual symbols to symbols; invert :meth:`residual`."""
        every = zip(self.tensors, residual, previous, strict=True)
        return tuple(self.temporal.restore(r, before, t.count) for t, r, before in every)

    # -- graphs and contracts --------------------------------------------------------------------------------------

    def quantized_from_wires(self, wires: Sequence[Array]) -> Quantized:
        """Outputs of a head that quantizes: symbols of every tensor, then side values of those that have any."""
        count = len(self.tensors)
        given = iter(wires[count:])
        nothing = np.empty((len(wires[0]), 0), np.float32)
        side = tuple(next(given) if t.quantizer.side_count else nothing for t in self.tensors)
        return Quantized(tuple(wires[:count]), side)

    def wires_from_quantized(self, quantized: Quantized) -> list[Array]:
        """Inputs of a tail that dequantizes; invert :meth:`quantized_from_wires`."""
        return [*quantized.symbols, *(side for side in quantized.side if side.shape[1])]

    def with_entropy(self, name: str) -> Codec:
        """The same symbols coded by another coder without calibration, for comparing rates.

        Raises:
            UsageError: Unknown name, or a coder that cannot do without tables.
        """
        tensors = tuple(replace(tensor, tables=b"", predicted_tables=b"") for tensor in self.tensors)
        codec = Codec(self.spec.with_part("entropy", name), tensors, self.pair_tag)
        if codec.spec.make_entropy().needs_tables:
            raise UsageError(f"entropy coder {name!r} needs tables; fit a codec with it.")
        return codec

    def to_json(self) -> JsonObject:
        """All but the pair tag, which follows from the contract that this goes into."""
        spec = self.spec.model_dump(mode="json", exclude_none=True)
        return {"spec": spec, "tensors": [tensor.to_json() for tensor in self.tensors]}

    @classmethod
    def from_json(cls, data: JsonObject, pair_tag: bytes = NO_PAIR) -> Codec:
        """Invert :meth:`to_json`; the data may come from a stranger.

        Raises:
            BundleError: Not a codec that this version wrote.
        """
        try:
            spec = CodecSpec(**data["spec"])
            spec.resolved()  # refuses options that no part has
            quantizer = spec.make_quantizer()
            codec = cls(spec, tuple(FittedTensor.from_json(one, quantizer) for one in data["tensors"]), pair_tag)
            _ = codec.layout.description  # opens the coders, which check their tables
            _ = codec.temporal.period == 1 or codec.predicted_layout
        except (KeyError, TypeError, ValueError, UsageError, CodecError) as error:
            raise BundleError(f"contract: the codec is not one of this version ({error}).") from error
        return codec

    @cached_property
    def is_lossless(self) -> bool:
        """Decoded symbols are the encoded ones."""
        return self.spec.make_entropy().is_lossless

    @cached_property
    def layout(self) -> StreamLayout:
        """What keyframe packets look like."""
        return self._layout_of([(tensor.tables, tensor.quantizer_field) for tensor in self.tensors])

    @cached_property
    def predicted_layout(self) -> StreamLayout:
        """What predicted packets look like."""
        mark = bytes([self.temporal.wire_id])
        return self._layout_of([(tensor.predicted_tables, tensor.quantizer_field + mark) for tensor in self.tensors])

    def layout_after(self, residual: Sequence[Symbols]) -> StreamLayout:
        """:attr:`predicted_layout` with coders that know the frame before.

        Args:
            residual: Its residual symbols; zeros, if it is a keyframe.
        """
        entropy, known = self.spec.make_entropy(), self.predicted_layout
        pairs = zip(known.tensors, residual, strict=True)
        coders = [entropy.following(tensor.coder, as_planes(before)) for tensor, before in pairs]
        if all(coder is tensor.coder for coder, tensor in zip(coders, known.tensors, strict=True)):
            return known
        tensors = (replace(tensor, coder=coder) for tensor, coder in zip(known.tensors, coders, strict=True))
        return StreamLayout(tuple(tensors), self.pair_tag)

    def _layout_of(self, parts: Sequence[tuple[bytes, bytes]]) -> StreamLayout:
        """Layout from (tables, quantizer field) of every tensor."""
        coder = self.spec.make_entropy()
        tensors = (
            TensorLayout(
                shape=tuple(size if isinstance(size, int) else None for size in tensor.spec.shape),
                bits=tensor.params.bits,
                coder=coder.open(tensor.params.bits, tensor.channels, tables),
                quantizer=quantizer,
                side_count=tensor.quantizer.side_count,
                is_whole=coder.is_whole,
            )
            for tensor, (tables, quantizer) in zip(self.tensors, parts, strict=True)
        )
        return StreamLayout(tensors=tuple(tensors), pair_tag=self.pair_tag)


def mean_packet_bytes(codec: Codec, samples: Sequence[F32]) -> float:
    """Mean size of real packets of one stream, header included.

    Args:
        codec: A fitted codec.
        samples: Features of each cut tensor, float32 ``[n, C, ...]``, that the codec was not fitted on; consecutive
            frames where the codec predicts.
    """
    stream = codec.encoder()
    return float(np.mean([len(stream.encode([x[i : i + 1] for x in samples])) for i in range(len(samples[0]))]))
