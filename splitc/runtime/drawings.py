"""Answers drawn on the pictures that they are about: a picture for a picture, a video for a video."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from splitc.errors import UsageError
from splitc.files import whole_file
from splitc.runtime.sources import Sample
from splitc.runtime.video import frame_rate, is_live, is_video
from splitc.runtime.video_writer import VideoWriter, write_video
from splitc.tasks import TaskAnswer

_UNSAFE = re.compile(r"[^\w.-]+")


class FileNames:
    """Names of files in one folder: each source its own, ``cat.png``, then ``cat-2.png`` for another cat.

    Args:
        folder: Made where it is missing.

    Raises:
        UsageError: It cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: cannot be made ({error.strerror}); name another folder.") from error
        self._folder = folder
        self._taken: set[str] = set()

    def new(self, stem: str, suffix: str, source: Path | None = None) -> Path:
        """A place for what becomes of ``source``.

        Raises:
            UsageError: The source itself lies there.
        """
        plain = _UNSAFE.sub("_", stem).strip(".") or "input"
        name, count = plain, 1
        while name.lower() in self._taken:  # file systems that ignore case keep them apart too
            name, count = f"{plain}-{count + 1}", count + 1
        self._taken.add(name.lower())
        place = self._folder / f"{name}{suffix}"
        if source is not None and place.exists() and place.samefile(source):
            raise UsageError(f"{place}: is an input, which is never overwritten; name another folder.")
        return place


class Drawings:
    """Drawn answers in a folder; closed, all files are whole.

    Args:
        folder: Gets one ``.png`` a picture and one ``.mp4`` a video, camera or stream.
    """

    def __init__(self, folder: Path) -> None:
        self._names = FileNames(folder)
        self._video = ExitStack()
        self._writer: VideoWriter | None = None
        self._source = ""

    def add(self, sample: Sample, answer: TaskAnswer) -> None:
        """Draw one answer.

        Args:
            sample: Of a reader that keeps pictures; feeds are not needed.
            answer: About the picture itself (``TaskAnswer.mapped``).

        Raises:
            UsageError: An array, which shows no picture; or the file cannot be written.
            CapabilityError: PyAV is missing.
        """
        if sample.picture is None:
            raise UsageError(f"{sample.name}: is an array, which answers cannot be drawn on; leave out --draw.")
        drawn = answer.draw(sample.picture)
        if sample.file is None or is_video(sample.file):
            self._video_of(sample, drawn.size).add(drawn)
            return
        with whole_file(self._names.new(sample.file.stem, ".png", sample.file)) as path:
            drawn.save(path)

    def close(self) -> None:
        """Finish the last video."""
        self._writer = None
        self._video.close()

    def _video_of(self, sample: Sample, size: tuple[int, int]) -> VideoWriter:
        if self._writer is None or self._source != sample.clip:
            self.close()
            # an address may hold a password beside its path
            path = urlsplit(sample.clip).path if is_live(sample.clip) else sample.clip
            place = self._names.new(Path(path).stem, ".mp4", sample.file)
            self._writer = self._video.enter_context(write_video(place, size, frame_rate(sample.clip)))
            self._source = sample.clip
        return self._writer
