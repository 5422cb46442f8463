"""Switching between prebuilt cuts: the borders are where two cuts take the same time, and switching pays on a trace."""

from __future__ import annotations

import random

import pytest

from splitc.device import Row, Trace
from splitc.errors import CutError
from splitc.plan import Latency, Load, Point, fastest_ranges, replay

LOAD = Load(0, 0, 0, 0, 0)


def way(name: str, payload_bytes: float, work_ms: float, cut: bool = True, refused: str = "") -> Point:
    latency = Latency(work_ms, 0, 0, 0, 0)
    names = (name,) if cut else ()
    return Point(name, names, "codec", 4, "fp32", "fp32", latency, LOAD, 0, payload_bytes, True, refused=refused)


EARLY, LATE = way("early", 100_000, 10), way("late", 1_000, 30)
"""Equal where 99,000 bytes take 20 ms: at 39.6 Mbit/s."""


def trace(*rates: float) -> Trace:
    return Trace(tuple(Row(float(second), rate, 5.0) for second, rate in enumerate(rates)))


def test_the_border_by_hand() -> None:
    low, high = fastest_ranges([EARLY, LATE])
    assert (low.name, low.from_mbps, low.to_mbps) == ("late", 0.0, pytest.approx(39.6))
    assert (high.name, high.from_mbps, high.to_mbps) == ("early", pytest.approx(39.6), None)


@pytest.mark.parametrize("seed", range(20))
def test_ranges_name_the_fastest_at_every_rate(seed: int) -> None:
    rng = random.Random(seed)
    ways = [way(str(index), rng.randrange(1, 100_000), rng.uniform(1, 50)) for index in range(8)]
    ranges = fastest_ranges(ways)
    assert [one.to_mbps for one in ranges[:-1]] == [one.from_mbps for one in ranges[1:]]
    for rate in (0.01, 0.1, 1, 3, 10, 30, 100, 1000, 1e5):
        times = {one.name: one.latency.edge_ms + 8e-3 * one.payload_bytes / rate for one in ways}
        inside = next(one for one in ranges if one.to_mbps is None or rate <= one.to_mbps)
        assert times[inside.name] == pytest.approx(min(times.values()), rel=1e-9)  # floats


def test_switching_follows_the_rate() -> None:
    found = replay([EARLY, LATE], [way("edge only", 0, 80, cut=False)], trace(100, 100, 1, 1, 100))
    assert [(one.at_s, one.name) for one in found.switches] == [(0, "early"), (2, "late"), (4, "early")]
    assert found.switches[0].instead_ms is None
    assert found.switches[1].total_ms == pytest.approx(30 + 5 + 8)
    assert found.switches[1].instead_ms == pytest.approx(10 + 5 + 800)
    means = {one.name: one.mean_ms for one in found.outcomes}
    assert means["switching"] == pytest.approx((3 * (10 + 5 + 8) + 2 * (30 + 5 + 8)) / 5)
    assert means["edge only"] == 80
    assert means["switching"] < min(value for name, value in means.items() if name != "switching")


def test_a_small_gain_is_no_reason_to_switch() -> None:
    found = replay([EARLY, LATE], [], trace(39, 40, 41, 39))
    assert [one.name for one in found.switches] == ["late"]


def test_an_outage_takes_the_fewest_bytes() -> None:
    found = replay([EARLY, LATE], [], trace(0, 100))
    assert found.switches[0].name == "late"
    assert found.outcomes[0].max_ms == pytest.approx(30 + 5 + 970 + 0.08)  # sent at 30 ms, flows from 1 s on


def test_refused_cuts_are_not_used() -> None:
    found = replay([EARLY, way("late", 1_000, 30, refused="too big")], [], trace(1))
    assert [one.name for one in found.switches] == ["early"]
    with pytest.raises(CutError, match="none to switch to"):
        replay([way("late", 1_000, 30, refused="too big")], [], trace(1))


def test_an_outage_compares_bytes_and_claims_no_time() -> None:
    """Few bytes are worth a switch in an outage, a little fewer are not; nobody waits 10**9 ms."""
    found = replay([EARLY, LATE], [], trace(100, 0, 1e-7, 100))
    assert [(one.at_s, one.name) for one in found.switches] == [(0, "early"), (1, "late"), (3, "early")]
    assert (found.switches[1].total_ms, found.switches[1].instead_ms) == (None, None)
    alike = replay([EARLY, way("nearly", 99_000, 30)], [], trace(100, 0, 100))
    assert [one.name for one in alike.switches] == ["early"]
