"""Prune and share the weights of a half as the recipe asks, and say honestly what each step saves, where."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from splitc import graph, passes, weights
from splitc.lowering import time_claims
from splitc.recipe import Prune, SideWeights
from splitc.types import Feeds

MOST_PROBES = 32
"""Samples that sensitivities are measured on: every layer is run through all of them."""
Samples = Callable[[], Sequence[Feeds]]


@dataclass(frozen=True)
class Saving:
    """One step on one half, before and after.

    Attributes:
        side, step: Which half, and what was done.
        packed_bytes: In a weight container, to send or store; the bundle's also holds the codec's few constants.
        memory_bytes: Weights as the graph holds them: in memory, and in ``model.onnx`` on disk.
        time: What it means for the time of an inference on the target, in words.
    """

    side: str
    step: str
    packed_bytes_before: int
    packed_bytes: int
    memory_bytes_before: int
    memory_bytes: int
    time: str


@dataclass(frozen=True, eq=False)
class FloatHalf:
    """A half as it is to be lowered.

    Attributes:
        side: "edge" or "cloud".
        model: In float.
        samples: Gives samples of what it takes.
        target: What it is built for.
        rest: What makes outputs of the network of its own: the tail of a head.
        divergence: Smooth distance of two outputs of the network, the unchanged one first.
        keep_float: Weights of the layers that INT8 leaves in float because of where they stand, and why.
        corrects_alone: Whether INT8 corrects each bias by its own layer's error.
        coded: Some of its samples, about as a codec gives them back; none where it reads no features.
    """

    side: str
    model: ir.Model
    samples: Samples
    target: time_claims.ComputeTarget
    divergence: Callable[[Feeds, Feeds], float]
    rest: ir.Model | None = None
    keep_float: Mapping[str, str] = field(default_factory=dict)
    corrects_alone: bool = False
    coded: Samples = lambda: ()


@dataclass(frozen=True, eq=False)
class LoweredHalf:
    """A half after every step.

    Attributes:
        model: As it shall compute.
        notes: For the report.
        savings: What each step was worth.
        original: In INT8, the float model that layers can be lifted back to; else None.
    """

    model: ir.Model
    notes: tuple[str, ...]
    savings: tuple[Saving, ...]
    original: ir.Model | None


@dataclass(frozen=True, eq=False)
class WeightStep:
    """A pass that is asked for, and what it is worth in time."""

    title: str
    run: Callable[[ir.Model], passes.PassResult]
    time: str


def steps_of(half: FloatHalf, asked: SideWeights, step: Callable[[], None]) -> Iterator[WeightStep]:
    """What the recipe asks of a half, in the order it is done; samples are called for where a step needs them."""
    samples, same_time = half.samples, time_claims.of_unstructured(half.target)
    if asked.prune is not None:
        yield WeightStep(_prune_title(asked.prune), _pruning(asked.prune, half, step), same_time)
    if asked.sparsity == "2:4":
        yield WeightStep(
            "2:4 sparsity, compensated",
            passes.SparseRuns(samples(), step=step),
            time_claims.of_sparse_runs(half.target),
        )
    if asked.cluster is not None:
        shared = passes.ShareWeights(asked.cluster.conv_bits, asked.cluster.fc_bits, asked.cluster.init)
        yield WeightStep(f"shared weights (conv {shared.conv_bits}, fc {shared.fc_bits} bits)", shared, same_time)
    if asked.rounding is not None:
        noise = asked.rounding.noise
        yield WeightStep(
            f"rounded to steps (noise {noise:g})", lambda model: _rounded(model, noise, half, step), same_time
        )
    if asked.precision != "fp32":
        lower = _lowering(asked.precision, half, step)
        yield WeightStep(asked.precision, lower, time_claims.of_precision(half.target, asked.precision))


def _lowering(precision: str, half: FloatHalf, step: Callable[[], None]) -> passes.Pass:
    """What a lower precision may do is judged by the network's answers."""
    judge = passes.AnswerJudge(half.divergence, half.rest)
    if precision == "fp16":
        return passes.ToFloat16(half.samples(), judge=judge, coded=half.coded())
    return passes.QuantizeStatic(half.samples(), frozenset(half.keep_float), step, judge, half.corrects_alone)


