"""Shares and fits of features, against numbers that can be told beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from splitc.evaluate import feature_stats
from splitc.evaluate.feature_stats import KEPT_SAMPLES, _Tally


def test_shares_are_counted_over_all_samples() -> None:
    first = {"f": np.array([[0, 0, 0.5, 1]], np.float32)}
    second = {"f": np.array([[2, -1, 0, 1.5]], np.float32)}
    (stats,) = feature_stats([first, second])
    assert (stats.name, stats.elements) == ("f", 8)
    assert (stats.zeros_share, stats.unit_share, stats.negative_share) == (3 / 8, 5 / 8, 1 / 8)
    assert (stats.smallest, stats.largest, stats.mean) == (-1, 2, 0.5)
    assert stats.exponential_rate == 4 / 5


def test_an_exponential_is_recognised_and_a_uniform_is_not() -> None:
    rng = np.random.default_rng(0)
    shown = {"exp": rng.exponential(0.25, 100_000), "flat": rng.uniform(0, 1, 100_000)}
    exponential, flat = feature_stats([{name: x.astype(np.float32) for name, x in shown.items()}])
    assert exponential.exponential_rate == pytest.approx(4, rel=0.02)  # 1 / sqrt(100,000) is 0.3 %
    assert exponential.exponential_distance is not None
    assert exponential.exponential_distance < 0.03  # of 4,096 draws: 1.6 / sqrt(4096) at the 1 % level
    assert flat.exponential_distance is not None
    assert flat.exponential_distance > 0.1


def test_nothing_positive_has_no_fit_and_integers_are_left_out() -> None:
    (stats,) = feature_stats([{"f": np.zeros((1, 3), np.float32), "i": np.ones((1, 3), np.int64)}])
    assert (stats.exponential_rate, stats.exponential_distance, stats.zeros_share) == (None, None, 1.0)


def test_what_is_kept_is_bounded_and_spread_over_all_samples() -> None:
    tally = _Tally()
    for value in range(1, 1001):
        tally.add(np.full((1, 5), value, np.float32))
        tally.add(np.zeros((1, 5), np.float32))  # nothing positive: nothing to keep
    kept = [float(one[0]) for one in tally.kept]
    assert KEPT_SAMPLES // 2 <= len(kept) <= KEPT_SAMPLES
    assert (kept[0], set(np.diff(kept))) == (1, {tally.stride})
    assert kept[-1] > 1000 - tally.stride
    assert tally.stats("x").exponential_rate == pytest.approx(1000 / sum(range(1, 1001)), rel=1e-12)
