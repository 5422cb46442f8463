"""Fidelity numbers against numbers worked out by hand, and gates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitc.errors import CapabilityError
from splitc.evaluate import Agreement, RunningAgreement, at_least, at_most, compare, expected_agreement
from splitc.evaluate.metrics import cosine, kl_divergence, log_softmax


def rows(*values: list[float]) -> list[np.ndarray]:
    return [np.array([row], np.float32) for row in values]


FULL = rows([1, 2, 3], [3, 2, 1], [0, 5, 0], [1, 0, 0])


@pytest.mark.parametrize(
    ("stage", "fidelity", "max_abs_diff"),
    [
        pytest.param(FULL, 1.0, 0.0, id="identical"),
        pytest.param(rows([3, 2, 1], [3, 2, 1], [0, 5, 0], [1, 0, 0]), 0.75, 2.0, id="one-of-four"),
        pytest.param(rows([3, 2, 1], [1, 2, 3], [5, 0, 0], [0, 0, 1]), 0.0, 5.0, id="none"),
        pytest.param([2 * row for row in FULL], 1.0, 5.0, id="scaled-answers-agree"),
    ],
)
def test_fidelity(stage: list[np.ndarray], fidelity: float, max_abs_diff: float) -> None:
    found = compare(FULL, stage, [None] * 4)
    assert (found.fidelity, found.max_abs_diff, found.top1) == (fidelity, max_abs_diff, None)


def test_identical_answers() -> None:
    found = compare(FULL, FULL, [2, 0, 1, 1])
    assert (found.fidelity, found.kl, found.max_abs_diff, found.top1) == (1.0, 0.0, 0.0, 0.75)
    assert found.cosine == pytest.approx(1.0, abs=1e-15)  # a square root in float64


@pytest.mark.parametrize(
    ("labels", "top1"),
    [([2, None, None, None], 1.0), ([2, 2, None, None], 0.5), ([0, 1, 2, 2], 0.0), ([None] * 4, None)],
    ids=["one-known", "two-known", "all-wrong", "unknown"],
)
def test_top1_is_over_the_labels_that_are_known(labels: list[int | None], top1: float | None) -> None:
    assert compare(FULL, FULL, labels).top1 == top1


@pytest.mark.parametrize(
    ("p", "q"),
    [
        pytest.param([0.5, 0.5], [0.25, 0.75], id="two"),
        pytest.param([0.7, 0.2, 0.1], [0.1, 0.2, 0.7], id="three"),
        pytest.param([1.0 - 1e-9, 1e-9], [0.5, 0.5], id="almost-certain"),
    ],
)
def test_kl_against_its_definition(p: list[float], q: list[float]) -> None:
    expected = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    got = kl_divergence(np.log([p]), np.log([q]))[0]
    assert got == pytest.approx(expected, rel=1e-9)  # float64 throughout; the smallest share is 1e-9


def test_kl_knows_no_offset_and_no_direction_below_zero() -> None:
    random = np.random.default_rng(0)
    p, q = random.normal(0, 30, (200, 17)), random.normal(0, 30, (200, 17))
    assert (kl_divergence(p, q) >= 0).all()
    assert (kl_divergence(p, p) == 0).all()
    np.testing.assert_allclose(kl_divergence(p + 1000, q - 1000), kl_divergence(p, q), rtol=1e-9, atol=1e-9)


def test_kl_of_certain_answers_is_finite() -> None:
    """A difference of 2000 in the logits is a share of exp(-2000), which float64 rounds to zero."""
    assert kl_divergence(np.array([[0.0, 2000.0]]), np.array([[2000.0, 0.0]]))[0] == 2000.0


def test_log_softmax_sums_to_one() -> None:
    logits = np.random.default_rng(1).normal(0, 100, (50, 10))
    np.testing.assert_allclose(np.exp(log_softmax(logits)).sum(1), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param([3.0, 4.0], [4.0, 3.0], 24 / 25, id="by-hand"),
        pytest.param([1.0, 0.0], [0.0, 1.0], 0.0, id="orthogonal"),
        pytest.param([1.0, 2.0], [-2.0, -4.0], -1.0, id="opposite"),
        pytest.param([0.0, 0.0], [0.0, 0.0], 1.0, id="both-zero"),
        pytest.param([0.0, 0.0], [1.0, 0.0], 0.0, id="one-zero"),
        pytest.param([1e-30, 0.0], [1e-30, 0.0], 1.0, id="tiny"),
        pytest.param([1e30, 1e30], [1e30, 1e30], 1.0, id="huge"),
    ],
)
def test_cosine(a: list[float], b: list[float], expected: float) -> None:
    assert cosine(np.array([a]), np.array([b]))[0] == pytest.approx(expected, abs=1e-12)


def test_constant_answers() -> None:
    """Every class alike: the first wins on both sides, the shares are equal, nothing divides by zero."""
    found = compare(rows([2, 2, 2]), rows([5, 5, 5]), [None])
    assert (found.fidelity, found.kl, found.max_abs_diff) == (1.0, 0.0, 3.0)
    assert found.cosine == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("gate", "value", "limit", "ok"),
    [
        (at_least, 0.99, 0.99, True),
        (at_least, 0.9899, 0.99, False),
        (at_most, 4, 4, True),
        (at_most, 4.01, 4, False),
        (at_least, 0.0, 0.0, True),
    ],
    ids=["at-the-limit", "below", "at-the-upper-limit", "above", "zero-is-a-limit"],
)
def test_gates(gate: object, value: float, limit: float, ok: bool) -> None:
    (found,) = gate("name", value, limit, "here")
    assert found.model_dump() == {"name": "name", "value": value, "limit": limit, "ok": ok, "source": "here"}


@pytest.mark.parametrize("gate", [at_least, at_most])
def test_no_limit_is_no_gate(gate: object) -> None:
    assert gate("name", 1.0, None, "here") == []


def test_expected_agreement_is_that_of_many_samples() -> None:
    """What few samples let expect, 20,000 of their kind do; nothing moved, nothing is overturned."""
    source = np.random.default_rng(0)
    exact = source.standard_normal((20_000, 5)) * 2
    noisy = exact + source.normal(0, 0.2, exact.shape)
    full, got = ([row[None].astype(np.float32) for row in rows] for rows in (exact, noisy))
    truth = compare(full, got, [None] * len(full)).fidelity
    assert abs(expected_agreement(full, got) - truth) < 0.005  # the third answer overturns a few more
    assert abs(expected_agreement(full[:1000], got[:1000]) - truth) < 0.02  # four of its standard deviations
    assert expected_agreement(full[:9], full[:9]) == 1.0
    one = [np.ones((1, 1), np.float32)]
    assert expected_agreement(one, one) == 1.0


def stacked(full: np.ndarray, stage: np.ndarray, labels: list[int | None]) -> Agreement:
    """The definition, on all answers at once: float64 ``[n, classes]``."""
    decided = stage.argmax(1)
    known = [answer == label for answer, label in zip(decided, labels, strict=True) if label is not None]
    return Agreement(
        fidelity=float(np.mean(decided == full.argmax(1))),
        kl=float(np.mean(kl_divergence(full, stage))),
        cosine=float(np.mean(cosine(full, stage))),
        max_abs_diff=float(np.max(np.abs(full - stage))),
        top1=float(np.mean(known)) if known else None,
    )


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 400), classes=st.integers(1, 50), noise=st.floats(0, 3))
def test_sums_are_those_of_stacked_answers(seed: int, count: int, classes: int, noise: float) -> None:
    """A running sum of n float64 numbers is off by n * 1.1e-16 of the sum of their sizes at most: 1e-12 is ample."""
    source = np.random.default_rng(seed)
    full = source.normal(0, 3, (count, classes)).astype(np.float32)
    stage = (full + source.normal(0, noise, full.shape)).astype(np.float32)
    labels = [int(source.integers(classes)) if source.random() < 0.7 else None for _ in range(count)]
    running = RunningAgreement()
    for row in range(count):
        running.add(full[row], stage[row], labels[row])
    want, got = stacked(np.float64(full), np.float64(stage), labels), running.agreement()
    assert (got.fidelity, got.max_abs_diff, got.top1) == (want.fidelity, want.max_abs_diff, want.top1)
    assert got.kl == pytest.approx(want.kl, rel=1e-12)
    assert got.cosine == pytest.approx(want.cosine, abs=1e-12)  # terms of both signs, each at most 1
    assert compare(list(full), list(stage), labels) == got


def test_answers_of_unequal_sizes_are_not_added() -> None:
    with pytest.raises(CapabilityError, match="have 3 and 2 elements"):
        RunningAgreement().add(np.zeros(3, np.float32), np.zeros(2, np.float32))


def test_a_difference_that_is_no_number_is_not_lost() -> None:
    found = compare(rows([1, 2], [1, 2]), rows([1, math.nan], [1, 2]), [None, None])
    assert math.isnan(found.max_abs_diff)
    assert math.isnan(found.kl)
