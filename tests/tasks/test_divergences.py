"""Smooth distances: never negative, zero for equal answers, right where the closed form is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from splitc.tasks.divergences import (
    bernoulli_kl,
    cosine,
    kl,
    log_of,
    log_softmax,
    relative_squared_error,
    sigmoid,
)
from splitc.types import F64

ROWS = arrays(np.float64, 5, elements=st.floats(-50, 50))
SHARES = arrays(np.float64, 5, elements=st.floats(0, 1))


@given(ROWS, ROWS)
def test_kl_of_logits(a: F64, b: F64) -> None:
    assert kl(log_softmax(a), log_softmax(b)) >= 0
    assert kl(log_softmax(a), log_softmax(a)) == 0


@given(SHARES, SHARES)
def test_bernoulli_kl(p: F64, q: F64) -> None:
    assert (bernoulli_kl(p, q) >= 0).all()
    assert (bernoulli_kl(p, p) == 0).all()
    assert np.isfinite(bernoulli_kl(p, q)).all()


@given(ROWS, ROWS)
def test_relative_squared_error_is_symmetric_and_bounded(a: F64, b: F64) -> None:
    error = relative_squared_error(a, b)
    assert 0 <= error <= 4 + 1e-12  # rounding of two sums
    assert error == pytest.approx(relative_squared_error(b, a), abs=1e-12)
    assert relative_squared_error(a, a) == 0


def test_probabilities_and_their_logits_are_as_far_apart() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 7))
    p, q = np.exp(log_softmax(a)), np.exp(log_softmax(b))
    assert kl(log_of(p), log_of(q)) == pytest.approx(float(kl(log_softmax(a), log_softmax(b))), rel=1e-12)
    assert kl(log_of(p), log_of(q)) == pytest.approx(float((p * np.log(p / q)).sum()), rel=1e-12)


def test_one_probability() -> None:
    wanted = 0.3 * np.log(0.3 / 0.93) + 0.7 * np.log(0.7 / 0.07)
    assert float(bernoulli_kl(np.array(0.3), np.array(0.93))) == pytest.approx(wanted, rel=1e-12)


def test_extremes_neither_overflow_nor_warn() -> None:
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
        assert np.isfinite(bernoulli_kl(np.array([0.0, 1.0]), np.array([1.0, 0.0]))).all()
        assert cosine(np.full(4, 1e200), np.full(4, -1e200)) == pytest.approx(-1.0)
        assert relative_squared_error(np.full(4, 1e200), np.full(4, -1e200)) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("a", "b", "similarity"), [([0, 0], [0, 0], 1.0), ([0, 0], [1, 0], 0.0), ([1, 0], [1, 1], 0.7071)]
)
def test_cosine(a: list[float], b: list[float], similarity: float) -> None:
    assert cosine(np.array(a), np.array(b)) == pytest.approx(similarity, abs=1e-4)


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
    got = kl(log_softmax(np.log(p)), log_softmax(np.log(q)))
    assert got == pytest.approx(expected, rel=1e-9)  # float64 throughout; the smallest share is 1e-9


def test_kl_knows_no_offset() -> None:
    random = np.random.default_rng(0)
    p, q = random.normal(0, 30, (200, 17)), random.normal(0, 30, (200, 17))
    moved = kl(log_softmax(p + 1000), log_softmax(q - 1000))
    np.testing.assert_allclose(moved, kl(log_softmax(p), log_softmax(q)), rtol=1e-9, atol=1e-9)


def test_kl_of_certain_answers_is_finite() -> None:
    """A difference of 2000 in the logits is a share of exp(-2000), which float64 rounds to zero."""
    assert kl(log_softmax(np.array([0.0, 2000.0])), log_softmax(np.array([2000.0, 0.0]))) == 2000.0


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
def test_cosine_against_numbers_by_hand(a: list[float], b: list[float], expected: float) -> None:
    assert cosine(np.array(a), np.array(b)) == pytest.approx(expected, abs=1e-12)
