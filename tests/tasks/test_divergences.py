"""Smooth distances: never negative, zero for equal answers, right where the closed form is known."""

from __future__ import annotations

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
