"""The stage that trains a bottleneck at the cut: halves in, halves with a narrower cut out, where that saves bytes.

The training room, and torch with it, is imported when a recipe asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from splitc import evaluate, graph
from splitc.cache import CachedStep, Key, Parts, arrays_from_file, key_of, parts_of_arrays
from splitc.codec import CodecSpec
from splitc.driver.inputs import Inputs
from splitc.driver.keys import task_key
from splitc.driver.recipes import codec_spec
from splitc.driver.watch import Stages
from splitc.errors import CutError, RecipeError
from splitc.recipe import RecoverySection
from splitc.runtime import Samples
from splitc.types import F32, USUAL_LAYOUT, TensorSpec

if TYPE_CHECKING:
    from splitc.train import Bench, BottleneckOptions, Recovery

JUDGE_EVERY = 8
"""Of so many samples one judges and is not trained on."""
MOST_JUDGES = 256
MOST_FITTING = 200
"""Samples that codecs, basis and metric are fitted on; tables are within 1 % from 25 on."""
MOST_COMPONENTS = 4096
"""Of a block; axes of more take minutes to find."""
LEAST_SAMPLES = 40
"""Fewer cannot be trained on and judge at once."""


@dataclass(frozen=True, eq=False)
class Recovered:
    """The halves to go on with.

    Attributes:
        halves: With the bottleneck in them where it is kept.
        spec: The codec of what crosses.
        size: Distance of its levels in units of what crosses; None: what the spec says, a share of the spread.
        layouts: Of what crosses; None: as the model's graph tells.
        key: Of what was trained; None where nothing was.
        notes: What was done, for the report; empty where the halves are the model's.
        document: For the report; None where nothing was trained.
    """

    halves: graph.Halves
    spec: CodecSpec
    size: float | None = None
    layouts: tuple[graph.CutLayout, ...] | None = None
    key: Key | None = None
    notes: tuple[str, ...] = ()
    document: dict[str, Any] | None = None


def recovered(inputs: Inputs, halves: graph.Halves, stages: Stages) -> Recovered:
    """Train what the recipe asks for; a stage of its own where it asks for anything.

    Raises:
        CutError: A bottleneck cannot stand at this cut.
        RecipeError: Too few samples.
        CapabilityError: A node of the tail cannot be converted; the message names it.
    """
    section, spec = inputs.recipe.recovery, codec_spec(inputs.recipe)
    if section is None:
        return Recovered(halves, spec)
    _refuse_cut(halves)
    _refuse_few(inputs.training)
    from splitc.train import count_iterations

    options, channels = _options(section), _channels(halves)
    _refuse_width(options, channels)
    key = _key(inputs, halves, spec, options)
    with stages("recovery", len(inputs.training) + count_iterations(options, channels)) as step:
        found = inputs.cache.run(_step(halves), key, lambda: _trained(inputs, halves, spec, options, key, step))
    return _after(halves, spec, found, key)


def _after(halves: graph.Halves, spec: CodecSpec, found: Recovery, key: Key) -> Recovered:
    from splitc.train import fold

    document = {"cut": [one.name for one in halves.cut], **found.document}
    if found.bottleneck is None:
        return Recovered(halves, spec, key=key, document=document)
    folded = fold(replace(halves, tail=found.tail), found.bottleneck)
    layouts = (graph.CutLayout(USUAL_LAYOUT, True),)
    code, free, chosen = folded.cut[0], document["training_free"], document["chosen"]
    note = (
        f"recovery: a bottleneck makes {halves.cut[0].name!r} {_sizes(halves.cut[0])} cross as {_sizes(code)}: "
        f"{chosen['payload_bytes']:,.0f} bytes a sample instead of {free['payload_bytes']:,.0f} at a divergence of "
        f"{free['divergence']:.3g}, on samples that were not trained on; plan and its pictures are without it"
    )
    return Recovered(folded, found.spec, found.size, layouts, key, (note,), document)


def _sizes(spec: TensorSpec) -> str:
    return "x".join(map(str, spec.shape[1:]))


def _refuse_cut(halves: graph.Halves) -> None:
    names = ", ".join(one.name for one in halves.cut)
    if len(halves.cut) != 1 or halves.exits or halves.given:
        raise CutError(
            f"recovery.bottleneck: {names}: one tensor has to carry everything, without exits of the head and inputs "
            "that the tail is given; choose a cut of one tensor, or leave [recovery] out."
        )
    (spec,) = halves.cut
    if spec.dtype != "float32" or len(spec.shape) != 4 or any(isinstance(size, str) for size in spec.shape[1:]):
        raise CutError(
            f"recovery.bottleneck: {spec.name!r} is {spec.dtype} {list(spec.shape)}, and a bottleneck takes float32 "
            "maps [N, C, H, W] of fixed C, H and W; fix the sizes with model.shapes, cut elsewhere, or leave "
            "[recovery] out."
        )


def _channels(halves: graph.Halves) -> int:
    channels = halves.cut[0].shape[1]
    assert isinstance(channels, int), "refused before"
    return channels


def _refuse_width(options: BottleneckOptions, channels: int) -> None:
    components = channels * options.stride**2
    if components > MOST_COMPONENTS:
        raise RecipeError(
            f"recovery.bottleneck: blocks of {options.stride} x {options.stride} places of {channels} channels have "
            f"{components} components, {MOST_COMPONENTS} are the most; use stride = 1, or cut elsewhere."
        )
    if options.channels is not None and options.channels > components:
        raise RecipeError(
            f"recovery.bottleneck.channels: {options.channels} are more than the {components} components of a block of "
            f"{options.stride} x {options.stride} places of {channels} channels; use fewer."
        )


def _refuse_few(training: Sequence[object]) -> None:
    if len(training) < LEAST_SAMPLES:
        raise RecipeError(
            f"recovery: {len(training)} samples to train on and to judge by are too few, {LEAST_SAMPLES} are the least "
            "and thousands do best; name unlabelled files in recovery.data, or more in data.calibration."
        )


def _options(section: RecoverySection) -> BottleneckOptions:
    from splitc.train import BottleneckOptions

    assert section.bottleneck is not None, "refused before"
    own = section.model_dump(include={"iterations", "batch", "learning_rate", "tail_rate", "seed"})
    return BottleneckOptions(**section.bottleneck.model_dump(), **own)


def _key(inputs: Inputs, halves: graph.Halves, spec: CodecSpec, options: BottleneckOptions) -> Key:
    return key_of(
        model=inputs.model_key,
        data=inputs.data_key,
        training=[inputs.training_sha256, *(str(path) for path in inputs.training.files)],
        task=task_key(inputs.task),
        cut=[one.name for one in halves.cut],
        codec=spec.model_dump(mode="json"),
        options=options.model_dump(mode="json"),
        torch=version("torch"),
    )


def _trained(
    inputs: Inputs,
    halves: graph.Halves,
    spec: CodecSpec,
    options: BottleneckOptions,
    key: Key,
    step: Callable[[], None],
) -> Recovery:
    from splitc.train import TorchNetwork, recover, stored

    samples, judges = _parted(inputs.training)
    tail, (feature,) = TorchNetwork(halves.tail), halves.cut
    rows = _features(halves, [samples, judges])
    with stored(rows, (len(samples), len(judges)), tail, feature.name, step) as store:
        bench = _bench(store, tail, inputs, feature)
        return recover(bench, halves.tail, options, spec, inputs.cache, key, step)


def _bench(store: Any, tail: Any, inputs: Inputs, feature: TensorSpec) -> Bench:
    from splitc.train import Bench

    count = len(store)
    fitting = range(0, count, max(1, -(-count // MOST_FITTING)))
    return Bench(store, tail, inputs.task, feature, fitting, range(count, count + store.judges))


def _parted(training: Samples) -> tuple[Samples, Samples]:
    """Samples to train on, and those that judge: every so many, and no more than suffice."""
    every = max(JUDGE_EVERY, -(-len(training) // MOST_JUDGES))
    numbers = range(len(training))
    return training.pick([one for one in numbers if one % every]), training.pick(list(numbers[::every]))


def _features(halves: graph.Halves, parts: Sequence[Samples]) -> Iterator[F32]:
    head, (feature,) = evaluate.open_optimized(halves.head), halves.cut
    for samples in parts:
        for sample in samples:
            yield head.run(halves.head_feeds(sample.feeds))[feature.name]


def _step(halves: graph.Halves) -> CachedStep[Recovery]:
    """What was trained: the report's document, the codec, both ends, and the tail where it was tuned."""
    return CachedStep("recovery", 1, lambda found: _packed(found, halves), lambda file: _unpacked(file, halves))


def _packed(found: Recovery, halves: graph.Halves) -> Parts:
    is_tuned = found.tail is not halves.tail
    said = {
        "spec": found.spec.model_dump(mode="json"),
        "size": found.size,
        "document": found.document,
        "is_tuned": is_tuned,
    }
    tail = graph.to_bytes(found.tail) if is_tuned else b""
    ends = [] if found.bottleneck is None else found.bottleneck.arrays()
    return parts_of_arrays([*(np.frombuffer(one, np.uint8) for one in (json.dumps(said).encode(), tail)), *ends])


def _unpacked(file: BinaryIO, halves: graph.Halves) -> Recovery:
    from splitc.train import Bottleneck, Recovery

    said, tail, *ends = arrays_from_file(file)
    table = json.loads(said.tobytes())
    return Recovery(
        Bottleneck.from_arrays(ends) if ends else None,
        graph.from_bytes(tail.tobytes()) if table["is_tuned"] else halves.tail,
        CodecSpec(**table["spec"]),
        table["size"],
        table["document"],
    )
