"""Video encoders and decoders as functions on grey pictures, through PyAV (extra ``video``).

    symbols [F, H, W] ── scale to 8, 10 or 12 bits, pad ──► encoder ──► parameter sets, once │ one packet a frame
    symbols [F, H, W] ◄── crop, scale back ──────────────── decoder ◄── parameter sets       │ packets

Lossy. Parameter sets (VPS, SPS, PPS; AV1's sequence header) are kept apart from the packets and counted once a stream:
encoders repeat them at every intra frame, 80 bytes each time, which would drown small features.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from splitc.errors import BitstreamError, CapabilityError, CodecError
from splitc.types import Symbols

LEAST_SIDE = 16
"""x265 takes no smaller picture."""
MOST_SIDE = 8192
"""Longest side of a picture; FORMAT.md, "Limits"."""
BLOCK_MARGIN = 64
"""Decoders count pixels in whole blocks; no block is larger."""


@dataclass(frozen=True)
class EncoderSettings:
    """What an encoder is told.

    Attributes:
        qp: The encoder's own quantization parameter, not our quantizers': 0..51, AV1 0..63.
        gop: Frames from one intra frame to the next; 1: all are intra. Never B-frames.
        preset: x264's and x265's names, "ultrafast" to "placebo".
    """

    qp: int = 22
    gop: int = 1
    preset: str = "medium"


@dataclass(frozen=True)
class CodedFrames:
    """A coded sequence.

    Attributes:
        parameter_sets: What a decoder needs once, before the first packet.
        packets: One a frame, without parameter sets.
        shape: ``(height, width)`` of a frame, before padding.
        bits: Per symbol.
        gop: Frames from one intra frame to the next.
    """

    parameter_sets: bytes
    packets: tuple[bytes, ...]
    shape: tuple[int, int]
    bits: int
    gop: int

    @property
    def picture_bytes(self) -> int:
        """Of all packets: slices alone."""
        return sum(map(len, self.packets))

    @property
    def predicted_bytes(self) -> int:
        """Of the predicted frames alone, as IFMDC counts."""
        return sum(len(packet) for index, packet in enumerate(self.packets) if index % self.gop)

    @property
    def stream_bytes(self) -> int:
        """Packets, and parameter sets once."""
        return self.picture_bytes + len(self.parameter_sets)


@dataclass(frozen=True)
class PictureCodec:
    """One video codec as FFmpeg offers it.

    Attributes:
        name: Ours.
        encoder: FFmpeg's.
        decoder: FFmpeg's.
        pixel_formats: FFmpeg's name by bits a pixel; the first plane holds the picture.
        options: Of the encoder, from settings and bits a pixel.
        split: An encoder's packet to ``(parameter sets, the rest)``.
        join: The rest, as a decoder takes it; raises BitstreamError on anything but pictures.
        opens_each_gop: The encoder sends a frame off at once only where GOPs are streams of their own.
    """

    name: str
    encoder: str
    decoder: str
    pixel_formats: Mapping[int, str]
    options: Callable[[EncoderSettings, int], dict[str, str]]
    split: Callable[[bytes], tuple[bytes, bytes]]
    join: Callable[[bytes], bytes]
    opens_each_gop: bool = False

    def depth(self, bits: int) -> int:
        """Bits a pixel of pictures that hold symbols of ``bits`` bits.

        Raises:
            CodecError: More bits than the codec takes.
        """
        fitting = [depth for depth in self.pixel_formats if depth >= bits >= 1]
        if not fitting:
            raise CodecError(f"{self.name}: {bits} bits per symbol, must be 1..{max(self.pixel_formats)}.")
        return min(fitting)

    def encode_frames(
        self, frames: Symbols, bits: int = 8, qp: int = 22, gop: int = 1, preset: str = "medium"
    ) -> CodedFrames:
        """Code a sequence.

        Args:
            frames: Symbols below ``2**bits``, ``[F, H, W]``, in display order.
            bits: Per symbol.
            qp: The encoder's quantization parameter.
            gop: Frames from one intra frame to the next; 1: all are intra.
            preset: Speed of the encoder.

        Raises:
            CapabilityError: The encoder is not part of this PyAV, or refuses the settings.
            CodecError: Frames that cannot be coded.
        """
        if frames.ndim != 3 or frames.size == 0:
            raise CodecError(f"{self.name}: frames of shape {list(frames.shape)}, must be [F, H, W] and not empty.")
        encoder = FrameEncoder(self, (frames.shape[1], frames.shape[2]), bits, EncoderSettings(qp, gop, preset))
        packets = tuple(encoder.encode(frame) for frame in frames)
        return CodedFrames(encoder.parameter_sets, packets, encoder.shape, bits, gop)

    def decode_frames(self, coded: CodedFrames) -> Symbols:
        """Symbols ``[F, H, W]`` of the decoded pictures: near the ones that were encoded.

        Raises:
            BitstreamError: The bytes are not pictures of that size.
        """
        decoder = FrameDecoder(self, coded.parameter_sets, coded.shape, coded.bits)
        return cast(Symbols, np.stack([decoder.decode(packet) for packet in coded.packets]))

    def probe(self) -> list[str]:
        """Pixel formats in which this machine really encodes and decodes a small frame."""
        return [name for depth, name in self.pixel_formats.items() if self._works(depth)]

    def _works(self, depth: int) -> bool:
        ramp = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint16) << (depth - 6)
        try:
            coded = self.encode_frames(cast(Symbols, ramp[None].astype(symbol_type(depth))), depth)
            return self.decode_frames(coded).shape == (1, 32, 32)
        except (CapabilityError, CodecError):
            return False


class FrameEncoder:
    """Codes the frames of one stream, each to its packet at once.

    Attributes:
        parameter_sets: Of the stream; known after the first frame.
    """

    def __init__(self, codec: PictureCodec, shape: tuple[int, int], bits: int, settings: EncoderSettings) -> None:
        """Raises: CodecError: frames too large, or too many bits."""
        if max(shape) > MOST_SIDE or min(shape) < 1:
            raise CodecError(f"{codec.name}: pictures of {shape[0]} x {shape[1]}, sides must be 1..{MOST_SIDE}.")
        self.shape = shape
        self.parameter_sets = b""
        self._codec, self._bits, self._settings = codec, bits, settings
        self._depth = codec.depth(bits)
        self._context: VideoCodecContext | None = None
        self._count = 0

    def encode(self, frame: Symbols) -> bytes:
        """The next frame, symbols ``[H, W]``, to its packet.

        Raises:
            CapabilityError: The encoder is not part of this PyAV, or refuses the settings.
            CodecError: Another shape, a symbol too large, or an encoder that did not do as it was told.
        """
        if frame.shape != self.shape or int(frame.max()) >> self._bits:
            complaint = f"frame of shape {list(frame.shape)}, must be {list(self.shape)}"
            if frame.shape == self.shape:
                complaint = f"symbol {int(frame.max())} does not fit {self._bits} bits"
            raise CodecError(f"{self._codec.name}: {complaint}.")
        pixels = padded(pixels_from_symbols(frame, self._bits, self._depth))
        starts_gop = self._count % self._settings.gop == 0
        if self._context is None or (starts_gop and self._codec.opens_each_gop):
            self._context = self._opened(pixels.shape)
        sets, picture = self._codec.split(self._sent(self._context, pixels))
        if starts_gop and not self.parameter_sets:
            self.parameter_sets = sets
        if not picture or sets not in (b"", self.parameter_sets):
            raise CodecError(f"{self._codec.name}: the encoder gave no picture, or other parameter sets than before.")
        self._count += 1
        return picture

    def _opened(self, shape: tuple[int, ...]) -> VideoCodecContext:
        try:
            context = av.CodecContext.create(self._codec.encoder, "w")
            assert isinstance(context, VideoCodecContext)
            context.height, context.width = shape
            context.pix_fmt = self._codec.pixel_formats[self._depth]
            context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
            context.options = self._codec.options(self._settings, self._depth)
            context.thread_count = 1
            with ordinary_threads():
                context.open()
        except (av.FFmpegError, ValueError) as error:
            raise CapabilityError(
                f"{self._codec.encoder} does not encode {self._codec.pixel_formats[self._depth]} pictures of "
                f"{shape[0]} x {shape[1]} here ({error}); 'splitc doctor' lists what works."
            ) from error
        return context

    def _sent(self, context: VideoCodecContext, pixels: Symbols) -> bytes:
        picture = VideoFrame(pixels.shape[1], pixels.shape[0], self._codec.pixel_formats[self._depth])
        picture.pts = self._count
        for plane, values in zip(picture.planes, self._planes(picture, pixels), strict=True):
            plane.update(values)
        return b"".join(bytes(packet) for packet in context.encode(picture))

    def _planes(self, picture: VideoFrame, pixels: Symbols) -> Iterator[bytes]:
        """The picture, then a grey of no colour in the planes that only AV1 has."""
        for index, plane in enumerate(picture.planes):
            rows = np.zeros((plane.height, plane.line_size), np.uint8)
            samples = rows.view(pixels.dtype)
            samples[:, : plane.width] = pixels if index == 0 else 1 << (self._depth - 1)
            yield rows.tobytes()


class FrameDecoder:
    """Decodes the packets of one stream; they may come from a stranger."""

    def __init__(self, codec: PictureCodec, parameter_sets: bytes, shape: tuple[int, int], bits: int) -> None:
        self.shape = shape
        self._codec, self._bits, self._depth = codec, bits, codec.depth(bits)
        self._before_first = parameter_sets
        height, width = (max(side + side % 2, LEAST_SIDE) for side in shape)
        self._padded = (height, width)
        context = av.CodecContext.create(codec.decoder, "r")
        assert isinstance(context, VideoCodecContext)
        context.thread_count = 1
        context.flags |= Flags.low_delay
        most_pixels = (height + BLOCK_MARGIN) * (width + BLOCK_MARGIN)
        context.options = {"max_pixels": str(most_pixels), "err_detect": "explode"}
        self._context = context

    def decode(self, packet: bytes | memoryview) -> Symbols:
        """The next packet to its frame, symbols ``[H, W]``.

        Raises:
            BitstreamError: Not one picture of the stream's size.
        """
        data = self._before_first + self._codec.join(bytes(packet))
        self._before_first = b""
        try:
            frames = self._context.decode(av.Packet(data))
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise BitstreamError(f"{self._codec.name}: the payload does not decode ({reason}).") from error
        if len(frames) != 1:
            raise BitstreamError(f"{self._codec.name}: a packet gives {len(frames)} pictures, must be 1.")
        return symbols_from_pixels(self._pixels(frames[0]), self._bits, self._depth)

    def _pixels(self, frame: VideoFrame) -> Symbols:
        kind = symbol_type(self._depth)
        plane = frame.planes[0]
        has_depth = frame.format.components[0].bits == self._depth
        if (frame.height, frame.width) != self._padded or not has_depth:
            raise BitstreamError(
                f"{self._codec.name}: a picture of {frame.height} x {frame.width} in {frame.format.name}, must be "
                f"{self._padded[0]} x {self._padded[1]} at {self._depth} bits."
            )
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: self.shape[0]]
        return cast(Symbols, np.ascontiguousarray(rows.view(kind)[:, : self.shape[1]]))


@contextmanager
def ordinary_threads() -> Iterator[None]:
    """Undo what the block does to the scheduling of this process's threads.

    As root, SVT-AV1 puts the thread that opens an encoder, and those that it starts, under SCHED_FIFO at priority 99,
    and leaves them there. All that such a thread does or starts from then on starves the rest of a small machine.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    before = _scheduling()
    own = before[threading.get_native_id()]
    try:
        yield
    finally:
        for thread, found in _scheduling().items():
            if found != before.get(thread, own):
                policy, priority = before.get(thread, own)
                with suppress(ProcessLookupError):
                    os.sched_setscheduler(thread, policy, os.sched_param(priority))


