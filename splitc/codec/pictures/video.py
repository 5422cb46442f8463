"""Colour pictures through a video codec and back: the usual way to send video to a cloud."""

from __future__ import annotations

import numpy as np

from splitc.codec.pictures.codecs import PICTURE_CODECS
from splitc.codec.pictures.pixels import MOST_SIDE, most_pixels, padding
from splitc.codec.pictures.pyav import VideoFrame, av, open_decoder, open_encoder
from splitc.errors import CodecError
from splitc.registry import nearest
from splitc.types import U8

GOP = 15
"""One frame in so many stands alone."""
PIXEL_FORMAT = "yuv420p"
"""What cameras send: one colour for four pixels."""


def through_video(frames: U8, crf: int, codec: str) -> tuple[int, U8]:
    """Encode and decode again, as :func:`splitc.codec.pictures.code_video` says; no frame waits for a later one's bits.

    Raises:
        CapabilityError: No such encoder here.
        CodecError: Frames that cannot be coded, or an unknown codec.
    """
    if codec not in PICTURE_CODECS:
        raise CodecError(f"unknown video codec {codec!r}.{nearest(codec, list(PICTURE_CODECS))}")
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or frames.size == 0:
        raise CodecError(
            f"{codec}: frames are {frames.dtype} {list(frames.shape)}, must be uint8 [T, H, W, 3] and not empty."
        )
    count, height, width, _ = frames.shape
    if max(height, width) > MOST_SIDE:
        raise CodecError(f"{codec}: pictures of {height} x {width}, sides must be 1..{MOST_SIDE}.")
    pixels = np.pad(frames, ((0, 0), *padding((height, width), PICTURE_CODECS[codec].least_side), (0, 0)), mode="edge")
    packets = _encoded(pixels, crf, codec)
    decoder = open_decoder(PICTURE_CODECS[codec], most_pixels(pixels.shape[1], pixels.shape[2]))
    decoded = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    assert len(decoded) == count, f"a frame was lost between {codec} and its decoder"
    restored = np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])
    return sum(packet.size for packet in packets), np.ascontiguousarray(restored[:, :height, :width])


def _encoded(pixels: U8, crf: int, codec: str) -> list[av.Packet]:
    one = PICTURE_CODECS[codec]
    encoder = open_encoder(one, (pixels.shape[1], pixels.shape[2]), PIXEL_FORMAT, one.crf_options(crf), GOP)
    packets = []
    for index, picture in enumerate(pixels):
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = index
        packets += encoder.encode(frame)
    return packets + encoder.encode(None)
