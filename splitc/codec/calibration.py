"""What a codec is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from splitc.codec.judge import Judge
from splitc.errors import CodecError
from splitc.types import F32, F64, Layout, TensorSpec


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
                "build a bundle from a recipe, or give Codec.fit a judge."
            )
        numbers = [self.numbers[i] if self.numbers else i for i in samples]
        return np.asarray(self.judge(features, numbers), np.float64)

    def some(self, samples: Sequence[int], lengths: Sequence[int]) -> Calibration:
        """Only these samples, clips of those lengths."""
        few = tuple(tuple(arrays[i] for i in samples) for arrays in self.samples)
        numbers = tuple(self.numbers[i] if self.numbers else i for i in samples)
        return Calibration(self.tensors, self.layouts, few, tuple(lengths), self.judge, numbers)
