"""Frames of video files, cameras and streams, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from splitc.errors import CapabilityError, UsageError

VIDEOS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".y4m"}
LIVE = ("rtsp://", "rtsps://", "/dev/video")
"""How sources begin that go on for ever."""
TIMEOUT_S = (10.0, 5.0)
"""For opening a source, and for the next frame."""


def is_video(file: Path) -> bool:
    """Whether the file's name ends as a video's does."""
    return file.suffix.lower() in VIDEOS


def is_live(source: str) -> bool:
    """Whether a source is a camera (V4L2) or an RTSP stream."""
    return source.startswith(LIVE)


def read_frames(source: str) -> Iterator[Image.Image]:
    """Every frame as RGB, in the order of showing.

    Args:
        source: A file, ``/dev/videoN`` or ``rtsp://...``.

    Raises:
        CapabilityError: PyAV is missing.
        UsageError: No video there, or one that cannot be decoded.
    """
    av = _library()
    try:
        with av.open(source, format="v4l2" if source.startswith("/dev/video") else None, **_options(source)) as opened:
            if not opened.streams.video:
                raise UsageError(f"{source}: holds no video.")
            for frame in opened.decode(opened.streams.video[0]):
                yield frame.to_image()
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
        return {}
    return {"timeout": TIMEOUT_S, "options": {"rtsp_transport": "tcp"} if source.startswith("rtsp") else {}}
