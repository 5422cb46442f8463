"""Features of calibration samples, run through the float head, and the codec fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np

from splitc import evaluate, graph
from splitc.backends import Runner
from splitc.codec import Codec, CodecSpec
from splitc.errors import CapabilityError
from splitc.runtime import Sample
from splitc.types import F32


def sequence_lengths(samples: Sequence[Sample]) -> list[int]:
    """How many samples in a row are consecutive frames, clip by clip."""
    return [len(list(clip)) for _, clip in groupby(samples, key=lambda sample: sample.clip)]


def features(halves: graph.Halves, samples: Sequence[Sample], step: Callable[[], None] = lambda: None) -> list[F32]:
    """Run the float head: float32 ``[n, C, ...]`` of each cut tensor, ``n`` samples.

    Raises:
        CapabilityError: A cut tensor's size changes from sample to sample.
    """
    return run_head(evaluate.open_graph(halves.head), halves, samples, step)


def run_head(
    head: Runner, halves: graph.Halves, samples: Sequence[Sample], step: Callable[[], None] = lambda: None
) -> list[F32]:
    """The same by a head that is open already."""
    rows: list[list[F32]] = [[] for _ in halves.cut]
    for sample in samples:
        outputs = head.run(sample.feeds)
        for row, spec in zip(rows, halves.cut, strict=True):
            row.append(outputs[spec.name].astype(np.float32))
        step()
    for row, spec in zip(rows, halves.cut, strict=True):
        shapes = sorted({array.shape[1:] for array in row})
        if len(shapes) > 1:
            raise CapabilityError(
                f"cut value {spec.name!r} has sizes {list(shapes[0])} and {list(shapes[-1])} on different samples, and "
                "this version fits one size; set data.preprocess.resize and crop, or give arrays of one size."
            )
    return [np.concatenate(row) for row in rows]


def fit_codec(
    spec: CodecSpec, halves: graph.Halves, samples: Sequence[Sample], step: Callable[[], None] = lambda: None
) -> Codec:
    """The codec of a cut, fitted on the features of every sample."""
    return Codec.fit(spec, halves.cut, features(halves, samples, step), sequence_lengths(samples))
