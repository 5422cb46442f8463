"""Samples of many files as one sequence that holds none of them: each is read when it is asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path
from typing import NamedTuple, overload

from splitc.runtime.sources import Reader, Sample


class _Place(NamedTuple):
    """A file, and a sample's number in it."""

    file: int
    number: int


@dataclass(frozen=True, eq=False)
class Samples(Sequence[Sample]):
    """Samples in the order of their files; equal numbers give equal arrays each time.

    Slices, steps and :meth:`pick` read nothing: they are ``Samples`` too. Iterating reads each run of ascending numbers
    of a file in one pass, so a video is decoded once, and no further than the last frame asked for.

        some = Samples.of(reader, files)[::4][:32]

    Attributes:
        reader: How files become feeds.
        files: The files.
        ends: How many samples there are up to the end of each file.
        numbers: Which samples of all files these are.
    """

    reader: Reader
    files: tuple[Path, ...]
    ends: tuple[int, ...]
    numbers: Sequence[int]

    @classmethod
    def of(cls, reader: Reader, files: Sequence[Path]) -> Samples:
        """All samples of files. Headers are read, and videos that do not say their length are decoded once.

        Raises:
            UsageError: A file that cannot be read, or does not fit the network's inputs, as far as headers tell.
            CapabilityError: A video, and PyAV is missing.
        """
        ends = tuple(accumulate(reader.count(file) for file in files))
        return cls(reader, tuple(files), ends, range(ends[-1] if ends else 0))

    def pick(self, indices: Sequence[int]) -> Samples:
        """The samples at these indices, in their order.

        Raises:
            IndexError: One is out of range.
        """
        return Samples(self.reader, self.files, self.ends, [self.numbers[index] for index in indices])

    def clip_lengths(self) -> list[int]:
        """How many samples in a row are of one clip and follow each other without a gap; nothing is read."""
        lengths: list[int] = []
        last = -1, ""
        for number in self.numbers:
            clip = self.reader.clip(self.files[self._place(number).file])
            if lengths and last == (number - 1, clip):
                lengths[-1] += 1
            else:
                lengths.append(1)
            last = number, clip
        return lengths

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Samples: ...

    def __getitem__(self, index: int | slice) -> Sample | Samples:
        if isinstance(index, slice):
            return Samples(self.reader, self.files, self.ends, self.numbers[index])
        place = self._place(self.numbers[index])
        return next(self.reader.read(self.files[place.file], [place.number]))

    def __iter__(self) -> Iterator[Sample]:
        for file, numbers in self._passes():
            yield from self.reader.read(self.files[file], numbers)

    def _place(self, number: int) -> _Place:
        file = bisect_right(self.ends, number)
        return _Place(file, number - (self.ends[file - 1] if file else 0))

    def _passes(self) -> Iterator[tuple[int, list[int]]]:
        """Ascending numbers in one file, as many in a row as there are."""
        current, numbers = -1, list[int]()
        for file, number in map(self._place, self.numbers):
            if numbers and (file != current or number <= numbers[-1]):
                yield current, numbers
                numbers = []
            current = file
            numbers.append(number)
        if numbers:
            yield current, numbers


def clip_lengths(samples: Sequence[Sample]) -> list[int]:
    """How many samples in a row are consecutive frames, clip by clip; of :class:`Samples`, without reading them."""
    if isinstance(samples, Samples):
        return samples.clip_lengths()
    return [len(list(clip)) for _, clip in groupby(samples, key=lambda sample: sample.clip)]


def pick(samples: Sequence[Sample], indices: Sequence[int]) -> Sequence[Sample]:
    """The samples at these indices; of :class:`Samples`, still to be read, in one pass."""
    return samples.pick(indices) if isinstance(samples, Samples) else [samples[index] for index in indices]
