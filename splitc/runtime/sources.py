"""Find inputs and turn them into the network's feeds: pictures, videos, or arrays already in the network's form."""

from __future__ import annotations

import glob
import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from splitc.errors import UsageError
from splitc.files import sha256_bytes, sha256_of
from splitc.runtime.array_files import ARRAYS, ArrayFile, check_fits
from splitc.runtime.pictures import (
    PICTURES,
    input_from_picture,
    input_shape,
    is_picture,
    picture_size,
    read_picture,
    region_boxes,
)
from splitc.runtime.video import VIDEOS, count_frames, is_video, read_frames
from splitc.types import Array, Preprocess, TensorSpec

KNOWN = PICTURES | ARRAYS | VIDEOS
PACKAGE = "package:"


@dataclass(frozen=True)
class Sample:
    """One inference.

    Attributes:
        name: For people.
        feeds: Arrays by input name, batch 1.
        clip: Samples in a row with equal clips are consecutive frames: those of one array file, and the pictures of
            one folder in the order of their names.
        file: Where it comes from; None where it was made in memory.
    """

    name: str
    feeds: dict[str, Array]
    clip: str = ""
    file: Path | None = None


@dataclass(frozen=True)
class Reader:
    """How files become feeds.

    Attributes:
        inputs: The network's inputs.
        preprocess: For pictures; arrays are taken as they are.
        regions: Square regions taken from each picture: the whole picture first, then smaller ones spread over it.
    """

    inputs: Sequence[TensorSpec]
    preprocess: Preprocess
    regions: int = 1

    def samples(self, files: Sequence[Path]) -> Iterator[Sample]:
        """Read files one by one.

        Raises:
            UsageError: A file that is neither picture nor array, or does not fit the network's inputs.
        """
        for file in files:
            yield from self._all_of(file)

    def count(self, file: Path) -> int:
        """How many samples a file gives, from its header where that says so; no pixels become numbers.

        Raises:
            UsageError: As :meth:`samples`, as far as headers tell.
            CapabilityError: PyAV is missing.
        """
        if is_array(file):
            return ArrayFile(file, self.inputs).count
        self._require_one_input(file)
        if is_video(file):
            return count_frames(str(file))
        width, height = picture_size(file)
        for left, top, right, bottom in region_boxes(width, height, self.regions):
            shape = input_shape((right - left, bottom - top), self.preprocess)
            check_fits(file, (1, *shape), np.dtype(np.float32), self.inputs[0])
        return self.regions

    def clip(self, file: Path) -> str:
        """What the clip is called that a file's samples belong to."""
        return str(file.parent if is_picture(file) else file)

    def read(self, file: Path, wanted: Sequence[int]) -> Iterator[Sample]:
        """Some samples of one file, in one pass.

        Args:
            file: Of a kind that :func:`find_files` finds.
            wanted: Their numbers in the file, ascending.

        Raises:
            UsageError: As :meth:`samples`, or a video that ends before the last of them.
        """
        if is_video(file):
            return (replace(sample, file=file) for sample in self.frames(str(file), wanted))
        return self._arrays(file, wanted) if is_array(file) else self._pictures(file, wanted)

    def frames(self, source: str, wanted: Sequence[int] | None = None) -> Iterator[Sample]:
        """Frames of a video file, a camera or a stream, which are one clip.

        Args:
            source: A file, a device or an address.
            wanted: Numbers of the frames to take, ascending; None: all.

        Raises:
            UsageError: No readable video, frames that do not fit the network's input, or too few of them.
            CapabilityError: PyAV is missing.
        """
        self._require_one_input(source)
        for index, picture in read_frames(source, wanted):
            batch = input_from_picture(picture, self.preprocess)[None]
            check_fits(source, batch.shape, batch.dtype, self.inputs[0])
            name = f"{Path(source).name}#{index}"
            yield Sample(name, {self.inputs[0].name: batch}, source)

    def _all_of(self, file: Path) -> Iterator[Sample]:
        if is_video(file):
            return (replace(sample, file=file) for sample in self.frames(str(file)))
        return self._arrays(file) if is_array(file) else self._pictures(file, range(self.regions))

    def _require_one_input(self, file: Path | str) -> None:
        if len(self.inputs) != 1:
            names = ", ".join(spec.name for spec in self.inputs)
            raise UsageError(
                f"{file}: the network has {len(self.inputs)} inputs ({names}); give an .npz with those names."
            )

    def _pictures(self, file: Path, wanted: Sequence[int]) -> Iterator[Sample]:
        self._require_one_input(file)
        picture = read_picture(file)
        boxes = region_boxes(picture.width, picture.height, self.regions)
        for index in wanted:
            region = picture if index == 0 else picture.crop(boxes[index])
            batch = input_from_picture(region, self.preprocess)[None]
            check_fits(file, batch.shape, batch.dtype, self.inputs[0])
            name = file.name if self.regions == 1 else f"{file.name}#{index}"
            yield Sample(name, {self.inputs[0].name: batch}, self.clip(file), file)

    def _arrays(self, file: Path, wanted: Sequence[int] | None = None) -> Iterator[Sample]:
        arrays = ArrayFile(file, self.inputs)
        chosen = range(arrays.count) if wanted is None else wanted
        for index, feeds in zip(chosen, arrays.feeds(chosen), strict=True):
            yield Sample(f"{file.name}#{index}", feeds, self.clip(file), file)


