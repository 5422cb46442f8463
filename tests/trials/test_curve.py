"""Bytes at a divergence: read from a curve that few samples make uneven, monotone all the same."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitc.plan import Measurement, rising
from splitc.trials.curve import Place, measured_down_to, place_of


def measured(divergences: list[float]) -> list[Measurement]:
    return [Measurement(100.0, 1.0, divergence=one) for one in divergences]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        pytest.param([], [], id="none"),
        pytest.param([1, 2, 2, 5], [1, 2, 2, 5], id="rising"),
        pytest.param([3, 1], [2, 2], id="pair"),
        pytest.param([1, 4, 3, 2, 6], [1, 3, 3, 3, 6], id="run"),
        pytest.param([5, 4, 3], [4, 4, 4], id="falling"),
    ],
)
def test_rising(values: list[float], found: list[float]) -> None:
    assert rising(values) == found


@given(st.lists(st.floats(-30, 30), max_size=30))
def test_rising_never_falls_and_keeps_the_mean(values: list[float]) -> None:
    found = rising(values)
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(found))  # means of up to 30 floats
    assert math.isclose(sum(found), sum(values), abs_tol=1e-9)


@pytest.mark.parametrize(
    ("divergences", "wanted", "place"),
    [
        pytest.param([0.001, 0.01, 0.1], 0.001 * 10**0.5, Place(0, 1, 0.5), id="half-of-a-decade"),
        pytest.param([0.001, 0.01, 0.1], 0.01, Place(1, 2, 0.0), id="at-a-setting"),
        pytest.param([0.001, 0.01, 0.1], 1e-4, Place(0, 0, 0.0), id="finer-than-the-best"),
        pytest.param([0.001, 0.01, 0.1], 0.5, Place(2, 2, 0.0), id="coarser-than-the-worst"),
        pytest.param([0.01, 0.01, 0.04], 0.02, Place(1, 2, 0.5), id="level-then-rising"),
        pytest.param([0.001, 0.1, 0.001, 0.1], 0.1, Place(3, 3, 0.0), id="one-by-chance"),
        pytest.param([0.0, 1.0], 1e-6, Place(0, 1, 0.5), id="no-divergence-has-no-logarithm"),
        pytest.param([1.0, math.inf], 1e6, Place(0, 1, 0.5), id="infinite"),
    ],
)
def test_the_place_on_the_curve(divergences: list[float], wanted: float, place: Place) -> None:
    found = place_of(wanted, measured(divergences))
    assert (found.low, found.high) == (place.low, place.high)
    assert found.share == pytest.approx(place.share, abs=1e-9)  # logarithms


def test_no_more_is_measured_than_the_place_needs() -> None:
    divergences, asked = [0.001, 0.02, 0.005, 0.03, 0.05, 0.2, 0.9], []
    found = measured_down_to(0.01, 7, lambda index: asked.append(index) or measured(divergences)[index])
    assert asked == [0, 1, 2, 3, 4]  # one of 0.02 alone may be chance
    assert [one.divergence for one in found] == divergences[:5]
    assert len(measured_down_to(2.0, 7, lambda index: measured(divergences)[index])) == 7


@given(
    st.lists(st.floats(1e-5, 10), min_size=1, max_size=12),
    st.floats(1e-6, 20),
    st.floats(1e-6, 20),
)
def test_less_divergence_never_takes_a_coarser_setting(divergences: list[float], one: float, other: float) -> None:
    """Though for the larger one more settings are measured, which may change how the curve is smoothed."""

    def setting(wanted: float) -> float:
        found = measured_down_to(wanted, len(divergences), lambda index: measured(divergences)[index])
        place = place_of(wanted, found)
        return place.between(place.low, place.high)

    fine, coarse = sorted((one, other))
    assert setting(fine) <= setting(coarse) + 1e-9  # interpolated


def test_numbers_between_two_settings() -> None:
    assert Place(0, 1, 0.25).between(10, 20) == 12.5
    assert Place(0, 1, 0.5).between_logs(10, 1000) == pytest.approx(100)
    assert Place(2, 2, 0.0).between_logs(7, 7) == pytest.approx(7)
