"""The one place that imports PyAV (extra ``video``) and opens encoders and decoders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction

from splitc.codec.pictures.codecs import PictureCodec
from splitc.codec.pictures.threads import ordinary_threads
from splitc.errors import CapabilityError

try:
    import av
    from av.codec.context import Flags
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
except ImportError as error:
    raise CapabilityError("picture codecs need PyAV, which is not installed: pip install 'splitc[video]'.") from error

__all__ = ["VideoCodecContext", "VideoFrame", "av", "open_decoder", "open_encoder"]

os.environ.setdefault("SVT_LOG", "0")  # SVT-AV1 prints thirty lines an encoder, and has no other switch
FRAMES_PER_S = 25
"""Encoders want to know. A rate factor weighs frames by their duration, so ``time_base`` alone says it there."""


def open_encoder(
    codec: PictureCodec,
    shape: tuple[int, int],
    pixel_format: str,
    options: Mapping[str, str],
    gop: int | None = None,
) -> VideoCodecContext:
    """An encoder on one thread that leaves the scheduling of this process's threads as it was.

    Args:
        codec: Which.
        shape: ``(height, width)`` of its pictures.
        pixel_format: FFmpeg's name.
        options: The encoder's own.
        gop: Frames from one intra frame to the next, without B-frames; None where ``options`` say so.

    Raises:
        CapabilityError: The encoder is not part of this PyAV, or refuses the settings.
    """
    try:
        context = av.CodecContext.create(codec.encoder, "w")
        assert isinstance(context, VideoCodecContext)
        context.height, context.width = shape
        context.pix_fmt = pixel_format
        context.time_base = Fraction(1, FRAMES_PER_S)
        if gop is None:
            context.framerate = Fraction(FRAMES_PER_S)
        else:
            context.gop_size, context.max_b_frames = gop, 0
        context.options = dict(options)
        context.thread_count = 1
        with ordinary_threads():
            context.open()
    except (av.FFmpegError, ValueError) as error:
        raise CapabilityError(
            f"{codec.encoder} does not encode {pixel_format} pictures of {shape[0]} x {shape[1]} here ({error}); "
            "'splitc doctor' lists what works."
        ) from error
    return context


def open_decoder(codec: PictureCodec, most_pixels: int) -> VideoCodecContext:
    """A decoder on one thread that gives each picture at once and stops at the first error.

    Args:
        codec: Which.
        most_pixels: Larger pictures are refused before memory is taken for them.
    """
    context = av.CodecContext.create(codec.decoder, "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    context.flags |= Flags.low_delay
    context.options = {"max_pixels": str(most_pixels), "err_detect": "explode"}
    return context
