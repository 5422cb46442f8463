"""Which layers of an INT8 pair return to float: by parts of the divergence, for a limit, up to a number of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest

from splitc.lowering import Demand, LayerPrecision, QuantizedPair, hold_out_judges, mix
from splitc.lowering.mixed_precision import Judgement, LayerKey
from splitc.types import Feeds

Parts = Mapping[str, tuple[float, ...]]


class Answers:
    """Stands for a pair: what each layer loses alone, and what the answers agree with so many layers in float."""

    def __init__(self, parts: Parts, agreement: Callable[[int], float], *, many: bool = True) -> None:
        self.parts, self.agreement = parts, agreement
        self.held: list[Feeds] = [{}] * 8
        self.task = self
        self.has_many_answers = many
        self.judged: list[int] = []

    def keys(self) -> dict[LayerKey, str]:
        return {LayerKey("edge", name): f"node {name}" for name in self.parts}

    def reference(self, samples: list[Feeds]) -> list[Feeds]:
        return list(samples)

    def answers(self, in_float: frozenset[LayerKey], count: int) -> list[Feeds]:
        (alone,) = self.keys().keys() - in_float
        return [{"layer": np.array(list(self.parts).index(alone.weight))}] * count

    def divergence_parts(self, reference: Feeds, other: Feeds) -> tuple[float, ...]:
        return list(self.parts.values())[int(other["layer"])]

    def judge(self, demand: Demand) -> Callable[[frozenset[LayerKey]], Judgement]:
        def judged(in_float: frozenset[LayerKey]) -> Judgement:
            self.judged.append(len(in_float))
            found = self.agreement(len(in_float))
            return Judgement(found, found >= demand.enough)

        return judged

    def halves(self, in_float: frozenset[LayerKey]) -> Any:
        return sorted(key.weight for key in in_float)


def mixed(pair: Answers, demand: Demand) -> tuple[list[str], tuple[LayerPrecision, ...], str]:
    steps: list[None] = []
    found = mix(cast(QuantizedPair, pair), demand, lambda: steps.append(None))
    assert len(steps) == len(pair.parts)
    (note,) = found.notes
    return cast(list[str], found.halves), found.layers, note


def test_box_errors_count_beside_scores() -> None:
    """The layer that moves boxes alone comes before those that lose a little of the scores."""
    pair = Answers({"scores": (8.0, 0.0), "little": (2.0, 0.1), "boxes": (0.0, 0.4)}, lambda count: 0.9 + 0.04 * count)
    lifted, layers, _ = mixed(pair, Demand(0.95, 0.95, 16))
    assert [one.weight for one in layers] == ["scores", "boxes", "little"]
    assert [one.sensitivity_share for one in layers] == pytest.approx([0.4, 0.4, 0.2])
    assert lifted == ["boxes", "scores"]


def test_no_more_than_the_most() -> None:
    pair = Answers({str(index): (1.0,) for index in range(40)}, lambda count: 0.9 + 0.001 * count)
    lifted, layers, note = mixed(pair, Demand(0.95, 0.95, 16))
    assert len(lifted) == 16
    assert sum(one.precision == "fp32" for one in layers) == 16
    assert "the task's own limit; not enough with 16 layers: set gate.min_fidelity" in note


def test_as_many_as_a_gate_takes() -> None:
    pair = Answers({str(index): (1.0,) for index in range(40)}, lambda count: 0.9 + 0.002 * count)
    lifted, _, note = mixed(pair, Demand(0.95, 0.975))
    assert len(lifted) == 38
    assert note.endswith("for min_fidelity 0.9500")


def test_what_stands_out_returns_in_any_case() -> None:
    """Though few samples agree without that, and no further layer is tried then."""
    pair = Answers({"a": (6.0,), "b": (3.0,)} | {str(i): (0.05,) for i in range(20)}, lambda count: 0.99)
    lifted, _, _ = mixed(pair, Demand(0.95, 0.95, 16, outstanding=0.1))
    assert lifted == ["a", "b"]
    assert sorted(pair.judged) == [0, 2]


def test_lost_answers_are_the_most_sensitive() -> None:
    pair = Answers({"a": (1.0,), "lost": (float("inf"),), "b": (2.0,)}, lambda count: 0.9 + 0.1 * count)
    lifted, layers, _ = mixed(pair, Demand(0.95, 0.95, 16))
    assert [one.weight for one in layers] == ["lost", "b", "a"]
    assert lifted == ["lost"]


@pytest.mark.parametrize(("count", "fitted", "held"), [(3, 3, 3), (24, 12, 12), (128, 64, 64), (200, 100, 100)])
def test_half_of_few_samples_judge_where_each_has_many_answers(count: int, fitted: int, held: int) -> None:
    fit, judge = hold_out_judges(count, 128, 2)
    assert (len(fit), len(judge)) == (fitted, held)
