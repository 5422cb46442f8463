"""Frames of video files, cameras and streams, through PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image

from splitc.errors import CapabilityError, UsageError
from splitc.files import refuse_special

VIDEOS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".y4m"}
LIVE = ("rtsp://", "rtsps://", "/dev/video")
"""How sources begin that go on for ever."""
USUAL_RATE, LEAST_RATE, MOST_RATE = Fraction(25), Fraction(1, 60), Fraction(1000)
"""Frames a second that are believed."""
CONTAINERS = "mov,matroska,avi,mpeg,mpegvideo,mpegts,yuv4mpegpipe"
"""FFmpeg's readers of :data:`VIDEOS`. It has others that follow what a file says to other files and addresses."""
TIMEOUT_S = (10.0, 5.0)
"""For opening a source, and for the next frame."""


def is_video(file: Path) -> bool:
    """Whether the file's name has the suffix of a video."""
    return file.suffix.lower() in VIDEOS


def is_live(source: str) -> bool:
    """Whether a source is a camera (V4L2) or an RTSP stream."""
    return source.startswith(LIVE)


def read_frames(source: str, wanted: Sequence[int] | None = None) -> Iterator[tuple[int, Image.Image]]:
    """Frames as RGB with their numbers, in the order of showing.

    Args:
        source: A file, ``/dev/videoN`` or ``rtsp://...``.
        wanted: Numbers of the frames to take, ascending, in one pass that ends with the last of them; None: all.

    Raises:
        CapabilityError: PyAV is missing.
        UsageError: No video there, one that cannot be decoded, or one that ends too early.
    """
    left = count() if wanted is None else iter(wanted)
    following = next(left, None)
    with _open(source) as (opened, stream):
        for index, frame in enumerate(opened.decode(stream)):
            if index == following:
                yield index, frame.to_image()
                following = next(left, None)
            if following is None:
                return
    if wanted is not None and following is not None:
        raise UsageError(
            f"{source}: says that it has more frames than can be decoded: {following} is missing; write the video "
            "anew, as with: ffmpeg -i FILE -c:v libx264 -crf 12 NEW.mp4"
        )


def count_frames(file: str) -> int:
    """How many frames :func:`read_frames` gives of a file.

    The container is believed where it says so, its packets agree, and none of them can wait for one that is missing;
    else a pass decodes all frames and keeps none.

    Raises:
        CapabilityError: PyAV is missing.
        UsageError: No video there, or one that cannot be decoded.
    """
    with _open(file) as (opened, stream):
        packets = sum(1 for packet in opened.demux(stream) if packet.size and not packet.is_discard)
        if packets == stream.frames and not stream.codec_context.has_b_frames:
            return packets
    with _open(file) as (opened, stream):
        return sum(1 for _ in opened.decode(stream))


def frame_rate(source: str) -> Fraction:
    """Frames a second of a file, the mean; :data:`USUAL_RATE` where it does not say them, and of a live source.

    Raises:
        CapabilityError: PyAV is missing.
        UsageError: No video there.
    """
    if is_live(source):
        return USUAL_RATE
    with _open(source) as (_, stream):
        rate = stream.average_rate
        return Fraction(rate) if rate and LEAST_RATE <= rate <= MOST_RATE else USUAL_RATE


@contextmanager
def _open(source: str) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream."""
    av = _library()
    place = source
    if not is_live(source):
        refuse_special(Path(source))
        place = os.path.abspath(source)  # no name is taken for one of FFmpeg's protocols
    try:
        with av.open(place, format="v4l2" if source.startswith("/dev/video") else None, **_options(source)) as opened:
            if not opened.streams.video:
                raise UsageError(f"{source}: holds no video.")
            yield opened, opened.streams.video[0]
    except (av.error.FFmpegError, OSError) as error:
        raise UsageError(f"{source}: not a readable video ({getattr(error, 'strerror', None) or error}).") from error


def _library() -> Any:
    try:
        import av
        import av.error
    except ModuleNotFoundError as error:
        raise CapabilityError("reading video needs 'av': install splitc[video].") from error
    return av


def _options(source: str) -> dict[str, Any]:
    if not is_live(source):
        return {"options": {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}}
    return {"timeout": TIMEOUT_S, "options": {"rtsp_transport": "tcp"} if source.startswith("rtsp") else {}}
