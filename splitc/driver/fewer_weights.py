"""Prune and share the weights of a half as the recipe asks, and say honestly what each step saves, where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from splitc import graph, passes, weights
from splitc.recipe import SideWeights
from splitc.types import Feeds

NO_TIME = "unchanged: engines multiply zeros and read shared values as they do all others"
"""What unstructured zeros and shared values are worth in time, on every target."""
RUNS_TIME = "perhaps less on GPUs with sparse tensor cores (SM 80 and later), if the engine picks sparse kernels"
PRECISION_TIME = {
    "int8": "less where the target computes in INT8; measured by the profile of the target, not here",
    "fp16": "less where the target computes in FP16; measured by the profile of the target, not here",
}
Samples = Callable[[], Sequence[Feeds]]


@dataclass(frozen=True)
class Saving:
    """One step on one half, before and after.

    Attributes:
        side, step: Which half, and what was done.
        packed_bytes: On disk or over the air, in a weight container.
        memory_bytes: Weights in memory as the graph holds them.
        time: What it means for the time of an inference, in words.
    """

    side: str
    step: str
    packed_bytes_before: int
    packed_bytes: int
    memory_bytes_before: int
    memory_bytes: int
    time: str


@dataclass(frozen=True, eq=False)
class Step:
    """A pass that is asked for, and what it is worth in time."""

    title: str
    run: Callable[[ir.Model], passes.PassResult]
    time: str


def steps_of(asked: SideWeights, samples: Samples) -> Iterator[Step]:
    """What the recipe asks of a half, in the order it is done; ``samples`` is called where a step needs them."""
    if asked.prune is not None:
        options, needs = asked.prune, asked.prune.method == "compensated"
        yield Step(
            f"prune ({options.method}, conv {options.conv:g}, fc {options.fc:g})",
            passes.PruneWeights(options.conv, options.fc, options.method, samples() if needs else ()),
            NO_TIME,
        )
    if asked.sparsity == "2:4":
        yield Step("2:4 sparsity, compensated", passes.SparseRuns(samples()), RUNS_TIME)
    if asked.cluster is not None:
        shared = passes.ShareWeights(asked.cluster.conv_bits, asked.cluster.fc_bits, asked.cluster.init)
        yield Step(f"shared weights (conv {shared.conv_bits}, fc {shared.fc_bits} bits)", shared, NO_TIME)
    if asked.rounding is not None:
        noise = asked.rounding.noise
        yield Step(f"rounded to steps (noise {noise:g})", lambda model: _rounded(model, noise, samples()), NO_TIME)
    if asked.precision != "fp32":
        yield Step(asked.precision, passes.LOWER[asked.precision](samples()), PRECISION_TIME[asked.precision])


def _rounded(model: ir.Model, noise: float, feeds: Sequence[Feeds]) -> passes.PassResult:
    return passes.RoundToSteps(noise, passes.moments_of(model, feeds))(model)


def apply_steps(
    side: str, model: ir.Model, asked: SideWeights, samples: Samples
) -> tuple[ir.Model, list[str], list[Saving]]:
    """The half after every step, notes for the report, and what each step saves."""
    notes: list[str] = []
    savings: list[Saving] = []
    before = None
    for step in steps_of(asked, samples):
        before = before or (packed_bytes(model), graph.weight_bytes(model))
        result = step.run(model)
        model = result.model
        after = (packed_bytes(model), graph.weight_bytes(model))
        notes += [f"{side}: {note}" for note in result.notes]
        savings.append(Saving(side, step.title, before[0], after[0], before[1], after[1], step.time))
        before = after
    return model, notes, savings


def packed(model: ir.Model) -> bytes:
    """The weights of a half as a container."""
    return weights.container_bytes(weights.smallest_items(passes.weights_of(model)))


def packed_bytes(model: ir.Model) -> int:
    """Size of that container."""
    return len(packed(model))