def _scheduling() -> dict[int, tuple[int, int]]:
    """``(policy, priority)`` of every thread of this process."""
    found = {}
    for thread in map(int, os.listdir("/proc/self/task")):
        with suppress(ProcessLookupError):  # it has ended
            found[thread] = os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority
    return found


def symbol_type(bits: int) -> type[np.uint8] | type[np.uint16]:
    """uint8 up to 8 bits, uint16 above."""
    return np.uint8 if bits <= 8 else np.uint16


def pixels_from_symbols(symbols: Symbols, bits: int, depth: int) -> Symbols:
    """Spread ``0 .. 2**bits - 1`` over ``0 .. 2**depth - 1``; halves go up."""
    return _scaled(symbols, bits, depth)


def symbols_from_pixels(pixels: Symbols, bits: int, depth: int) -> Symbols:
    """Invert :func:`pixels_from_symbols`, and round what lies between."""
    return _scaled(pixels, depth, bits)


def _scaled(values: Symbols, bits: int, new_bits: int) -> Symbols:
    if bits == new_bits:
        return values
    top, new_top = (np.uint32((1 << each) - 1) for each in (bits, new_bits))
    scaled = (values.astype(np.uint32) * new_top + top // np.uint32(2)) // top
    return cast(Symbols, scaled.astype(symbol_type(new_bits)))


def padded(pixels: Symbols) -> Symbols:
    """``[H, W]`` with even sides of at least 16, the border repeated."""
    more = [(0, max(side + side % 2, LEAST_SIDE) - side) for side in pixels.shape]
    return cast(Symbols, np.pad(pixels, more, "edge"))


# -- what H.264 and HEVC share: NAL units between start codes ------------------------------------------------------

START = b"\0\0\1"


def nal_units(stream: bytes) -> list[bytes]:
    """The units of an Annex B byte stream, without start codes and the zeros before them."""
    return [unit for part in stream.split(START) if (unit := part.rstrip(b"\0"))]


def split_units(
    stream: bytes, kind: Callable[[bytes], int], sets: Sequence[int], pictures: range
) -> tuple[bytes, bytes]:
    """Parameter sets, each behind a start code; and pictures, with start codes between them. The rest is dropped."""
    units = nal_units(stream)
    parameter_sets = b"".join(START + unit for unit in units if kind(unit) in sets)
    return parameter_sets, START.join(unit for unit in units if kind(unit) in pictures)


def join_units(packet: bytes, name: str, kind: Callable[[bytes], int], pictures: range) -> bytes:
    """A packet's units behind start codes.

    Raises:
        BitstreamError: Something else than pictures is among them, such as parameter sets of another size.
    """
    units = nal_units(packet)
    strangers = sorted({kind(unit) for unit in units} - set(pictures))
    if strangers or not units:
        found = f"NAL units of type {strangers}" if strangers else "no NAL unit"
        raise BitstreamError(f"{name}: a packet holds {found}; only pictures are read.")
    return b"".join(START + unit for unit in units)
