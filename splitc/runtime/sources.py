"""Find inputs and turn them into the network's feeds: pictures, videos, or arrays already in the network's form."""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from PIL import Image

from splitc.errors import UsageError
from splitc.files import sha256_bytes, sha256_of
from splitc.runtime.array_files import ARRAYS, ArrayFile, check_fits
from splitc.runtime.picture_fit import Box, fit_of, of_region
from splitc.runtime.pictures import (
    PICTURES,
    fit_picture,
    has_more_frames,
    is_picture,
    picture_size,
    read_picture,
    region_boxes,
)
from splitc.runtime.pixels import PixelFormat, pixel_format
from splitc.runtime.video import VIDEOS, count_frames, is_video, read_frames
from splitc.types import Array, Placement, Preprocess, TensorSpec

KNOWN = PICTURES | ARRAYS | VIDEOS
PACKAGE = "package:"
HINT = '; see data.preprocess: resize, fit, crop, layout; channels = "grey" gives one channel.'
"""What fits a picture to an input."""


@dataclass(frozen=True)
class Sample:
    """One inference.

    Attributes:
        name: For people.
        feeds: Arrays by input name, batch 1.
        clip: Samples in a row with equal clips are consecutive frames: those of one array file, and the pictures of
            one folder in the order of their names.
        file: Where it comes from; None where it was made in memory.
        placement: Where the picture lies in the input; None for arrays.
        picture: What was read, upright and RGB; only of a reader that keeps pictures.
    """

    name: str
    feeds: dict[str, Array]
    clip: str = ""
    file: Path | None = None
    placement: Placement | None = None
    picture: Image.Image | None = None

    @property
    def origin(self) -> Sample:
        """The same without its feeds: what is known about an answer's input."""
        return replace(self, feeds={})


@dataclass(frozen=True)
class Reader:
    """How files become feeds.

    Attributes:
        inputs: The network's inputs.
        preprocess: For pictures; arrays are taken as they are.
        regions: Square regions taken from each picture: the whole picture first, then smaller ones spread over it.
        keeps_pictures: Whether samples carry the pictures that they were made from, to draw on.
    """

    inputs: Sequence[TensorSpec]
    preprocess: Preprocess
    regions: int = 1
    keeps_pictures: bool = False

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
            with _naming(file):
                width, height = fit_of((right - left, bottom - top), self.preprocess).size
            self._check(file, (1, *self._format.shape(height, width)))
        return self.regions

    def remarks(self, files: Sequence[Path]) -> list[str]:
        """What reading does to files that their owner may not expect: frames left out, numbers cast.

        Raises:
            UsageError: As :meth:`count`.
        """
        animated = [file.name for file in files if is_picture(file) and has_more_frames(file)]
        casts = Counter(cast for file in files if is_array(file) for cast in ArrayFile(file, self.inputs).casts)
        said = []
        if animated[1:]:
            said = [f"{animated[0]} and {len(animated) - 1} more hold several pictures: the first is read of each"]
        elif animated:
            said = [f"{animated[0]} holds several pictures: the first is read"]
        return [*said, *(f"input {cast}, in {count} file{'s'[: count > 1]}" for cast, count in casts.items())]

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
            feeds, placement = self._fed(source, picture, (0, 0, *picture.size))
            kept = picture if self.keeps_pictures else None
            yield Sample(f"{Path(source).name}#{index}", feeds, source, placement=placement, picture=kept)

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
        picture = read_picture(file, self.preprocess.background)
        boxes = region_boxes(picture.width, picture.height, self.regions)
        for index in wanted:
            feeds, placement = self._fed(file, picture, boxes[index])
            name = file.name if self.regions == 1 else f"{file.name}#{index}"
            yield Sample(name, feeds, self.clip(file), file, placement, picture if self.keeps_pictures else None)

    def _fed(self, file: Path | str, picture: Image.Image, region: Box) -> tuple[dict[str, Array], Placement]:
        """A region of a picture as the network's one input, and where the whole picture lies in it."""
        part = picture if region == (0, 0, *picture.size) else picture.crop(region)
        with _naming(file):
            fitted = fit_picture(part, self.preprocess)
        batch = self._format.input_from_pixels(fitted.pixels)[None]
        self._check(file, batch.shape)
        return {self.inputs[0].name: batch}, of_region(fitted.placement, region, picture.size)

    def _check(self, file: Path | str, shape: Sequence[int]) -> None:
        check_fits(file, shape, self._format.dtype, self.inputs[0], HINT)

    @cached_property
    def _format(self) -> PixelFormat:
        return pixel_format(self.inputs[0], self.preprocess)

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
        for match in _known(pattern, base):
            found.setdefault(os.path.abspath(match), match)
    return list(found.values())


def _known(pattern: str, base: Path) -> list[Path]:
    """What a pattern matches, as far as it is known by its name."""
    place = _place(pattern, base)
    matches = _expand(place)
    known = [path for path in matches if path.suffix.lower() in KNOWN]
    if known:
        return known
    nothing, kinds = f"{pattern}: no picture, array or video found", ", ".join(sorted(KNOWN))
    if matches:
        unknown = ", ".join(path.name for path in matches[:3]) + (", ..." if len(matches) > 3 else "")
        raise UsageError(f"{nothing}: {unknown} in {_folder(place)} is none by its name (known: {kinds}).")
    if place.is_dir():
        raise UsageError(f"{nothing}: the folder {place} holds no file (known: {kinds}); ** looks below it.")
    is_glob = glob.has_magic(str(place))
    missing = "no file matches" if is_glob else "no such file or folder"
    raise UsageError(f"{nothing}: {missing} in {_folder(place)}.")


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


def _place(pattern: str, base: Path) -> Path:
    if pattern.startswith(PACKAGE):
        name, _, inner = pattern[len(PACKAGE) :].partition("/")
        base, pattern = _package_folder(name), inner
    return base / pattern


def _expand(path: Path) -> list[Path]:
    if path.is_file():  # its name may hold [ or *
        return [path]
    matches = path.iterdir() if path.is_dir() else map(Path, glob.glob(str(path), recursive=True))
    return sorted((match for match in matches if not match.is_dir()), key=natural_key)


def _folder(place: Path) -> str:
    """The folder that was searched, absolute, without the parts of a pattern."""
    plain = place if place.is_dir() else place.parent
    while glob.has_magic(str(plain)) and not plain.is_dir():
        plain = plain.parent
    return os.path.abspath(plain)


def _package_folder(name: str) -> Path:
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise UsageError(f"{PACKAGE}{name}: no such package is installed; pip install it, or name files instead.")
    return Path(found.submodule_search_locations[0])


@contextlib.contextmanager
def _naming(file: Path | str) -> Iterator[None]:
    """Refusals of what is in a file say which."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None
