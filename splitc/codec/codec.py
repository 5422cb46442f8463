"""A fitted codec: features -> symbols -> packets of the bitstream, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from splitc.codec.bitstream import StreamLayout, TensorLayout, packet_rung, packet_shapes, write_packet
from splitc.codec.calibration import Calibration
from splitc.codec.choosing import choose
from splitc.codec.fitted import FittedTensor, JsonObject
from splitc.codec.fitting import check_features, check_lengths, check_samples, fit_tensors
from splitc.codec.judge import Judge
from splitc.codec.packet_header import NO_PAIR
from splitc.codec.planes import as_planes
from splitc.codec.quantized import Predicted, Quantized
from splitc.codec.spec import CodecSpec
from splitc.codec.steps import check_steps, fit_coarser
from splitc.codec.stream import Decoder, Encoder
from splitc.codec.temporal import Temporal
from splitc.codec.temporal.fields import field_layout, field_shape
from splitc.errors import BundleError, CodecError, UsageError
from splitc.types import F32, USUAL_LAYOUT, Array, Layout, Symbols, TensorSpec


@dataclass(frozen=True)
class Codec:
    """``quantizer -> temporal predictor -> entropy coder``, fitted on calibration features and then fixed.

    Both ends hold equal ones, of the bundle's contract. The methods here code one inference by itself; frames of a
    clip go through an :meth:`encoder` and a :meth:`decoder`.

        spec = CodecSpec(quantizer="uniform", bits=4)
        codec = Codec.fit(spec, [TensorSpec(name="x", dtype="float32", shape=("N", 64, 14, 14))], [calibration])
        packet = codec.encode([x])          # bytes; x is float32 [1, 64, 14, 14]
        restored = codec.decode(packet)     # [float32 [1, 64, 14, 14]]

    Frames, each predicted from the one before (``CodecSpec(temporal="dpcm")``):

        encoder, decoder = codec.encoder(), codec.decoder()
        restored = [decoder.decode(encoder.encode([x])) for x in frames]

    Attributes:
        spec: The names and numbers asked for.
        tensors: One a cut tensor, in packet order.
        pair_tag: First 4 bytes of the pair id; a packet with another tag is refused.
        coarser: The tensors at each coarser step that a stream may change to.
        rung: Which of the steps ``tensors`` are of; 0 is the finest.
    """

    spec: CodecSpec
    tensors: tuple[FittedTensor, ...]
    pair_tag: bytes = NO_PAIR
    coarser: tuple[tuple[FittedTensor, ...], ...] = ()
    rung: int = 0

    @classmethod
    def fit(
        cls,
        spec: CodecSpec,
        tensors: Sequence[TensorSpec],
        features: Sequence[F32 | Sequence[F32]],
        sequence_lengths: Sequence[int] | None = None,
        layouts: Sequence[Layout] | None = None,
        judge: Judge | None = None,
    ) -> Codec:
        """Fit transforms and quantizers, then entropy tables on the symbols they give.

        Args:
            spec: What to fit.
            tensors: The cut, in packet order.
            features: Of each, of the cut's axes: float32 with all samples along the batch axis, or one array a sample,
                whose dynamic sizes may then differ.
            sequence_lengths: How many samples in a row are frames of one clip, clip by clip; None: all of them. Matters
                only to prediction.
            layouts: Which axes of each tensor are samples and channels; None: the first and the second.
            judge: How far answers move with other features; needed where ``spec.needs_judge``.

        Returns:
            Fitted; of ``transform = "auto"`` with the transform and the step that were chosen.

        Raises:
            CodecError: Features that cannot be fitted, a layout that is not one of its tensor, no consecutive frames,
                or no judge where one is needed.
            UsageError: The spec asks for what no component gives.
        """
        spec = spec.resolved()
        layouts = [USUAL_LAYOUT] * len(tensors) if layouts is None else layouts
        samples = check_samples(tensors, features, layouts)
        lengths = check_lengths(sequence_lengths, [len(each) for each in samples])
        subject = Calibration(tuple(tensors), tuple(layouts), tuple(map(tuple, samples)), tuple(lengths), judge)
        if not spec.make_transform().is_choice:
            fitted = fit_tensors(spec, subject)
        else:
            spec, fitted = choose(spec, subject, lambda spec, tensors: cls(spec, tensors))
        return cls(spec, fitted, coarser=fit_coarser(spec, subject, fitted))

    # -- one inference by itself -----------------------------------------------------------------------------------

    def quantize(self, features: Sequence[F32]) -> Quantized:
        """Features to symbols and side values, one array a cut tensor.

        Args:
            features: float32 each, of the cut's axes.

        Returns:
            Symbols of the wire's axes, ``[n, C, ...]``.

        Raises:
            CodecError: NaN, or shapes that are not the cut's.
        """
        wires = self._wires(features)
        side = tuple(t.quantizer.side(x) for t, x in zip(self.tensors, wires, strict=True))
        every = zip(self.tensors, wires, side, strict=True)
        return Quantized(tuple(t.quantizer.quantize(x, t.params, s) for t, x, s in every), side, rung=self.rung)

    def dequantize(self, quantized: Quantized) -> list[F32]:
        """Symbols of the wire's axes to reconstructed float32 features of the cut's."""
        tensors, predicted = self.at(quantized.rung).tensors, quantized.is_predicted
        every = zip(tensors, quantized.symbols, quantized.side, strict=True)
        return [t.from_wire(t.dequantize(q, s, is_predicted=predicted)) for t, q, s in every]

    def wire_shapes(self, features: Sequence[F32]) -> list[tuple[int, ...]]:
        """Shapes of the symbols that features will have, nothing checked."""
        pairs = zip(self.tensors, features, strict=False)
        return [tuple(map(int, t.wire_shape_of(x.shape))) for t, x in pairs]

    def _wires(self, features: Sequence[F32]) -> list[F32]:
        """As quantizers see them, checked."""
        check_features([t.spec for t in self.tensors], features, [t.layout for t in self.tensors])
        return [t.to_wire(x) for t, x in zip(self.tensors, features, strict=True)]

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

    def packet_shapes(self, packet: bytes) -> list[tuple[int, ...]]:
        """Shapes of the symbols in a packet of any kind, from its header: nothing is decoded.

        Raises:
            BitstreamError: No packet of this codec, as far as the header says.
        """
        return packet_shapes(self.at(packet_rung(packet, self.rungs)).layout, packet)

    def encode(self, features: Sequence[F32], *, sequence: int = 0) -> bytes:
        """Features to one keyframe packet: :meth:`quantize`, then :meth:`encode_symbols`.

        Args:
            features: One array a cut tensor, float32, of the cut's axes.
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
        """The sending end of a new stream."""
        return Encoder(self)

    def decoder(self) -> Decoder:
        """The receiving end of a new stream."""
        return Decoder(self)

    @cached_property
    def temporal(self) -> Temporal:
        """What frames are predicted by."""
        return self.spec.make_temporal()

    def quantize_after(
        self, features: Sequence[F32], previous: Sequence[Symbols], fields: Sequence[Symbols] = ()
    ) -> Quantized:
        """As :meth:`quantize`, for a frame that is predicted from the symbols ``previous`` and their motion fields."""
        wires = self._wires(features)
        found = self._search(wires, previous, fields)
        side = tuple(t.quantizer.side(x) for t, x in zip(self.tensors, wires, strict=True))
        every = zip(self.tensors, wires, self._predict(previous, found), strict=True)
        symbols = tuple(self.temporal.choose(x, predicted, t) for t, x, predicted in every)
        return Predicted(symbols, side, fields=found, rung=self.rung)

    def residual(self, quantized: Quantized, previous: Sequence[Symbols]) -> Quantized:
        """Symbols of a predicted frame to what its packet holds: residual symbols, then motion fields.

        Raises:
            CodecError: Symbols that the prediction cannot say, or fields that are missing.
        """
        every = zip(self.tensors, quantized.symbols, self._predict(previous, quantized.fields), strict=True)
        symbols = tuple(self.temporal.residual(q, predicted, t.count) for t, q, predicted in every)
        nothing = tuple(np.empty((len(field), 0), np.float32) for field in quantized.fields)
        return Quantized(symbols + quantized.fields, quantized.side + nothing)

    def restore(self, residual: Sequence[Symbols], previous: Sequence[Symbols]) -> tuple[Symbols, ...]:
        """What a packet holds to symbols; invert :meth:`residual`.

        Raises:
            CodecError: Motion fields that no encoder writes.
        """
        count = len(self.tensors)
        every = zip(self.tensors, residual[:count], self._predict(previous, residual[count:]), strict=True)
        return tuple(self.temporal.restore(r, predicted, t.count) for t, r, predicted in every)

    def after_keyframe(self, symbols: Sequence[Symbols]) -> tuple[Symbols, ...]:
        """What stands for :meth:`residual` of a keyframe: zeros."""
        fields = [np.zeros(field_shape(each.shape), np.uint8) for each in symbols] if self.temporal.has_field else []
        return (*(np.zeros_like(each) for each in symbols), *fields)

    def _search(
        self, wires: Sequence[F32], previous: Sequence[Symbols], last: Sequence[Symbols]
    ) -> tuple[Symbols, ...]:
        """Motion fields, where there are any."""
        if not self.temporal.has_field:
            return ()
        every = zip(self.tensors, wires, previous, last, strict=True)
        return tuple(self.temporal.search(x, before, field, t) for t, x, before, field in every)

    def _predict(self, previous: Sequence[Symbols], fields: Sequence[Symbols]) -> Sequence[Symbols]:
        """What symbols are predicted to be: those before, moved where there are fields."""
        if not self.temporal.has_field:
            return previous
        if len(fields) != len(previous):
            raise CodecError("a predicted frame without motion fields; quantize with this stream's encoder.")
        every = zip(self.tensors, previous, fields, strict=True)
        return [self.temporal.predict(before, field, t) for t, before, field in every]

    # -- several steps ----------------------------------------------------------------------------------------------

    @property
    def rungs(self) -> int:
        """Number of steps."""
        return 1 + len(self.coarser)

    def at(self, rung: int) -> Codec:
        """The codec of another step of the same pair.

        Raises:
            CodecError: There is no such step.
        """
        if rung == self.rung:
            return self
        if not 0 <= rung < self.rungs:
            raise CodecError(f"step {rung} is asked for, the codec has 0..{self.rungs - 1}; fit it with more rungs.")
        return self._steps[rung]

    @cached_property
    def _steps(self) -> tuple[Codec, ...]:
        """Codecs of all steps, of the finest one."""
        assert self.rung == 0, "steps are counted from the finest"
        coarser = (Codec(self.spec, each, self.pair_tag, self.coarser, i) for i, each in enumerate(self.coarser, 1))
        return (self, *coarser)

    # -- graphs and contracts --------------------------------------------------------------------------------------

    def quantized_from_wires(self, wires: Sequence[Array]) -> Quantized:
        """Outputs of a head that quantizes: symbols of every tensor, then side values of those that have any."""
        symbols = tuple(wires[: len(self.tensors)])
        given = iter(wires[len(symbols) :])
        pairs = zip(self.tensors, symbols, strict=True)
        side = tuple(next(given) if t.quantizer.side_count else np.empty((len(one), 0), np.float32) for t, one in pairs)
        return Quantized(symbols, side)

    def wires_from_quantized(self, quantized: Quantized) -> list[Array]:
        """Inputs of a tail that dequantizes; invert :meth:`quantized_from_wires`."""
        return [*quantized.symbols, *(side for side in quantized.side if side.shape[1])]

    def with_entropy(self, name: str) -> Codec:
        """The same symbols coded by another coder without calibration, for comparing rates.

        Raises:
            UsageError: Unknown name, or a coder that cannot do without tables.
        """
        tensors, *coarser = (
            tuple(replace(t, tables=b"", predicted_tables=b"", field_tables=b"") for t in each)
            for each in (self.tensors, *self.coarser)
        )
        codec = Codec(self.spec.with_part("entropy", name), tensors, self.pair_tag, tuple(coarser))
        if codec.spec.make_entropy().needs_tables:
            raise UsageError(f"entropy coder {name!r} needs tables; fit a codec with it.")
        return codec

    def to_json(self) -> JsonObject:
        """All but the pair tag, which follows from the contract that this goes into."""
        spec = self.spec.model_dump(mode="json", exclude_none=True)
        if spec["transform"] == "none":
            del spec["transform"]  # as contracts were before there were any
        tensors, *coarser = ([tensor.to_json() for tensor in each] for each in (self.tensors, *self.coarser))
        return {"spec": spec, "tensors": tensors} | ({"coarser": coarser} if coarser else {})

    @classmethod
    def from_json(cls, data: JsonObject, pair_tag: bytes = NO_PAIR) -> Codec:
        """Invert :meth:`to_json`; the data may come from a stranger.

        Raises:
            BundleError: Not a codec that this version wrote.
        """
        try:
            spec = CodecSpec(**data["spec"])
            spec.resolved()  # refuses options that no part has
            quantizer, transform = spec.make_quantizer(), spec.make_transform()
            tensors, *coarser = (
                tuple(FittedTensor.from_json(one, quantizer, transform) for one in each)
                for each in (data["tensors"], *data.get("coarser", ()))
            )
            codec = cls(spec, tensors, pair_tag, tuple(coarser))
            check_steps(codec.temporal, (tensors, *coarser))
            for step in codec._steps:
                _ = step.layout.description  # opens the coders, which check their tables
                _ = codec.temporal.period == 1 or step.predicted_layout.description
        except (KeyError, TypeError, ValueError, UsageError, CodecError) as error:
            raise BundleError(f"contract: the codec is not one of this version ({error}).") from error
        return codec

    @cached_property
    def is_lossless(self) -> bool:
        """Decoded symbols are the encoded ones."""
        return self.spec.make_entropy().is_lossless

    @cached_property
    def layout(self) -> StreamLayout:
        """Of keyframe packets."""
        return self._layout_of([(tensor.tables, tensor.quantizer_field) for tensor in self.tensors])

    @cached_property
    def predicted_layout(self) -> StreamLayout:
        """What predicted packets look like."""
        mark = bytes([self.temporal.wire_id])
        known = self._layout_of([(tensor.predicted_tables, tensor.quantizer_field + mark) for tensor in self.tensors])
        if not self.temporal.has_field:
            return known
        coder = self.spec.make_entropy()
        fields = tuple(field_layout(tensor.wire_shape, coder, tensor.field_tables) for tensor in self.tensors)
        return replace(known, tensors=known.tensors + fields)

    def layout_after(self, residual: Sequence[Symbols]) -> StreamLayout:
        """:attr:`predicted_layout` with coders that know the frame before.

        Args:
            residual: Of :meth:`residual`; of :meth:`after_keyframe`, if it is one.
        """
        entropy, known = self.spec.make_entropy(), self.predicted_layout
        pairs = zip(known.tensors, residual, strict=True)
        coders = [entropy.following(tensor.coder, as_planes(before)) for tensor, before in pairs]
        if all(coder is tensor.coder for coder, tensor in zip(coders, known.tensors, strict=True)):
            return known
        tensors = (replace(tensor, coder=coder) for tensor, coder in zip(known.tensors, coders, strict=True))
        return replace(known, tensors=tuple(tensors))

    def _layout_of(self, parts: Sequence[tuple[bytes, bytes]]) -> StreamLayout:
        """Layout from (tables, quantizer field) of every tensor."""
        coder = self.spec.make_entropy()
        tensors = (
            TensorLayout(
                shape=tuple(size if isinstance(size, int) else None for size in tensor.wire_shape),
                bits=tensor.params.bits,
                coder=coder.open(tensor.params.bits, tensor.channels, tables),
                quantizer=quantizer,
                side_count=tensor.quantizer.side_count,
                is_whole=coder.is_whole,
            )
            for tensor, (tables, quantizer) in zip(self.tensors, parts, strict=True)
        )
        return StreamLayout(tuple(tensors), self.pair_tag, self.rung if self.coarser else None)
