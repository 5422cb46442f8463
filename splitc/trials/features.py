"""Features of calibration samples, run through the float head, and the codec fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from splitc import evaluate, graph
from splitc.backends import Runner
from splitc.codec import choose_channel_axis
from splitc.runtime import Sample
from splitc.types import F32, Layout


def features(
    halves: graph.Halves, samples: Sequence[Sample], step: Callable[[], None] = lambda: None
) -> list[list[F32]]:
    """Run the float head: of each cut tensor one float32 array a sample, whose dynamic sizes may differ."""
    return run_head(evaluate.open_graph(halves.head), halves, samples, step)


def run_head(
    head: Runner, halves: graph.Halves, samples: Sequence[Sample], step: Callable[[], None] = lambda: None
) -> list[list[F32]]:
    """The same by a head that is open already."""
    rows: list[list[F32]] = [[] for _ in halves.cut]
    for sample in samples:
        outputs = head.run(halves.head_feeds(sample.feeds))
        for row, spec in zip(rows, halves.cut, strict=True):
            row.append(outputs[spec.name].astype(np.float32))
        step()
    return rows


def settle(halves: graph.Halves, layouts: Sequence[graph.CutLayout], values: Sequence[Sequence[F32]]) -> list[Layout]:
    """The layouts of the cut tensors; where the graph does not tell the channel axis, the numbers choose it."""
    settled = []
    for spec, (layout, is_known), samples in zip(halves.cut, layouts, values, strict=True):
        axes = [axis for axis, size in enumerate(spec.shape) if isinstance(size, int) and axis != layout.batch_axis]
        settled.append(layout if is_known else choose_channel_axis(samples, layout, axes))
    return settled
