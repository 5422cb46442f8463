"""Symbols as grey pictures through a video codec.

    symbols [F, H, W] ── scale to 8, 10 or 12 bits, pad ──► encoder ──► parameter sets, once │ one packet a frame
    symbols [F, H, W] ◄── crop, scale back ──────────────── decoder ◄── parameter sets       │ packets

Lossy. Parameter sets (VPS, SPS, PPS; AV1's sequence header) are counted once a stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from splitc.codec.pictures.codecs import PRESET, EncoderSettings, PictureCodec
from splitc.codec.pictures.pixels import (
    MOST_SIDE,
    most_pixels,
    padded,
    padded_shape,
    pixels_from_symbols,
    symbol_type,
    symbols_from_pixels,
)
from splitc.codec.pictures.pyav import VideoCodecContext, VideoFrame, av, open_decoder, open_encoder
from splitc.errors import BitstreamError, CapabilityError, CodecError
from splitc.types import Symbols


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
        told = self._codec.qp_options(self._settings, self._depth)
        return open_encoder(self._codec, (shape[0], shape[1]), self._codec.pixel_formats[self._depth], told)

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
        height, width = self._padded = padded_shape(shape)
        self._context = open_decoder(codec, most_pixels(height, width))

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


def encode_frames(
    codec: PictureCodec, frames: Symbols, bits: int = 8, qp: int = 22, gop: int = 1, preset: str = PRESET
) -> CodedFrames:
    """Code a sequence.

    Args:
        codec: Which.
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
        raise CodecError(f"{codec.name}: frames of shape {list(frames.shape)}, must be [F, H, W] and not empty.")
    encoder = FrameEncoder(codec, (frames.shape[1], frames.shape[2]), bits, EncoderSettings(qp, gop, preset))
    packets = tuple(encoder.encode(frame) for frame in frames)
    return CodedFrames(encoder.parameter_sets, packets, encoder.shape, bits, gop)


def decode_frames(codec: PictureCodec, coded: CodedFrames) -> Symbols:
    """Symbols ``[F, H, W]`` of the decoded pictures: near the ones that were encoded.

    Raises:
        BitstreamError: The bytes are not pictures of that size.
    """
    decoder = FrameDecoder(codec, coded.parameter_sets, coded.shape, coded.bits)
    return cast(Symbols, np.stack([decoder.decode(packet) for packet in coded.packets]))


def probe(codec: PictureCodec) -> list[str]:
    """Pixel formats in which this machine really encodes and decodes a small frame."""
    return [name for depth, name in codec.pixel_formats.items() if _works(codec, depth)]


def _works(codec: PictureCodec, depth: int) -> bool:
    ramp = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint16) << (depth - 6)
    try:
        coded = encode_frames(codec, cast(Symbols, ramp[None].astype(symbol_type(depth))), depth)
        return decode_frames(codec, coded).shape == (1, 32, 32)
    except (CapabilityError, CodecError):
        return False
