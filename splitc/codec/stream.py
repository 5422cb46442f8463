"""Streams: consecutive frames as packets, each keyframe or predicted from the packet before (FORMAT.md section 11).

    Encoder: features ─► symbols ─► residual symbols ─► packet ═══► Decoder: residual symbols ─► symbols ─► features
                            └── previous                                                            └── previous

What a stream remembers is the symbols of its last frame and that packet; both ends forget at every keyframe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from splitc.codec.bitstream import StreamLayout, packet_rung, read_packet, write_packet
from splitc.codec.fitted import FittedTensor
from splitc.codec.packet_header import MAX_SEQUENCE, read_header
from splitc.codec.quantized import Predicted, Quantized
from splitc.codec.steps import at_step
from splitc.codec.temporal.base import Temporal, refuse_above
from splitc.errors import BitstreamError, CodecError
from splitc.types import F32, Symbols


class FrameCodec(Protocol):
    """What a stream asks of a fitted codec; :class:`splitc.codec.Codec` documents each."""

    @property
    def tensors(self) -> tuple[FittedTensor, ...]: ...

    @property
    def temporal(self) -> Temporal: ...

    @property
    def layout(self) -> StreamLayout: ...

    @property
    def rung(self) -> int: ...

    @property
    def rungs(self) -> int: ...

    def at(self, rung: int) -> FrameCodec: ...

    def wire_shapes(self, features: Sequence[F32]) -> list[tuple[int, ...]]: ...

    def quantize(self, features: Sequence[F32]) -> Quantized: ...

    def quantize_after(
        self, features: Sequence[F32], previous: Sequence[Symbols], fields: Sequence[Symbols] = ()
    ) -> Quantized: ...

    def dequantize(self, quantized: Quantized) -> list[F32]: ...

    def encode_symbols(self, quantized: Quantized, *, sequence: int = 0) -> bytes: ...

    def residual(self, quantized: Quantized, previous: Sequence[Symbols]) -> Quantized: ...

    def restore(self, residual: Sequence[Symbols], previous: Sequence[Symbols]) -> tuple[Symbols, ...]: ...

    def after_keyframe(self, symbols: Sequence[Symbols]) -> tuple[Symbols, ...]: ...

    def layout_after(self, residual: Sequence[Symbols]) -> StreamLayout: ...


class Frame(NamedTuple):
    """The last frame of a stream, the same at both ends.

    ``residual`` is what a predicted packet holds, residual symbols and then motion fields; zeros after a keyframe.
    """

    symbols: tuple[Symbols, ...]
    residual: tuple[Symbols, ...]
    sequence: int
    packet: bytes
    is_predicted: bool = True
    rung: int = 0

    @property
    def fields(self) -> tuple[Symbols, ...]:
        """Its motion fields; none where there is no motion."""
        return self.residual[len(self.symbols) :]

    def quantized(self, side: tuple[F32, ...]) -> Quantized:
        """Its symbols with their side values."""
        kind = Predicted if self.is_predicted else Quantized
        return kind(self.symbols, side, fields=self.fields, rung=self.rung)

    def seen_by(self, codec: FrameCodec, whole: FrameCodec) -> Frame:
        """The same at the step of ``codec``, one of ``whole``: what the next frame is predicted from there.

        Raises:
            CodecError: Levels that are not finite.
        """
        if self.rung == codec.rung:
            return self
        old = whole.at(self.rung).tensors
        symbols = at_step(self.symbols, old, codec.tensors, is_predicted=self.is_predicted)
        return self._replace(symbols=symbols, residual=codec.after_keyframe(symbols), rung=codec.rung)


class Encoder:
    """The sending end of one stream: make it with :meth:`Codec.encoder`; not for several threads at once.

    A frame is a keyframe when it is the first, when ``gop`` frames have passed since the last one, when it was asked
    for, when sizes change, and when prediction does not pay: a predicted packet that is no smaller than the last
    keyframe is measured against a keyframe of the same frame, quantized by itself, and the smaller one is sent (a scene
    change).

    Attributes:
        rung: Step of the frames that are quantized from now on, 0 the finest; see :class:`RateControl`.
    """

    rung = 0

    def __init__(self, codec: FrameCodec) -> None:
        self._codec = codec
        self._last: Frame | None = None
        self._sent: Quantized | None = None
        self._since_keyframe = 0
        self._keyframe_bytes = 0

    @property
    def rungs(self) -> int:
        """Number of steps."""
        return self._codec.rungs

    @property
    def period(self) -> int:
        """Most frames from one keyframe to the next."""
        return self._codec.temporal.period

    def force_keyframe(self) -> None:
        """Make the next packet a keyframe, as a receiver that lost one asks for."""
        self._since_keyframe = self._codec.temporal.period

    def quantize(self, features: Sequence[F32]) -> Quantized:
        """Symbols of the next frame; changes nothing. :meth:`encode_symbols` takes them.

        Args:
            features: One array a cut tensor, float32, of the cut's axes.

        Raises:
            CodecError: NaN, or shapes that are not the cut's.
        """
        codec = self._codec.at(self.rung)
        alone = codec.quantize(features)
        last = self._reference(codec, codec.wire_shapes(features))
        if last is None or codec.temporal.is_open_loop:
            return alone
        return codec.quantize_after(features, last.symbols, last.fields)._replace(alone=alone.symbols)

    def encode(self, features: Sequence[F32]) -> bytes:
        """The next frame's features to its packet: :meth:`quantize`, then :meth:`encode_symbols`.

        Raises:
            CodecError: NaN, or shapes that are not the cut's.
        """
        return self.encode_symbols(self.quantize(features))

    def encode_symbols(self, quantized: Quantized) -> bytes:
        """The next frame's symbols to its packet.

        Args:
            quantized: Of :meth:`quantize` on this stream; where ``temporal`` is "none" or "difference", of any
                quantizer that gives the codec's symbols, such as the one in a bundle's graph.

        Raises:
            CodecError: Shapes or values that do not fit the codec.
        """
        codec = self._codec.at(quantized.rung)
        last = self._reference(codec, [symbols.shape for symbols in quantized.symbols])
        frame = None if last is None else self._predicted(codec, quantized, last)
        if frame is None or len(frame.packet) >= self._keyframe_bytes:
            keyframe = self._keyframe(codec, quantized.as_keyframe())
            if frame is None or len(keyframe.packet) <= len(frame.packet):
                frame, self._since_keyframe, self._keyframe_bytes = keyframe, 0, len(keyframe.packet)
        self._since_keyframe += 1
        self._last = frame
        self._sent = frame.quantized(quantized.side)
        return frame.packet

    @property
    def sent(self) -> Quantized:
        """What the last packet holds: of a closed loop, a keyframe has other symbols than a predicted frame.

        Raises:
            CodecError: Nothing was sent.
        """
        if self._sent is None:
            raise CodecError("this stream has sent no packet.")
        return self._sent

    @property
    def state_digest(self) -> str:
        """SHA-256 of what the stream remembers, in hexadecimal; equal at both ends after every packet."""
        return _digest(self._last)

    @property
    def _sequence(self) -> int:
        """Of the next packet."""
        return 0 if self._last is None else (self._last.sequence + 1) & MAX_SEQUENCE

    def _reference(self, codec: FrameCodec, shapes: Sequence[tuple[int, ...]]) -> Frame | None:
        """The frame that the next one is predicted from, at its step; None where it must be a keyframe."""
        if self._last is None or self._since_keyframe >= self._codec.temporal.period:
            return None
        is_alike = [s.shape for s in self._last.symbols] == list(shapes)
        return self._last.seen_by(codec, self._codec) if is_alike else None

    def _keyframe(self, codec: FrameCodec, quantized: Quantized) -> Frame:
        packet = codec.encode_symbols(quantized, sequence=self._sequence)
        return _first(codec, quantized.symbols, self._sequence, packet)

    def _predicted(self, codec: FrameCodec, quantized: Quantized, last: Frame) -> Frame:
        residual = codec.residual(quantized, last.symbols)
        packet = write_packet(
            codec.layout_after(last.residual),
            residual.symbols,
            residual.side,
            sequence=self._sequence,
            is_keyframe=False,
            reference=last.packet,
        )
        return Frame(quantized.symbols, residual.symbols, self._sequence, packet, rung=codec.rung)


class Decoder:
    """The receiving end of one stream: make it with :meth:`Codec.decoder`; not for several threads at once.

    A packet that is refused changes nothing: the right one may still come.
    """

    def __init__(self, codec: FrameCodec) -> None:
        self._codec = codec
        self._last: Frame | None = None

    def decode(self, packet: bytes) -> list[F32]:
        """The next packet to reconstructed features: :meth:`decode_symbols`, then ``Codec.dequantize``.

        Raises:
            BitstreamError: As of :meth:`decode_symbols`.
        """
        return self._codec.dequantize(self.decode_symbols(packet))

    def decode_symbols(self, packet: bytes) -> Quantized:
        """The next packet to the frame's symbols and side values.

        Raises:
            BitstreamError: Damaged, another pair's, or predicted from a packet that this stream has not decoded last;
                the message then says to ask for a keyframe.
        """
        header = read_header(packet)
        last = None if header.is_keyframe else self._predecessor(header.sequence)
        codec = self._codec.at(packet_rung(packet, self._codec.rungs))
        frame, side = self._keyframe(codec, packet) if last is None else self._predicted(codec, packet, last)
        self._last = frame
        return frame.quantized(side)

    @property
    def state_digest(self) -> str:
        """SHA-256 of what the stream remembers, in hexadecimal; equal at both ends after every packet."""
        return _digest(self._last)

    def _predecessor(self, sequence: int) -> Frame:
        wanted = (sequence - 1) & MAX_SEQUENCE
        if self._last is None or self._last.sequence != wanted:
            have = "no packet" if self._last is None else f"packet {self._last.sequence}"
            raise BitstreamError(
                f"bitstream: packet {sequence} is predicted from packet {wanted}, and {have} was decoded last; "
                "ask the sender for a keyframe."
            )
        return self._last

    def _keyframe(self, codec: FrameCodec, packet: bytes) -> tuple[Frame, tuple[F32, ...]]:
        read = read_packet(codec.layout, packet)
        _check_alphabet(codec, read.symbols)
        return _first(codec, read.symbols, read.sequence, packet), read.side

    def _predicted(self, codec: FrameCodec, packet: bytes, last: Frame) -> tuple[Frame, tuple[F32, ...]]:
        try:
            last = last.seen_by(codec, self._codec)
            read = read_packet(codec.layout_after(last.residual), packet, reference=last.packet)
            if [s.shape for s in read.symbols] != [s.shape for s in last.residual]:
                raise BitstreamError(
                    "bitstream: the packet's sizes are not those of the frame it is predicted from; "
                    "ask the sender for a keyframe."
                )
            _check_alphabet(codec, read.symbols)
            symbols = codec.restore(read.symbols, last.symbols)
        except BitstreamError:
            raise
        except CodecError as error:  # of what the packet holds, not of what a caller did
            raise BitstreamError(f"bitstream: {error}") from error
        return Frame(symbols, read.symbols, read.sequence, packet, rung=codec.rung), read.side[: len(symbols)]


def _check_alphabet(codec: FrameCodec, symbols: Sequence[Symbols]) -> None:
    for tensor, array in zip(codec.tensors, symbols, strict=False):  # motion fields have no tensor
        refuse_above(array, tensor.count, "symbol")


def _first(codec: FrameCodec, symbols: tuple[Symbols, ...], sequence: int, packet: bytes) -> Frame:
    """The state after a keyframe."""
    return Frame(symbols, codec.after_keyframe(symbols), sequence, packet, is_predicted=False, rung=codec.rung)


def _digest(last: Frame | None) -> str:
    digest = hashlib.sha256()
    for symbols in last.symbols if last else ():
        digest.update(repr((symbols.shape, symbols.dtype.str)).encode() + symbols.tobytes())
    return digest.hexdigest()
