"""Gates, and what may be expected of answers that moved."""

from __future__ import annotations

import numpy as np
import pytest

from splitc.evaluate import at_least, at_most, expected_agreement


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
    truth = float(np.mean(exact.argmax(1) == noisy.argmax(1)))
    assert abs(expected_agreement(full, got) - truth) < 0.005  # the third answer overturns a few more
    assert abs(expected_agreement(full[:1000], got[:1000]) - truth) < 0.02  # four of its standard deviations
    assert expected_agreement(full[:9], full[:9]) == 1.0
    one = [np.ones((1, 1), np.float32)]
    assert expected_agreement(one, one) == 1.0
