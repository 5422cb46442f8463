"""Which calibration samples fit a codec: as many as a bound on the memory of their features allows, spread evenly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from splitc import evaluate, graph
from splitc.codec import CodecSpec
from splitc.runtime import Sample, clip_lengths, pick
from splitc.types import TensorSpec

FEATURE_BYTES = 64_000_000
"""Of the float32 features that a codec is fitted on, all samples and cut tensors together. It is eight times what a
quantizer looks at (``splitc.codec.quantizers.FIT_VALUES``), and tables hardly change with more; fitting takes as much
again."""
PROBES = 4
"""Samples that are run through the head to learn a size that the graph leaves open."""
LEAST_RUNS = 4
"""Runs of consecutive frames that are kept where a group of pictures takes more than its share."""


@dataclass(frozen=True, eq=False)
class FittingSamples:
    """Samples that a codec is fitted on.

    Attributes:
        samples: They themselves.
        lengths: How many in a row are consecutive frames, run by run; their sum is the number of samples.
        of: How many there were to choose from.
        most_bytes: Bound on their features.
    """

    samples: Sequence[Sample]
    lengths: list[int]
    of: int
    most_bytes: int

    @property
    def notes(self) -> tuple[str, ...]:
        """For the report, where not all of them fit."""
        if len(self.samples) == self.of:
            return ()
        return (
            f"codec: fitted on {len(self.samples)} of {self.of} calibration samples, in runs of {max(self.lengths)} "
            f"spread evenly: the features of all take more than {self.most_bytes / 1e6:.3g} MB",
        )


def within_budget(
    spec: CodecSpec, halves: graph.Halves, samples: Sequence[Sample], most_bytes: int = FEATURE_BYTES
) -> FittingSamples:
    """The samples whose features take at most ``most_bytes``, but never fewer than a codec needs.

    Args:
        spec: What is fitted. Where it predicts, runs of consecutive frames are kept, each a group of pictures, or less
            where that would leave fewer than :data:`LEAST_RUNS`.
        halves: Whose head makes the features.
        samples: All calibration samples.
        most_bytes: Bound on the features, float32.
    """
    period = spec.make_temporal().period
    least = 1 if period == 1 else 2  # a predicted frame needs one before it
    most = max(least, most_bytes // max(1, _bytes_each(halves, samples)))
    if len(samples) <= most:
        return FittingSamples(samples, clip_lengths(samples), len(samples), most_bytes)
    lengths = [1] * len(samples) if period == 1 else clip_lengths(samples)
    runs = spread_runs(lengths, most, min(period, max(least, most // LEAST_RUNS)))
    chosen = pick(samples, [index for run in runs for index in run])
    return FittingSamples(chosen, [len(run) for run in runs], len(samples), most_bytes)


def spread(count: int, most: int) -> list[int]:
    """Up to ``most`` of the numbers below ``count``, evenly spaced, the first among them."""
    kept = min(count, most)
    return [index * count // kept for index in range(kept)]


def spread_runs(lengths: Sequence[int], most: int, length: int) -> list[range]:
    """Runs of consecutive numbers within clips, spread evenly over all clips.

    Runs begin where a stream that starts with its clip would have a keyframe. Clips that are shorter than ``length``
    count only where no clip has a whole run.

    Args:
        lengths: Of the clips, in order.
        most: Numbers in all runs together.
        length: Of a run, at most ``most``.
    """
    pieces, start = [], 0
    for clip in lengths:
        pieces += [range(at, min(at + length, start + clip)) for at in range(start, start + clip, length)]
        start += clip
    longest = max(map(len, pieces))
    whole = [piece for piece in pieces if len(piece) == longest]
    return [whole[index] for index in spread(len(whole), max(1, most // longest))]


def _bytes_each(halves: graph.Halves, samples: Sequence[Sample]) -> int:
    """float32 bytes of one sample's features; of the largest of a few samples, where the graph leaves sizes open."""
    if all(_is_fixed(tensor) for tensor in halves.cut):
        return sum(_elements(tensor.shape) for tensor in halves.cut) * 4
    head = evaluate.open_graph(halves.head)
    probes = pick(samples, spread(len(samples), PROBES))
    outputs = (head.run(sample.feeds) for sample in probes)
    return max(sum(each[tensor.name].size for tensor in halves.cut) * 4 for each in outputs)


def _is_fixed(tensor: TensorSpec) -> bool:
    """Every size is known but for that of the first axis, the batch, which is 1 here."""
    return all(isinstance(size, int) for size in tensor.shape[1:])


def _elements(shape: Sequence[int | str]) -> int:
    total = 1
    for size in shape:
        total *= size if isinstance(size, int) else 1
    return total
