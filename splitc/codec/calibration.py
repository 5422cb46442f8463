"""What a codec is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splitc.codec.judge import GradientJudge, Judge
from splitc.errors import CodecError
from splitc.types import F32, F64, Layout, TensorSpec

GRADIENTS = (8, 64)
"""Least and most gradients that are taken, of samples spread evenly; of few samples, several each."""
GRADIENT_BYTES = 64_000_000
"""Bound on their memory, all tensors together, beyond the least number."""


@dataclass(frozen=True)
class Calibration:
    """Samples of the cut tensors, and who judges what becomes of them.

    Attributes:
        tensors: The cut, in packet order.
        layouts: Which axes of each are samples and channels.
        samples: Of each tensor one float32 array a sample, of the cut's axes.
        lengths: How many samples in a row are consecutive frames; their sum is the number of samples.
        judge: None where answers cannot be had.
        numbers: What the judge calls the samples; empty: as they stand.
    """

    tensors: tuple[TensorSpec, ...]
    layouts: tuple[Layout, ...]
    samples: tuple[tuple[F32, ...], ...]
    lengths: tuple[int, ...]
    judge: Judge | None = None
    numbers: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.samples[0])

    def wires(self, tensor: int) -> list[F32]:
        """Samples of one tensor with the axes of the wire, ``[n, C, ...]``, before any transform."""
        return [self.layouts[tensor].to_wire(x) for x in self.samples[tensor]]

    def row(self, sample: int) -> list[F32]:
        """One sample of every tensor."""
        return [arrays[sample] for arrays in self.samples]

    def divergences(self, features: Sequence[Sequence[F32]], samples: Sequence[int]) -> F64:
        """What the judge says of ``features`` in place of ``samples``, counted from 0 here; float64, one a sample.

        Raises:
            CodecError: There is no judge.
        """
        if self.judge is None:
            raise CodecError(
                'steps = "sensitivity" and transform = "auto" are fitted by running the tail, which is not here; '
                "build a bundle from a recipe, give Codec.fit a judge, or fit CodecSpec.without_tail()."
            )
        numbers = [self.numbers[i] if self.numbers else i for i in samples]
        return np.asarray(self.judge(features, numbers), np.float64)

    @cached_property
    def gradients(self) -> tuple[list[F32], ...]:
        """Of every tensor, wires ``[n, C, ...]`` of the judge's gradients; empty where it has none."""
        if not isinstance(self.judge, GradientJudge):
            return ()
        size = 4 * sum(arrays[0].size for arrays in self.samples)
        draws = max(GRADIENTS[0], min(GRADIENTS[1], GRADIENT_BYTES // max(size, 1)))
        rows = []
        for draw in range(draws):
            sample = draw * max(self.count, draws) // draws % self.count
            found = self.judge.gradients(self.numbers[sample] if self.numbers else sample, draw)
            if found is None:
                return ()
            if all(np.isfinite(one).all() for one in found):
                rows.append(found)
        pairs = zip(self.layouts, zip(*rows, strict=True), strict=False)
        return tuple([layout.to_wire(x) for x in column] for layout, column in pairs)

    def some(self, samples: Sequence[int], lengths: Sequence[int]) -> Calibration:
        """Only these samples, clips of those lengths."""
        few = tuple(tuple(arrays[i] for i in samples) for arrays in self.samples)
        numbers = tuple(self.numbers[i] if self.numbers else i for i in samples)
        return Calibration(self.tensors, self.layouts, few, tuple(lengths), self.judge, numbers)
