"""Shares with their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from splitc.tasks.intervals import EFFECTIVE, PLAIN, PairedDifference, RunningShare, percent, t_quantile, wilson


@pytest.mark.parametrize(
    ("share", "count", "lower", "upper"),
    [
        pytest.param(0.5, 100, 0.4038, 0.5962, id="half"),
        pytest.param(0.975, 40, 0.8711, 0.9956, id="39-of-40"),
        pytest.param(1.0, 10, 0.7225, 1.0, id="all-of-10"),
        pytest.param(0.0, 10, 0.0, 0.2775, id="none-of-10"),
    ],
)
def test_wilson(share: float, count: int, lower: float, upper: float) -> None:
    """Values of the closed form to four digits."""
    assert wilson(share, count) == pytest.approx((lower, upper), abs=1e-4)


@pytest.mark.parametrize("degrees", [1, 2, 3, 5, 10, 30, 200])
def test_students_quantile(degrees: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is the other source of the quantiles")
    assert t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=0.03)  # as its docstring says


def test_yes_and_no_is_plain_wilson() -> None:
    running = RunningShare()
    for agrees in [1] * 39 + [0]:
        running.add(agrees)
    share = running.share()
    assert (share.method, share.value) == (PLAIN, 0.975)
    assert share.interval == pytest.approx(wilson(0.975, 40), abs=1e-12)


def test_nothing_counted_is_no_agreement() -> None:
    running = RunningShare()
    running.add(0, 0)
    assert (running.share().value, running.share().interval) == (0.0, (0.0, 1.0))


def test_all_agreeing_rests_on_samples_and_not_on_parts() -> None:
    """Ten pictures of 10,000 pixels are ten samples."""
    running = RunningShare()
    for _ in range(10):
        running.add(10_000, 10_000)
    assert running.share().lower == pytest.approx(0.7225, abs=1e-4)


def test_one_sample_shows_nearly_nothing() -> None:
    running = RunningShare()
    running.add(99, 100)
    assert running.share().lower < 0.25


def test_intervals_of_clustered_parts_cover() -> None:
    """Boxes of a picture stand or fall together: the interval holds the truth about as often as it says."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        running = RunningShare()
        for kept in rng.beta(18, 2, 40):  # mean 0.9
            boxes = int(rng.integers(1, 12))
            running.add(rng.binomial(boxes, kept), boxes)
        low, high = running.share().interval
        held += low <= 0.9 <= high
    assert running.share().method == EFFECTIVE
    assert 0.92 <= held / 400 <= 0.99  # 95 % within 2.5 standard errors of 400 trials


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100.0 %"),
        (0.0, "0.0 %"),
        (0.976, "97.6 %"),
        (0.9999, "99.99 %"),
        (0.0002, "0.02 %"),
        (1 - 1e-7, "over 99.999 %"),
    ],
)
def test_less_than_everything_is_never_100_percent(share: float, text: str) -> None:
    assert percent(share) == text


def test_the_error_of_a_paired_difference() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 50))
    pair = PairedDifference()
    assert pair.error is None
    for first, second in zip(one, other, strict=True):
        pair.add(first, second)
    assert pair.error == pytest.approx(np.std(one - other, ddof=1) / np.sqrt(50), rel=1e-12)
