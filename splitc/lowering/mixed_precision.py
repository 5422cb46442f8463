"""Which layers of an INT8 pair compute in float after all, so that the answers keep the recipe's ``min_fidelity``.

1. Each layer is quantized alone, and the parts of the task's divergence of the pair's answers are measured. Each part
   is divided by its sum over the layers: scores of boxes do not drown their places. Layers are ordered by what they
   come to together.
2. Layers go back to float in the order of their sensitivities, until the agreement keeps the limit; bisection finds how
   many. Where an answer is one decision, it is what the moves of the answers to samples that nothing was calibrated on
   let expect (:func:`splitc.evaluate.expected_agreement`), and the agreement of these samples themselves must not be
   surely below the limit. Where an answer is more than a decision, the task's verdict on them decides. Of a limit that
   the recipe has, half of what it allows is left for the codec and for chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from splitc import evaluate, graph, passes, plan
from splitc.lowering.weight_steps import MOST_PROBES
from splitc.tasks import BoundTask, TaskAgreement
from splitc.types import F64, Feeds

HELD_OUT_EVERY = 4
LEAST_SAMPLES = 8
"""With fewer, none are held out."""


MANY_ANSWERS_PROBES = 6
"""Samples with many answers each that sensitivities are measured on."""


class LayerKey(NamedTuple):
    """A quantized layer of a half."""

    side: str
    weight: str


@dataclass(frozen=True)
class LayerPrecision:
    """What became of one layer, for the report.

    Attributes:
        side, layer, weight: Which one: its node, and its weight.
        sensitivity_kl: The task's divergence of the pair's answers when it alone is quantized.
        sensitivity_share: Its share of what all layers lose, each alone: the mean over the parts of the divergence.
        precision: "int8" or "fp32".
    """

    side: str
    layer: str
    weight: str
    sensitivity_kl: float
    precision: str
    sensitivity_share: float


@dataclass(frozen=True)
class MixedPair:
    """The pair with the layers that stay float, and why."""

    halves: graph.Halves
    layers: tuple[LayerPrecision, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Demand:
    """How far layers return to float.

    Attributes:
        least: Fidelity that the pair shall have.
        enough: What is aimed at, at least as much.
        most: Layers that return at most; None: as many as it takes.
        outstanding: Share of what all layers lose, each quantized alone, from which one returns in any case: few
            samples tell losses far better than agreements.
    """

    least: float
    enough: float
    most: int | None = None
    outstanding: float = np.inf


def hold_out_judges(count: int, most: int, every: int = HELD_OUT_EVERY) -> tuple[list[int], list[int]]:
    """Which of ``count`` samples calibrate, and which judge; at most ``most`` each.

    Of more than ``most``, those that do not calibrate judge; of fewer, each ``every``-th one; of very few, those that
    calibrate.
    """
    samples = list(range(count))
    if count < LEAST_SAMPLES:
        return samples, samples
    if count <= most:
        judging = samples[every - 1 :: every]
        return sorted(set(samples) - set(judging)), judging
    stride = -(-count // most)
    fitting = samples[stride - 1 :: stride]
    rest = sorted(set(samples) - set(fitting))
    return fitting, rest[:: -(-len(rest) // most)]


class Judgement(NamedTuple):
    """An agreement, and whether it is enough."""

    agreement: float
    is_enough: bool


@dataclass(eq=False)
class QuantizedPair:
    """A quantized pair, of which any layers can be in float.

    Attributes:
        exact: The halves in float.
        lowered: The halves as quantized.
        originals: Side -> float model that its layers are lifted back to, for the sides that are quantized.
        held: Samples to judge by.
        others: Samples that the float pair answers too, to know how clear its answers are.
        task: What the pair's answers are.
    """

    exact: graph.Halves
    lowered: graph.Halves
    originals: Mapping[str, ir.Model]
    held: Sequence[Feeds]
    others: Sequence[Feeds]
    task: BoundTask
    _made: dict[frozenset[str], Sequence[Feeds]] = field(default_factory=dict)

    def keys(self) -> dict[LayerKey, str]:
        """Quantized layers and their nodes."""
        sides = {"edge": self.lowered.head, "cloud": self.lowered.tail}
        return {
            LayerKey(side, weight): node.name or weight
            for side in self.originals
            for node, weight in passes.quantized_layers(sides[side])
        }

    def halves(self, in_float: frozenset[LayerKey]) -> graph.Halves:
        """The pair with these layers in float."""
        head = self._half("edge", self.lowered.head, in_float)
        return replace(self.lowered, head=head, tail=self._half("cloud", self.lowered.tail, in_float))

    def answers(self, in_float: frozenset[LayerKey], count: int) -> Sequence[Feeds]:
        """Outputs for the first ``count`` samples that judge."""
        halves = self.halves(in_float)
        edge = frozenset(key.weight for key in in_float if key.side == "edge")
        if len(self._made.get(edge, ())) < count:
            self._made = {edge: _made_by_head(halves, self.held[:count])}  # of the last head alone: it is large
        return _answered(halves, self.held[:count], self._made[edge][:count])

    def reference(self, samples: Sequence[Feeds]) -> Sequence[Feeds]:
        """Outputs of the float halves."""
        return _answered(self.exact, samples, _made_by_head(self.exact, samples))

    def judge(self, demand: Demand) -> Callable[[frozenset[LayerKey]], Judgement]:
        """What the pair agrees with these layers in float, and whether that meets the demand."""
        reference = self.reference(self.held)
        scores, more = self._scores(reference), self._scores(self.reference(self.others))

        def judged(in_float: frozenset[LayerKey]) -> Judgement:
            got = self.answers(in_float, len(self.held))
            verdict = self._verdict(reference, got)
            found, got_scores = verdict.fidelity.value, self._scores(got)
            if scores is None or more is None or got_scores is None:
                return Judgement(found, self.task.holds(verdict, demand.enough))
            expected = evaluate.expected_agreement(scores, got_scores, more)
            is_possible = not plan.fidelity_reason(found, len(got), demand.least)
            return Judgement(expected, is_possible and expected >= demand.enough)

        return judged

    def _verdict(self, reference: Sequence[Feeds], got: Sequence[Feeds]) -> TaskAgreement:
        comparison = self.task.comparison()
        for before, after in zip(reference, got, strict=True):
            comparison.add(before, after)
        return comparison.result()

    def _scores(self, outputs: Sequence[Feeds]) -> list[F64] | None:
        """What competes for each decision, ``[1, n]`` a sample; None where answers are no single, finite decisions."""
        found = [self.task.decision_scores(one) for one in outputs]
        rows = [row[None] for row in found if row is not None and np.isfinite(row).all()]
        return rows if len(rows) == len(found) else None

    def _half(self, side: str, model: ir.Model, in_float: frozenset[LayerKey]) -> ir.Model:
        weights = frozenset(key.weight for key in in_float if key.side == side)
        return passes.LiftLayers(self.originals[side], weights)(model).model if weights else model


def mix(pair: QuantizedPair, demand: Demand, step: Callable[[], None]) -> MixedPair:
    """Lift the most sensitive layers until the demand is met, or can not be; ``step`` is called once a layer."""
    names = pair.keys()
    found = _sensitivities(pair, names, step)
    shares = _shares(found)
    order, judge = sorted(names, key=lambda key: -shares[key]), pair.judge(demand)
    most = len(order) if demand.most is None else min(demand.most, len(order))
    low = sum(shares[key] >= demand.outstanding for key in order[:most])
    seen = {count: judge(frozenset(order[:count])) for count in {0, low}}
    high = low if seen[low].is_enough else most
    while low < high:
        middle = (low + high) // 2
        seen[middle] = judge(frozenset(order[:middle]))
        low, high = (low, middle) if seen[middle].is_enough else (middle + 1, high)
    lifted = frozenset(order[:low])
    after = seen[low] if low in seen else judge(lifted)
    layers = tuple(
        LayerPrecision(
            key.side, names[key], key.weight, sum(found[key]), "fp32" if key in lifted else "int8", shares[key]
        )
        for key in order
    )
    note = _mixing_note(demand, len(pair.held), (low, len(order)), (seen[0], after))
    return MixedPair(pair.halves(lifted), layers, (note,))


def _mixing_note(demand: Demand, samples: int, counts: tuple[int, int], judged: tuple[Judgement, Judgement]) -> str:
    """What mixing came to.

    Args:
        demand: What was asked for.
        samples: How many judged.
        counts: Layers in float, of how many.
        judged: Before and after.
    """
    note = (
        f"mixed precision: {counts[0]} of {counts[1]} quantized layers compute in float, the most sensitive; expected "
        f"agreement by {samples} samples {judged[0].agreement:.4f} before, {judged[1].agreement:.4f} after, for "
    )
    note += f"min_fidelity {demand.least:.4f}" if demand.most is None else f"{demand.least:.2f}, the task's own limit"
    if judged[1].is_enough:
        return note
    if demand.most is not None:
        return f"{note}; not enough with {demand.most} layers: set gate.min_fidelity to return as many as it takes"
    note += "; not enough even so: what is missing is not lost by INT8 but by other steps on the weights, or by chance"
    return note


def _sensitivities(
    pair: QuantizedPair, names: Iterable[LayerKey], step: Callable[[], None]
) -> dict[LayerKey, tuple[float, ...]]:
    """Parts of the task's divergence of the answers with one layer quantized, the mean over the samples."""
    most = MANY_ANSWERS_PROBES if pair.task.has_many_answers else MOST_PROBES
    probes, found = pair.held[:most], {}
    reference = pair.reference(probes)
    for key in names:
        got = pair.answers(frozenset(names) - {key}, len(probes))
        moved = [pair.task.divergence_parts(before, after) for before, after in zip(reference, got, strict=True)]
        found[key] = tuple(float(one) for one in np.mean(moved, axis=0))
        step()
    return found


