"""A recipe's limits against what a task measured, by the value and by the worse bound."""

from __future__ import annotations

from statistics import NormalDist
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from splitc.errors import UsageError
from splitc.evaluate import Gate, Verification, measured_gates, unmeasured_gates
from splitc.recipe import GateSection
from splitc.tasks import TASKS, BindRequest
from splitc.types import TensorSpec

SCORES = TensorSpec(name="scores", dtype="float32", shape=("N", 3))


def verification(samples: int, changed: int, *, labelled: bool = False, label: int = 0) -> Verification:
    """So many samples of class 0, of which some are class 1 on the other path; labels say class 0."""
    task = TASKS.make("classification", {"activation": "logits"}).bind(BindRequest([SCORES]))
    comparison = task.comparison()
    for index in range(samples):
        other = [1.0, 1.5 if index < changed else 0.5, 0.0]
        pair = [{"scores": np.array([row])} for row in ([1.0, 0.5, 0.0], other)]
        comparison.add(*pair, label if labelled else None)
    stage = SimpleNamespace(agreement=comparison.result())
    return cast("Verification", SimpleNamespace(stage=lambda name: stage, rate_bpe=1.0))


def judged(found: Verification, **limits: Any) -> list[Gate]:
    return measured_gates(found, GateSection(**limits))


def test_a_drop_from_nothing_is_refused() -> None:
    found = verification(10, 2, labelled=True, label=2)
    with pytest.raises(UsageError, match=r"max_top1_drop: the unsplit network scores 0 .* \(10 labelled\)"):
        judged(found, max_top1_drop=0.5)
    assert judged(found, min_fidelity=0.8)[0].ok


def test_a_drop_among_identities_that_stand_alone_is_refused() -> None:
    comparison = TASKS.make("retrieval", {}).bind(BindRequest([SCORES])).comparison()
    for index in range(4):
        row = {"scores": np.eye(4, 3)[[index]] + 1}
        comparison.add(row, row, index)
    stage = SimpleNamespace(agreement=comparison.result())
    found = cast("Verification", SimpleNamespace(stage=lambda name: stage, rate_bpe=1.0))
    with pytest.raises(UsageError, match=r"max_map_drop: no two labels are alike \(4 labelled\)"):
        judged(found, max_map_drop=0.5)


def test_values_without_confidence() -> None:
    found = verification(10, 2, labelled=True)
    gates = judged(found, min_fidelity=0.8, max_top1_drop=0.2, max_kl=10.0, max_rate_bpe=0.5)
    assert [(gate.name, gate.value, gate.ok) for gate in gates] == [
        ("min_fidelity", 0.8, True),
        ("max_kl", found.stage("coded").agreement.divergence, True),
        ("max_top1_drop", pytest.approx(0.2, abs=1e-12), gates[2].value <= 0.2),
        ("max_rate_bpe", 1.0, False),
    ]
    assert {gate.source for gate in gates} == {"verification"}


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_bounds_are_worse_with_more_confidence(confidence: float) -> None:
    found = verification(40, 4, labelled=True)
    fidelity, kl, drop = judged(found, min_fidelity=0.9, max_kl=1.0, max_top1_drop=0.1, confidence=confidence)
    assert 0 < fidelity.value < 0.9
    assert drop.value > 0.1
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    moved = np.array([1] * 4 + [0] * 36)
    assert drop.value == pytest.approx(0.1 + z * moved.std(ddof=1) / np.sqrt(40), rel=1e-9)
    measured = found.stage("coded").agreement.divergence
    assert kl.value == pytest.approx(measured + z * moved.std(ddof=1) / np.sqrt(40) * measured * 10, rel=1e-9)
    p, n = 0.9, 40
    bound = (p + z * z / 2 / n - z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)) / (1 + z * z / n)
    assert fidelity.value == pytest.approx(bound, rel=1e-9)  # Wilson 1927


def test_the_usual_confidence_is_the_printed_interval() -> None:
    found = verification(40, 4)
    (gate,) = judged(found, min_fidelity=0.9, confidence=0.95)
    assert gate.value == pytest.approx(found.stage("coded").agreement.fidelity.lower, rel=1e-12)
    assert gate.source == "verification: lower bound, 95 % interval"


def test_all_agree_and_none() -> None:
    assert judged(verification(8, 0), min_fidelity=0.9, confidence=0.95)[0].value == pytest.approx(0.6756, abs=1e-4)
    assert judged(verification(8, 8), min_fidelity=0.9, confidence=0.95)[0].value == 0.0


def test_one_sample_has_no_bound() -> None:
    with pytest.raises(
        UsageError, match=r"gate.confidence: too few samples \(1\) tell no interval of max_kl; verify on more"
    ):
        judged(verification(1, 0), max_kl=1.0, confidence=0.9)


def test_drops_without_labels_are_named() -> None:
    found, limits = verification(4, 0), GateSection(max_top1_drop=0.1, min_fidelity=0.5)
    assert [gate.name for gate in measured_gates(found, limits)] == ["min_fidelity"]
    assert unmeasured_gates(found, limits) == ["max_top1_drop"]
    assert unmeasured_gates(verification(4, 0, labelled=True), limits) == []
