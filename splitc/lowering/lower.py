"""Bring each half to the weights and the precision that the recipe asks for, on what the half will see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import onnx_ir as ir

from splitc import evaluate, graph, passes
from splitc.lowering.mixed_precision import (
    HELD_OUT_EVERY,
    Demand,
    LayerPrecision,
    MixedPair,
    QuantizedPair,
    hold_out_judges,
    mix,
)
from splitc.lowering.time_claims import ComputeTarget
from splitc.lowering.weight_steps import FloatHalf, LoweredHalf, Saving, apply_steps, count_steps, with_floats
from splitc.lowering.worth import layers_without_gain
from splitc.recipe import WeightsSection
from splitc.runtime import Sample, pick
from splitc.tasks import BoundTask
from splitc.types import Feeds

MOST_SAMPLES = 128
"""Samples that ranges are taken from; more hardly move a percentile and take memory."""
MOST_FLOAT_LAYERS = 16
"""Layers that return to float where no limit was asked for: with more, INT8 has lost its sense."""
OUTSTANDING = 0.04
"""Share of what all layers lose from which one of them returns in any case."""
CODED_SAMPLES = 8
"""Samples whose features go through a codec before ranges are taken behind it."""
MANY_ANSWERS_EVERY = 2
"""Of few samples with many answers each, such as boxes, every second judges: few boxes lie in a few pictures."""


@dataclass(frozen=True, eq=False)
class FeatureCoding:
    """The codec that will stand between the halves.

    Attributes:
        said: All that decides what it does, for a key.
        run: Samples, and what the tail takes of them -> the same as a codec fitted on them gives it back.
    """

    said: Mapping[str, object]
    run: Callable[[Sequence[Sample], Sequence[Feeds]], Sequence[Feeds]]


@dataclass(frozen=True, eq=False)
class LoweringRequest:
    """Float halves, and what shall become of them.

    Attributes:
        halves: In float.
        weights: What the recipe asks of each side.
        min_fidelity: Least agreement with the unsplit model, which decides how many layers of an INT8 half stay in
            float; None: the task's own limit, if it has one, else all are quantized.
        samples: Calibration samples; at most :data:`MOST_SAMPLES` are used, or twice as many where layers are chosen.
        targets: Side -> what the half is built for.
        task: What the network's answers are.
        coding: What happens to features between the halves; None: nothing is known of it.
    """

    halves: graph.Halves
    weights: WeightsSection
    min_fidelity: float | None
    samples: Sequence[Sample]
    targets: Mapping[str, ComputeTarget]
    task: BoundTask
    coding: FeatureCoding | None = None

    @cached_property
    def kept_float(self) -> Mapping[str, Mapping[str, str]]:
        """Side -> layers that INT8 leaves in float because of where they stand, or gains no time for, and why."""
        with_last = self.task.has_many_answers
        models = {"edge": (self.halves.head, self.halves.tail), "cloud": (self.halves.tail, None)}
        asked = precisions(self.weights)
        return {
            side: layers_without_gain(pair[0], self.targets[side]) | passes.output_layers(*pair, with_last=with_last)
            if asked[side] == "int8"
            else {}
            for side, pair in models.items()
        }

    @property
    def changes_nothing(self) -> bool:
        """Nothing is asked for: the float halves are the answer."""
        return count_lowering(self) == 0


@dataclass(frozen=True)
class Lowered:
    """The halves as they shall compute.

    Attributes:
        halves: Equal to the float ones where nothing is asked for.
        notes: What was done; empty where nothing was.
        savings: What each step saves.
        layers: Where precision is mixed, what became of each quantized layer, the most sensitive first.
    """

    halves: graph.Halves
    notes: tuple[str, ...] = ()
    savings: tuple[Saving, ...] = ()
    layers: tuple[LayerPrecision, ...] = ()


def precisions(weights: WeightsSection) -> dict[str, str]:
    """Side -> fp32, fp16 or int8."""
    return {"edge": weights.edge.precision, "cloud": weights.cloud.precision}


def is_mixed(weights: WeightsSection, min_fidelity: float | None) -> bool:
    """Whether layers of an INT8 half stay float as far as the recipe's limit needs."""
    return min_fidelity is not None and "int8" in precisions(weights).values()


def demand_of(request: LoweringRequest) -> Demand | None:
    """How far layers return to float; None where none do."""
    if "int8" not in precisions(request.weights).values():
        return None
    if request.min_fidelity is not None:
        return Demand(request.min_fidelity, (1 + request.min_fidelity) / 2)
    least = request.task.int8_fidelity
    return None if least is None else Demand(least, least, MOST_FLOAT_LAYERS, OUTSTANDING)