def _prune_title(asked: Prune) -> str:
    return f"prune ({asked.method}, conv {asked.conv:g}, fc {asked.fc:g})"


def _pruning(asked: Prune, half: FloatHalf, step: Callable[[], None]) -> passes.PruneWeights:
    feeds = half.samples() if asked.method == "compensated" else ()
    return passes.PruneWeights(asked.conv, asked.fc, asked.method, feeds, step)


def _rounded(model: ir.Model, noise: float, half: FloatHalf, step: Callable[[], None]) -> passes.PassResult:
    """Steps by measured sensitivities: how far a unit of noise in a layer moves the pair's answers."""
    feeds = half.samples()
    seen = passes.moments_of(model, feeds)
    found = passes.measure_sensitivity(model, seen, feeds[:MOST_PROBES], half.rest, step, half.divergence)
    return passes.RoundToSteps(noise, seen, found, step)(model)


def count_steps(model: ir.Model, asked: SideWeights, keep_float: Collection[str] = ()) -> int:
    """How often :func:`apply_steps` calls its ``step``."""
    layers = len(passes.layers_of(model))
    inside = {  # what a step that is asked for calls by itself
        "prune": layers if asked.prune is not None and asked.prune.method == "compensated" else 0,
        "sparsity": layers,
        "cluster": 0,
        "rounding": 2 * layers,
        "precision": passes.quantizing_steps(model, frozenset(keep_float)) if asked.precision == "int8" else 0,
    }
    return sum(1 + inside[key] for key in inside if getattr(asked, key) not in (None, "none", "fp32"))


def apply_steps(half: FloatHalf, asked: SideWeights, step: Callable[[], None]) -> LoweredHalf:
    """Everything the recipe asks of a half; ``step`` is called as often as :func:`count_steps` says."""
    notes: list[str] = []
    savings: list[Saving] = []
    side, model, before, original = half.side, half.model, None, None
    if asked.changes_values:
        passes.refuse_not_finite(model, side)
    for one in steps_of(half, asked, step):
        before = before or (packed_bytes(model), graph.weight_bytes(model))
        result = one.run(model)
        passes.require_sound(result.model, f"the step {one.title!r}")
        model, original = result.model, result.original
        after = (packed_bytes(model), graph.weight_bytes(model))
        notes += [f"{side}: {note}" for note in result.notes]
        if one.title == "int8":
            notes += _kept_notes(half)
        time = one.time if result.changed else time_claims.of_nothing(half.target)
        savings.append(Saving(side, one.title, before[0], after[0], before[1], after[1], time))
        before = after
        step()
    return LoweredHalf(model, tuple(notes), tuple(savings), original)


def _kept_notes(half: FloatHalf) -> list[str]:
    """Layers that stand where INT8 is not used, by name and reason."""
    named = passes.layer_names(half.model, half.keep_float)
    return [f"{half.side}: stays float: {', '.join(names)}: {reason}" for reason, names in named.items()]


def with_floats(saving: Saving, model: ir.Model, floats: int, layers: int, target: time_claims.ComputeTarget) -> Saving:
    """The step to INT8 as it came to be: ``floats`` of the half's ``layers`` compute in float again."""
    return replace(
        saving,
        step=f"{saving.step}, {floats} of {layers} layers in fp32",
        packed_bytes=packed_bytes(model),
        memory_bytes=graph.weight_bytes(model),
        time=saving.time if floats < layers else time_claims.of_nothing(target),
    )


def packed(model: ir.Model) -> bytes:
    """The weights of a half as a container."""
    return weights.container_bytes(weights.smallest_items(passes.weights_of(model)))


def packed_bytes(model: ir.Model) -> int:
    """Size of that container."""
    return len(packed(model))
