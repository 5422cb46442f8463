"""The codec of the chosen cut, fitted on calibration samples."""

from __future__ import annotations

from collections.abc import Callable

from splitc import graph, plan, trials
from splitc.cache import CachedStep, Key, arrays_from_file, json_from_file, key_of, parts_of_arrays, parts_of_json
from splitc.codec import Codec
from splitc.driver.inputs import Inputs
from splitc.driver.recipes import codec_spec
from splitc.types import Array

FEATURES: CachedStep[list[Array]] = CachedStep("features", 1, parts_of_arrays, arrays_from_file)
CODEC: CachedStep[Codec] = CachedStep(
    "codec", 1, lambda codec: parts_of_json(codec.to_json()), lambda file: Codec.from_json(json_from_file(file))
)


def samples_to_fit(inputs: Inputs, halves: graph.Halves) -> trials.FittingSamples:
    """As many calibration samples as the memory of their features allows."""
    return trials.within_budget(codec_spec(inputs.recipe), halves, _layouts(inputs, halves), inputs.calibration)


def fit(
    inputs: Inputs, halves: graph.Halves, chosen: trials.FittingSamples, key: Key, step: Callable[[], None]
) -> Codec:
    """The codec that the recipe asks for.

    Args:
        inputs: The recipe and the model.
        halves: As they compute.
        chosen: Samples to fit on.
        key: Of the halves.
        step: Called once a sample.
    """
    spec, names = codec_spec(inputs.recipe), tuple(tensor.name for tensor in halves.cut)
    layouts = _layouts(inputs, halves)
    samples = key_of(halves=key, of=chosen.of, lengths=chosen.lengths, most_bytes=chosen.most_bytes)

    def features() -> list[Array]:
        return [array for row in trials.features(halves, chosen.samples, step) for array in row]

    def fitted() -> Codec:
        kept = inputs.cache.run(FEATURES, samples, features)
        arrays = iter(kept)
        rows = [[next(arrays) for _ in range(sum(chosen.lengths))] for _ in names]
        judge = trials.judge_of(spec, halves, inputs.task, rows, chosen.samples)
        axes = trials.settle(halves, layouts, rows)
        return Codec.fit(spec, halves.cut, rows, chosen.lengths, axes, judge)

    said = [[layout.batch_axis, layout.channel_axis, is_known] for layout, is_known in layouts]
    codec = key_of(samples=samples, layouts=said, spec=spec.model_dump(mode="json"))
    return inputs.cache.run(CODEC, codec, fitted)


def _layouts(inputs: Inputs, halves: graph.Halves) -> tuple[graph.CutLayout, ...]:
    return plan.layouts(inputs.model, tuple(tensor.name for tensor in halves.cut), inputs.recipe.split)