def _shares(found: Mapping[LayerKey, Sequence[float]]) -> dict[LayerKey, float]:
    """Every layer's parts, each divided by its sum over the layers, their mean; infinite parts stay infinite."""
    if not found:
        return {}
    parts = np.array(list(found.values()), np.float64)
    finite = np.where(np.isfinite(parts), parts, 0).sum(0)
    shares = parts / np.where(finite > 0, finite, 1)
    return dict(zip(found, shares.mean(1).tolist(), strict=True))


def _made_by_head(halves: graph.Halves, samples: Sequence[Feeds]) -> Sequence[Feeds]:
    """Outputs of the head: what crosses, and what it answers by itself."""
    return _run(halves.head, [halves.head_feeds(one) for one in samples])


def _answered(halves: graph.Halves, samples: Sequence[Feeds], made: Sequence[Feeds]) -> Sequence[Feeds]:
    """Outputs of the pair, from what its head made of the samples."""
    pairs = list(zip(samples, made, strict=True))
    answers = _run(halves.tail, [halves.tail_feeds(one, features) for one, features in pairs])
    return [
        {**answer, **{name: features[name] for name in halves.exits}}
        for answer, features in zip(answers, made, strict=True)
    ]


def _run(model: ir.Model, samples: Sequence[Feeds]) -> Sequence[Feeds]:
    runner = evaluate.open_optimized(model)
    outputs = [runner.run(one) for one in samples]
    runner.close()
    return outputs
