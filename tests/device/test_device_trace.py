"""A link that changes: payloads flow at the rates they meet, and a wrong file is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitc.device import Link, Trace, read_trace
from splitc.errors import UsageError

LINK = Link(uplink_mbps=1, rtt_ms=7)
STEPS = "seconds,uplink_mbps,rtt_ms\n0,8,10\n1,0,20\n2,4,30\n"


def trace(tmp_path: Path, text: str) -> Trace:
    path = tmp_path / "lte.csv"
    path.write_text(text)
    return read_trace(path, LINK)


@pytest.mark.parametrize(
    ("at_s", "payload_bytes", "expected_ms"),
    [
        pytest.param(0.0, 500_000, 510, id="within-a-row"),
        pytest.param(0.5, 500_000, 510, id="ends-with-the-row"),
        pytest.param(0.9, 200_000, 10 + 100 + 1000 + 200, id="through-the-outage"),
        pytest.param(1.5, 50_000, 20 + 500 + 100, id="starts-in-the-outage"),
        pytest.param(9.0, 500_000, 30 + 1000, id="after-the-last-row"),
        pytest.param(1.5, 0, 20, id="nothing-to-send"),
    ],
)
def test_bits_flow_at_the_rates_they_meet(tmp_path: Path, at_s: float, payload_bytes: int, expected_ms: float) -> None:
    assert trace(tmp_path, STEPS).wire_ms(at_s, payload_bytes) == pytest.approx(expected_ms, rel=1e-9)  # floats


def test_without_a_column_the_links_round_trip_counts(tmp_path: Path) -> None:
    found = trace(tmp_path, "seconds,uplink_mbps\n0,8\n")
    assert found.wire_ms(0, 1000) == pytest.approx(8, rel=1e-9)
    assert found.rates_mbps() == [8]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", r":1: the columns must be seconds,uplink_mbps", id="empty"),
        pytest.param("time,rate\n0,1\n", r":1: the columns must be", id="columns"),
        pytest.param("seconds,uplink_mbps\n", "the last row must have a rate", id="no-rows"),
        pytest.param("seconds,uplink_mbps\n0,1\n1,0\n", "the last row must have a rate", id="ends-in-an-outage"),
        pytest.param("seconds,uplink_mbps\n0,1\n0,2\n", ":3: seconds must rise, 0 follows 0", id="times"),
        pytest.param("seconds,uplink_mbps\n0,fast\n", ":2: '0, fast' are not numbers", id="text"),
        pytest.param("seconds,uplink_mbps\n0,nan\n", ":2: needs 0 to", id="nan"),
        pytest.param("seconds,uplink_mbps\n0,-1\n", ":2: needs 0 to", id="negative"),
        pytest.param("seconds,uplink_mbps\n0,1,2\n", ":2: has 3 numbers, the first line names 2", id="too-many"),
    ],
)
def test_a_wrong_trace_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=rf"lte\.csv.*{words}"):
        trace(tmp_path, text)


def test_a_missing_trace(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_trace(tmp_path / "none.csv", LINK)
