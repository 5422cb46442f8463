"""Which calibration samples fit a codec: as many as a bound on the memory of their features allows, spread evenly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from splitc import evaluate, graph
from splitc.codec import CodecSpec
from splitc.runtime import Sample, clip_lengths, pick
from splitc.types import Layout, TensorSpec

FEATURE_BYTES = 64_000_000
"""Of the float32 features that a codec is fitted on, all samples and cut tensors together. It is eight times what a
quantizer looks at (``splitc.codec.quantizers.FIT_VALUES``), and tables hardly change with more; fitting takes as much
again."""
PROBES = 4
"""Samples that are run through the head to learn a size that the graph leaves open."""
BYTES_EACH = 4
"""Of a float32."""
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
    spec: CodecSpec,
    halves: graph.Halves,
    layouts: Sequence[graph.CutLayout],
    samples: Sequence[Sample],
    most_bytes: int = FEATURE_BYTES,
) -> FittingSamples:
    """The samples whose features take at most ``most_bytes``, but never fewer than a codec needs.

    Args:
        spec: What is fitted. Where it predicts, runs of consecutive frames are kept, each a group of pictures, or less
            where that would leave fewer than :data:`LEAST_RUNS`.
        halves: Whose head makes the features.
        layouts: Of the cut tensors.
        samples: All calibration samples.
        most_bytes: Bound on the features, float32.
    """
    period = spec.make_temporal().period
    least = 1 if period == 1 else 2  # a predicted frame needs one before it
    most = max(least, most_bytes // max(1, _bytes_each(halves, layouts, samples)))
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


def _bytes_each(halves: graph.Halves, layouts: Sequence[graph.CutLayout], samples: Sequence[Sample]) -> int:
    """float32 bytes of one sample's features; of the largest of a few samples, where the graph leaves sizes open."""
    sizes = [_elements(tensor, layout.layout) for tensor, layout in zip(halves.cut, layouts, strict=True)]
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes):
        return sum(known) * BYTES_EACH
    head = evaluate.open_graph(halves.head)
    outputs = (head.run(halves.head_feeds(sample.feeds)) for sample in pick(samples, spread(len(samples), PROBES)))
    return max(sum(each[tensor.name].size for tensor in halves.cut) for each in outputs) * BYTES_EACH


def _elements(tensor: TensorSpec, layout: Layout) -> int | None:
    """Of one sample; None where a size is open."""
    sizes = [1 if axis == layout.batch_axis else size for axis, size in enumerate(tensor.shape)]
    fixed = [size for size in sizes if isinstance(size, int)]
    return prod(fixed) if len(fixed) == len(sizes) else None
