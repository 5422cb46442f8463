"""The picture-codec peer: libx265 through PyAV, medium, 4:0:0, 8 bits, one thread; slices counted."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from codec_bench.clock import timed

U8 = npt.NDArray[np.uint8]
FIRST_NON_VCL = 32
"""NAL unit types from here on are parameter sets, SEI and the like (H.265 table 7-1)."""
MIN_SIDE = 16
QUIET = "log-level=none:info=0:pools=none:frame-threads=1:wpp=0:pmode=0:ipratio=1:pbratio=1"
INTRA = "keyint=1"
INTER = "keyint=15:min-keyint=15:scenecut=0:bframes=0:ctu=16:min-cu-size=8"


@dataclass(frozen=True)
class Coded:
    """One session of the codec.

    Attributes:
        slice_bytes: Of every frame.
        is_key: Of every frame.
        pictures: What the decoder gave, uint8 ``[frames, H, W]``.
        encode_s: CPU seconds of the encoder alone, its opening included once.
        decode_s: CPU seconds of the decoder alone.
    """

    slice_bytes: list[int]
    is_key: list[bool]
    pictures: U8
    encode_s: float
    decode_s: float


def version() -> str:
    """Of PyAV, whose wheel brings libx265."""
    return f"libx265 medium (PyAV {av.__version__})"


def code(pictures: U8, qp: int, how: str = INTRA) -> Coded:
    """Code pictures ``[frames, H, W]`` as one session at a fixed QP."""
    _, height, width = pictures.shape
    padded = _padded(pictures)
    encoder = _encoder(padded.shape[1], padded.shape[2], f"{QUIET}:{how}:qp={qp}")
    frames = [_frame(picture, index) for index, picture in enumerate(padded)]
    packets, encode_s = timed(lambda: [*(p for f in frames for p in encoder.encode(f)), *encoder.encode(None)])
    decoder = CodecContext.create("hevc", "r")
    decoder.thread_count = 1
    decoded, decode_s = timed(lambda: [*(f for p in packets for f in decoder.decode(p)), *decoder.decode(None)])
    decoded.sort(key=lambda frame: frame.pts)
    restored = np.stack([frame.to_ndarray()[:height, :width] for frame in decoded])
    sizes = [slice_bytes(bytes(packet)) for packet in packets]
    return Coded(sizes, [packet.is_keyframe for packet in packets], restored, encode_s, decode_s)


def _encoder(height: int, width: int, parameters: str) -> VideoCodecContext:
    encoder = CodecContext.create("libx265", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "gray"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.thread_count = 1
    encoder.options = {"preset": "medium", "x265-params": parameters}
    return encoder


def _frame(picture: U8, index: int) -> VideoFrame:
    frame = VideoFrame.from_ndarray(picture, format="gray")
    frame.pts, frame.time_base = index, Fraction(1, 25)
    return frame


def _padded(pictures: U8) -> U8:
    """At least 16 on a side and a multiple of 8, by repeating the border."""
    pad = [(0, max(MIN_SIDE, -(-side // 8) * 8) - side) for side in pictures.shape[1:]]
    return np.ascontiguousarray(np.pad(pictures, [(0, 0), *pad], "edge"))


def slice_bytes(packet: bytes) -> int:
    """Bytes of the slices in an Annex B packet, three bytes of start code each."""
    units = [unit for unit in packet.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]
    return sum(3 + len(unit) for unit in units if (unit[0] >> 1 & 63) < FIRST_NON_VCL)
