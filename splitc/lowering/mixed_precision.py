"""Which layers of an INT8 pair compute in float after all, so that the answers keep the recipe's ``min_fidelity``.

1. Each layer is quantized alone, and the task's divergence of the pair's answers is measured: its sensitivity.
2. Layers go back to float in the order of their sensitivities, until the agreement keeps the limit; bisection finds how
   many. Where an answer is one decision, it is what the moves of the answers to samples that nothing was calibrated on
   let expect (:func:`splitc.evaluate.expected_agreement`), and the agreement of these samples themselves must not be
   surely below the limit. Where an answer is more than a decision, the task's fidelity on them decides. Either way half
   of what the limit allows is left for the codec and for chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from splitc import evaluate, graph, passes, plan
from splitc.lowering.weight_steps import MOST_PROBES
from splitc.tasks import BoundTask
from splitc.types import F64, Feeds

HELD_OUT_EVERY = 4
LEAST_SAMPLES = 8
"""With fewer, none are held out."""


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
        precision: "int8" or "fp32".
    """

    side: str
    layer: str
    weight: str
    sensitivity_kl: float
    precision: str


@dataclass(frozen=True)
class MixedPair:
    """The pair with the layers that stay float, and why."""

    halves: graph.Halves
    layers: tuple[LayerPrecision, ...]
    notes: tuple[str, ...]


def hold_out_judges(count: int, most: int) -> tuple[list[int], list[int]]:
    """Which of ``count`` samples calibrate, and which judge; at most ``most`` each.

    Of more than ``most``, those that do not calibrate judge; of fewer, every fourth; of very few, those that calibrate.
    """
    every = list(range(count))
    if count < LEAST_SAMPLES:
        return every, every
    if count <= most:
        judging = every[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
        return sorted(set(every) - set(judging)), judging
    stride = -(-count // most)
    fitting = every[stride - 1 :: stride]
    rest = sorted(set(every) - set(fitting))
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
    _features: dict[frozenset[str], Sequence[Feeds]] = field(default_factory=dict)

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
        if len(self._features.get(edge, ())) < count:
            self._features = {edge: _run(halves.head, self.held[:count])}  # of the last head alone: it is large
        return _run(halves.tail, self._features[edge][:count])

    def reference(self, samples: Sequence[Feeds]) -> Sequence[Feeds]:
        """Outputs of the float halves."""
        return _run(self.exact.tail, _run(self.exact.head, samples))

    def judge(self, least: float) -> Callable[[frozenset[LayerKey]], Judgement]:
        """What the pair agrees with these layers in float, and whether that keeps ``least``."""
        reference = self.reference(self.held)
        enough = (1 + least) / 2
        scores, more = self._scores(reference), self._scores(self.reference(self.others))

        def judged(in_float: frozenset[LayerKey]) -> Judgement:
            got = self.answers(in_float, len(self.held))
            found = self._fidelity(reference, got)
            got_scores = self._scores(got)
            if scores is None or more is None or got_scores is None:
                return Judgement(found, found >= enough)
            expected = evaluate.expected_agreement(scores, got_scores, more)
            is_possible = not plan.fidelity_reason(found, len(got), least)
            return Judgement(expected, is_possible and expected >= enough)

        return judged

    def _fidelity(self, reference: Sequence[Feeds], got: Sequence[Feeds]) -> float:
        comparison = self.task.comparison()
        for before, after in zip(reference, got, strict=True):
            comparison.add(before, after)
        return comparison.result().fidelity.value

    def _scores(self, outputs: Sequence[Feeds]) -> list[F64] | None:
        """What competes for each decision, ``[1, n]`` a sample; None where answers are no single, finite decisions."""
        found = [self.task.decision_scores(one) for one in outputs]
        rows = [row[None] for row in found if row is not None and np.isfinite(row).all()]
        return rows if len(rows) == len(found) else None

    def _half(self, side: str, model: ir.Model, in_float: frozenset[LayerKey]) -> ir.Model:
        weights = frozenset(key.weight for key in in_float if key.side == side)
        return passes.LiftLayers(self.originals[side], weights)(model).model if weights else model


def mix(pair: QuantizedPair, least: float, step: Callable[[], None]) -> MixedPair:
    """Lift the most sensitive layers until the agreement is ``least``; ``step`` is called once a layer."""
    names = pair.keys()
    found = _sensitivities(pair, names, step)
    order, judge = sorted(names, key=lambda key: -found[key]), pair.judge(least)
    seen: dict[int, Judgement] = {0: judge(frozenset())}
    low, high = 0, 0 if seen[0].is_enough else len(order)
    while low < high:
        middle = (low + high) // 2
        seen[middle] = judge(frozenset(order[:middle]))
        low, high = (low, middle) if seen[middle].is_enough else (middle + 1, high)
    lifted = frozenset(order[:low])
    after = seen[low] if low in seen else judge(lifted)
    layers = tuple(
        LayerPrecision(key.side, names[key], key.weight, found[key], "fp32" if key in lifted else "int8")
        for key in order
    )
    note = (
        f"mixed precision: {low} of {len(order)} quantized layers compute in float, the most sensitive; expected "
        f"agreement by {len(pair.held)} samples {seen[0].agreement:.4f} before, {after.agreement:.4f} after, for "
        f"min_fidelity {least:.4f}"
    )
    if not after.is_enough:
        note += (
            "; not enough even so: what is missing is not lost by INT8 but by other steps on the weights, or by chance"
        )
    return MixedPair(pair.halves(lifted), layers, (note,))


def _sensitivities(pair: QuantizedPair, names: Iterable[LayerKey], step: Callable[[], None]) -> dict[LayerKey, float]:
    """The task's divergence of the answers with one layer quantized, the mean over the samples."""
    probes, found = pair.held[:MOST_PROBES], {}
    reference = pair.reference(probes)
    for key in names:
        got = pair.answers(frozenset(names) - {key}, len(probes))
        moved = [pair.task.divergence(before, after) for before, after in zip(reference, got, strict=True)]
        found[key] = float(np.mean(moved))
        step()
    return found


def _run(model: ir.Model, samples: Sequence[Feeds]) -> Sequence[Feeds]:
    runner = evaluate.open_optimized(model)
    outputs = [runner.run(one) for one in samples]
    runner.close()
    return outputs