def find_files(patterns: Sequence[str], base: Path) -> list[Path]:
    """Files that the patterns name, each once: pattern by pattern, within one in the order of their numbers.

    A pattern is a file, a folder, a glob relative to ``base``, or ``package:NAME/glob`` inside an installed package.

    Raises:
        UsageError: A pattern matches nothing readable.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        matches = [path for path in _expand(pattern, base) if path.suffix.lower() in KNOWN]
        if not matches:
            raise UsageError(f"{pattern}: no picture, array or video found (known: {', '.join(sorted(KNOWN))}).")
        for match in matches:
            found.setdefault(os.path.abspath(match), match)
    return list(found.values())


def natural_key(path: Path) -> tuple[list[list[str | int]], str]:
    """Sorts paths as people count: ``frame2`` before ``frame10``."""
    parts = (re.split(r"([0-9]+)", part) for part in path.parts)  # text and digits in turn
    return [[int(run) if index % 2 else run for index, run in enumerate(runs)] for runs in parts], str(path)


def files_sha256(files: Sequence[Path]) -> str:
    """Hash of the hashes of files, in their order; names play no part. They are read in blocks.

    Raises:
        UsageError: A file cannot be read.
    """
    digests = []
    for file in files:
        try:
            digests.append(bytes.fromhex(sha256_of(file)))
        except OSError as error:
            raise UsageError(f"{file}: cannot be read ({error.strerror}).") from error
    return sha256_bytes(*digests)


def is_array(file: Path) -> bool:
    """Whether the file's name has the suffix of a NumPy file."""
    return file.suffix.lower() in ARRAYS


def _expand(pattern: str, base: Path) -> list[Path]:
    if pattern.startswith(PACKAGE):
        name, _, inner = pattern[len(PACKAGE) :].partition("/")
        base, pattern = _package_folder(name), inner
    path = Path(pattern) if Path(pattern).is_absolute() else base / pattern
    if path.is_file():  # its name may hold [ or *
        return [path]
    matches = path.iterdir() if path.is_dir() else map(Path, glob.glob(str(path), recursive=True))
    return sorted((match for match in matches if not match.is_dir()), key=natural_key)


def _package_folder(name: str) -> Path:
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise UsageError(f"{PACKAGE}{name}: no such package is installed; pip install it, or name files instead.")
    return Path(found.submodule_search_locations[0])
