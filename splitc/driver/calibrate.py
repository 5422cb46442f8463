"""The codec of the chosen cut, fitted on calibration samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from splitc import graph, plan, trials
from splitc.cache import CachedStep, Key, arrays_from_file, json_from_file, key_of, parts_of_arrays, parts_of_json
from splitc.codec import Codec, CodecSpec
from splitc.driver.inputs import Inputs
from splitc.driver.recovery import Recovered
from splitc.lowering import FeatureCoding
from splitc.runtime import Sample
from splitc.types import Array, Feeds

FEATURES: CachedStep[list[Array]] = CachedStep("features", 1, parts_of_arrays, arrays_from_file)
CODEC: CachedStep[Codec] = CachedStep(
    "codec", 2, lambda codec: parts_of_json(codec.to_json()), lambda file: Codec.from_json(json_from_file(file))
)


LEAST_STEP, MOST_STEP = 1 / 1024, 16.0
"""What ``codec.step`` takes."""


@dataclass(frozen=True)
class Crossing:
    """What crosses, and how it is coded.

    Attributes:
        spec: The codec: the recipe's, or that of a bottleneck's code.
        layouts: Of the tensors that cross.
        size: Distance of levels that the spec's step is to come to; None: the step is what it says.
    """

    spec: CodecSpec
    layouts: tuple[graph.CutLayout, ...]
    size: float | None = None

    @classmethod
    def of(cls, inputs: Inputs, found: Recovered) -> Crossing:
        """After the stage that may have put a bottleneck at the cut."""
        if found.layouts is not None:
            return cls(found.spec, found.layouts, found.size)
        names = tuple(tensor.name for tensor in found.halves.cut)
        return cls(found.spec, plan.layouts(inputs.model, names, inputs.recipe.split))

    @property
    def said(self) -> dict[str, object]:
        """As keys say it."""
        axes = [[layout.batch_axis, layout.channel_axis, is_known] for layout, is_known in self.layouts]
        return {"layouts": axes, "size": self.size, "spec": self.spec.model_dump(mode="json")}

    def coding(self, halves: graph.Halves) -> FeatureCoding:
        """What the codec does to features of ``halves``, for who must bear it before the codec is fitted."""

        def run(samples: Sequence[Sample], made: Sequence[Feeds]) -> list[Feeds]:
            rows = [[one[tensor.name] for one in made] for tensor in halves.cut]
            return trials.recoded(_of_size(self.spec, self.size, rows), halves, self.layouts, samples, made)

        return FeatureCoding(self.said, run)


def samples_to_fit(inputs: Inputs, halves: graph.Halves, crossing: Crossing) -> trials.FittingSamples:
    """As many calibration samples as the memory of their features allows."""
    return trials.within_budget(crossing.spec, halves, crossing.layouts, inputs.calibration)


def fit(
    inputs: Inputs,
    halves: graph.Halves,
    chosen: trials.FittingSamples,
    crossing: Crossing,
    key: Key,
    step: Callable[[], None],
) -> Codec:
    """The codec that the recipe asks for.

    Args:
        inputs: The recipe and the model.
        halves: As they compute.
        chosen: Samples to fit on.
        crossing: What is fitted.
        key: Of the halves.
        step: Called once a sample.
    """
    spec, layouts, names = crossing.spec, crossing.layouts, tuple(tensor.name for tensor in halves.cut)
    samples = key_of(halves=key, of=chosen.of, lengths=chosen.lengths, most_bytes=chosen.most_bytes)

    def features() -> list[Array]:
        return [array for row in trials.features(halves, chosen.samples, step) for array in row]

    def fitted() -> Codec:
        kept = inputs.cache.run(FEATURES, samples, features)
        arrays = iter(kept)
        rows = [[next(arrays) for _ in range(sum(chosen.lengths))] for _ in names]
        judge = trials.judge_of(spec, halves, inputs.task, rows, chosen.samples)
        axes = trials.settle(halves, layouts, rows)
        return Codec.fit(_of_size(spec, crossing.size, rows), halves.cut, rows, chosen.lengths, axes, judge)

    codec = key_of(samples=samples, **crossing.said)
    return inputs.cache.run(CODEC, codec, fitted)


def _of_size(spec: CodecSpec, size: float | None, rows: Sequence[Sequence[Array]]) -> CodecSpec:
    """The spec whose step, a share of the spread of ``rows``, is ``size``."""
    if size is None:
        return spec
    spread = float(np.std(np.concatenate([one.ravel() for row in rows for one in row]), dtype=np.float64))
    return spec.replace(step=min(max(size / spread, LEAST_STEP), MOST_STEP))
