"""Pictures through H.264 and back, through PyAV (extra ``video``): the usual way to send video to a cloud."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from splitc.types import U8

PRESET = "medium"
GOP = 15
"""One frame in so many stands alone."""
FRAMES_PER_S = 25


def through_h264(frames: U8, crf: int) -> tuple[int, U8]:
    """Encode with libx264 and decode again; no frame waits for a later one.

    Args:
        frames: RGB ``[T, H, W, 3]``.
        crf: Constant rate factor, 0..51.

    Returns:
        Bytes of all packets, and RGB of the same shape.
    """
    count, height, width, _ = frames.shape
    padded = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    encoder = cast(VideoCodecContext, av.CodecContext.create("libx264", "w"))
    encoder.width, encoder.height, encoder.pix_fmt = padded.shape[2], padded.shape[1], "yuv420p"
    encoder.time_base = Fraction(1, FRAMES_PER_S)
    encoder.gop_size, encoder.max_b_frames, encoder.thread_count = GOP, 0, 1
    encoder.options = {"crf": str(crf), "preset": PRESET}
    packets = []
    for index, picture in enumerate(padded):
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = index
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = cast(VideoCodecContext, av.CodecContext.create("h264", "r"))
    decoder.thread_count = 1
    decoded = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    assert len(decoded) == count, "a frame was lost between libx264 and its decoder"
    restored = np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])
    return sum(packet.size for packet in packets), np.ascontiguousarray(restored[:, :height, :width])