def lower(request: LoweringRequest, step: Callable[[], None] = lambda: None) -> Lowered:
    """Prune, share and lower the head on the calibration samples, then the tail on what that head makes of them.

    Where there is a ``min_fidelity`` and a half computes in INT8, layers stay float as far as that needs. ``step`` is
    called as often as :func:`count_lowering` says.

    Raises:
        GraphError: A half cannot be lowered.
    """
    if request.changes_nothing:
        return Lowered(request.halves)
    fitting, judging = _chosen_feeds(request)
    edge, cloud = _lowered_halves(request, fitting, step)
    lowered = Lowered(
        replace(request.halves, head=edge.model, tail=cloud.model),
        (*edge.notes, *cloud.notes),
        (*edge.savings, *cloud.savings),
    )
    originals, demand = _originals(edge, cloud), demand_of(request)
    if demand is None or not originals:
        return lowered
    pair = QuantizedPair(request.halves, lowered.halves, originals, judging, fitting, request.task)
    mixed = mix(pair, demand, step)
    savings = _after_mixing(lowered.savings, mixed, request.targets)
    return Lowered(mixed.halves, (*lowered.notes, *mixed.notes), savings, mixed.layers)


def _lowered_halves(
    request: LoweringRequest, fitting: Sequence[Feeds], step: Callable[[], None]
) -> tuple[LoweredHalf, LoweredHalf]:
    """Both halves after every step that is asked for, no layer lifted yet."""
    kept = request.kept_float
    head = FloatHalf(
        side="edge",
        model=request.halves.head,
        samples=lambda: fitting,
        target=request.targets["edge"],
        divergence=request.task.divergence,
        rest=request.halves.tail,
        keep_float=kept["edge"],
        corrects_alone=request.task.has_many_answers,
    )
    edge = apply_steps(head, request.weights.edge, step)
    tail = replace(
        head,
        side="cloud",
        model=request.halves.tail,
        samples=cache(lambda: _features(edge.model, request.halves, fitting)),
        target=request.targets["cloud"],
        divergence=_tail_divergence(request, edge.model, fitting[:1]),
        rest=None,
        keep_float=kept["cloud"],
        coded=lambda: _coded(edge.model, request),
    )
    return edge, apply_steps(tail, request.weights.cloud, step)


def count_lowering(request: LoweringRequest) -> int:
    """Steps of :func:`lower`; 0 where nothing is asked for."""
    asked, halves, kept = request.weights, request.halves, request.kept_float
    sides = ((halves.head, asked.edge, kept["edge"]), (halves.tail, asked.cloud, kept["cloud"]))
    judged = sum(
        layer.weight not in floats
        for model, one, floats in sides
        if one.precision == "int8"
        for layer in passes.layers_of(model)
    )
    return judged * (demand_of(request) is not None) + sum(count_steps(*side) for side in sides)


def _chosen_feeds(request: LoweringRequest) -> tuple[list[Feeds], list[Feeds]]:
    """What ranges are taken from, and what the choice of layers is judged by, if layers are chosen."""
    samples = request.samples
    if demand_of(request) is None:
        stride = max(1, -(-len(samples) // MOST_SAMPLES))
        return [sample.feeds for sample in samples[::stride]], []
    every = MANY_ANSWERS_EVERY if request.task.has_many_answers else HELD_OUT_EVERY
    fitting, judging = hold_out_judges(len(samples), MOST_SAMPLES, every)
    return [one.feeds for one in pick(samples, fitting)], [one.feeds for one in pick(samples, judging)]


def _originals(edge: LoweredHalf, cloud: LoweredHalf) -> dict[str, ir.Model]:
    """Side -> float model that quantized layers can be lifted back to."""
    sides = (("edge", edge), ("cloud", cloud))
    return {side: half.original for side, half in sides if half.original is not None}


def _after_mixing(
    savings: Sequence[Saving], mixed: MixedPair, targets: Mapping[str, ComputeTarget]
) -> tuple[Saving, ...]:
    """The steps to INT8 with what they came to once layers were lifted; all others as they are."""
    after = {"edge": mixed.halves.head, "cloud": mixed.halves.tail}
    kept = {side: [one.precision for one in mixed.layers if one.side == side] for side in after}
    return tuple(
        with_floats(one, after[one.side], kept[one.side].count("fp32"), len(kept[one.side]), targets[one.side])
        if one.step == "int8" and kept[one.side]
        else one
        for one in savings
    )


def _tail_divergence(
    request: LoweringRequest, head: ir.Model, samples: Sequence[Feeds]
) -> Callable[[Feeds, Feeds], float]:
    """The task's divergence of two outputs of the tail; what the head answers stands beside both, the same."""
    halves, divergence = request.halves, request.task.divergence
    if not halves.exits:
        return divergence
    made = evaluate.open_graph(head).run(halves.head_feeds(samples[0]))
    early = {name: made[name] for name in halves.exits}
    return lambda before, after: divergence({**before, **early}, {**after, **early})


def _features(head: ir.Model, halves: graph.Halves, samples: Sequence[Feeds]) -> list[Feeds]:
    """What the tail takes of the samples, as ``head`` makes it."""
    runner = evaluate.open_graph(head)
    return [halves.tail_feeds(feeds, runner.run(halves.head_feeds(feeds))) for feeds in samples]


def _coded(head: ir.Model, request: LoweringRequest) -> Sequence[Feeds]:
    """What the tail takes of some samples, with features as the codec gives them back."""
    if request.coding is None:
        return ()
    count = len(request.samples)
    some = pick(request.samples, range(0, count, max(1, -(-count // CODED_SAMPLES))))
    return request.coding.run(some, _features(head, request.halves, [sample.feeds for sample in some]))
