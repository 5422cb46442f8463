"""Frames written as an H.264 video, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from splitc.errors import CapabilityError, UsageError
from splitc.files import whole_file

ENCODER, PIXEL_FORMAT = "libx264", "yuv420p"
QUALITY = {"crf": "18", "preset": "fast"}


@dataclass(frozen=True, eq=False)
class VideoWriter:
    """An open video.

    Attributes:
        container: PyAV's.
        stream: Its one stream.
    """

    container: Any
    stream: Any

    def add(self, picture: Image.Image) -> None:
        """The next frame, without its odd last row or column; one of another size than the video's is scaled to it."""
        import av

        size = self.stream.width, self.stream.height
        fits = (picture.width & ~1, picture.height & ~1) == size
        frame = picture.crop((0, 0, *size)) if fits else picture.resize(size)
        self.container.mux(self.stream.encode(av.VideoFrame.from_image(frame.convert("RGB"))))

    def finish(self) -> None:
        """Write what the encoder holds back."""
        self.container.mux(self.stream.encode(None))


@contextmanager
def write_video(place: Path, size: tuple[int, int], rate: Fraction) -> Iterator[VideoWriter]:
    """An MP4 file, whole once the block ends; nothing is left of one that raises.

    Args:
        place: The file.
        size: Width and height of its frames, pixels.
        rate: Frames a second.

    Raises:
        CapabilityError: PyAV is missing, or cannot encode such frames.
        UsageError: Frames of one row or column, or the file cannot be written.
    """
    try:
        import av
        import av.error
    except ModuleNotFoundError as error:
        raise CapabilityError("writing video needs 'av': install splitc[video].") from error
    try:
        with whole_file(place) as path, av.open(str(path), "w", format="mp4") as container:
            writer = VideoWriter(container, _stream(container, size, rate, place))
            yield writer
            writer.finish()
    except (av.error.FFmpegError, OSError) as error:
        raise UsageError(f"{place}: cannot be written ({getattr(error, 'strerror', None) or error}).") from error


def _stream(container: Any, size: tuple[int, int], rate: Fraction, place: Path) -> Any:
    import av.error

    width, height = size
    if min(size) < 2:
        raise UsageError(f"{place}: frames of {width} x {height} pixels make no video; give larger ones.")
    try:
        stream = container.add_stream(ENCODER, rate=rate, options=QUALITY)
        stream.width, stream.height, stream.pix_fmt = width & ~1, height & ~1, PIXEL_FORMAT
        stream.codec_context.thread_count = 1
        stream.codec_context.open()
    except (av.error.FFmpegError, ValueError) as error:
        raise CapabilityError(
            f"{place}: {ENCODER} does not encode {width} x {height} pixels here ({error}); 'splitc doctor' lists what "
            "works."
        ) from error
    return stream
