"""Replay a trace of the link: which prebuilt cut to use when, and what switching gains.

One sample starts at each row of the trace. The runtime knows the rate of the moment and not what comes; it switches
when the best cut at that rate saves at least ``LEAST_GAIN`` of the time of the cut in use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from splitc.device import Row, Trace
from splitc.errors import CutError
from splitc.plan.point import Point

LEAST_GAIN = 0.05
LEAST_MBPS = 1e-3
"""A slower link than this carries nothing in time: an outage."""


@dataclass(frozen=True)
class Switch:
    """From ``at_s`` on, use ``name``: at this rate it takes ``total_ms``, what was in use before ``instead_ms``.

    In an outage, when only bytes are compared, both are None.
    """

    at_s: float
    uplink_mbps: float
    name: str
    codec: str
    total_ms: float | None
    instead_ms: float | None


@dataclass(frozen=True)
class RateRange:
    """Rates between which a cut is the fastest; ``to_mbps`` is None where there is no upper limit."""

    from_mbps: float
    to_mbps: float | None
    name: str
    codec: str


@dataclass(frozen=True)
class Outcome:
    """Times of one way of working over the trace, in milliseconds per sample."""

    name: str
    mean_ms: float
    p95_ms: float
    max_ms: float


@dataclass(frozen=True)
class Replay:
    """The answer.

    Attributes:
        switches: The first row names what to begin with.
        ranges: The fastest cut by rate, slowest rate first.
        outcomes: "switching" first, then each cut alone and each way without a cut alone.
        samples: Rows of the trace.
    """

    switches: tuple[Switch, ...]
    ranges: tuple[RateRange, ...]
    outcomes: tuple[Outcome, ...]
    samples: int

    def to_json(self) -> dict[str, Any]:
        """As ``plan --trace --json`` carries it."""
        return asdict(self)


def replay(cuts: Sequence[Point], baselines: Sequence[Point], trace: Trace) -> Replay:
    """Follow a trace.

    Args:
        cuts: Prebuilt cuts; those that were refused are not used.
        baselines: Ways without a cut, to compare with.
        trace: The link.

    Raises:
        CutError: No cut is allowed.
    """
    allowed = [cut for cut in cuts if not cut.refused]
    if not allowed:
        raise CutError("no cut of the plan is allowed, so there is none to switch to; relax a limit.")
    used, switches = _follow(allowed, trace)
    alone = {_title(way): way for way in [*allowed, *(one for one in baselines if not one.refused)]}
    outcomes = [_outcome("switching", used, trace)]
    outcomes += [_outcome(name, [way] * len(trace.rows), trace) for name, way in alone.items()]
    return Replay(tuple(switches), tuple(fastest_ranges(allowed)), tuple(outcomes), len(trace.rows))


def fastest_ranges(cuts: Sequence[Point]) -> list[RateRange]:
    """Which cut is the fastest at which rate. A cut's time is a line over ``1 / rate``; the lower envelope is sought.

    The round trip is the same for all cuts and does not move the limits.
    """
    ranges: list[RateRange] = []
    now = min(cuts, key=lambda cut: (cut.payload_bytes, _work_ms(cut)))
    low = 0.0
    while True:
        better = [(_meeting_mbps(now, cut), cut) for cut in cuts if _work_ms(cut) < _work_ms(now)]
        ahead = [(max(rate, low), cut) for rate, cut in better]
        if not ahead:
            return [*ranges, RateRange(low, None, now.name, now.codec)]
        high, following = min(ahead, key=lambda one: (one[0], _work_ms(one[1])))
        if high > low:
            ranges.append(RateRange(low, high, now.name, now.codec))
        low, now = high, following


def _meeting_mbps(smaller: Point, faster: Point) -> float:
    """The rate above which ``faster``, with more bytes and less work, wins."""
    return 8e-3 * max(faster.payload_bytes - smaller.payload_bytes, 0.0) / (_work_ms(smaller) - _work_ms(faster))


def _work_ms(way: Point) -> float:
    return way.latency.total_ms - way.latency.wire_ms


def _follow(cuts: Sequence[Point], trace: Trace) -> tuple[list[Point], list[Switch]]:
    used: list[Point] = []
    switches: list[Switch] = []
    for row in trace.rows:
        price = _guess(row)
        best = min(cuts, key=price)
        before = used[-1] if used else None
        if before is None or price(best) <= (1 - LEAST_GAIN) * price(before) < price(before):
            switches.append(_switch(row, best, before))
        else:
            best = before
        used.append(best)
    return used, switches


def _is_outage(row: Row) -> bool:
    return row.uplink_mbps < LEAST_MBPS


def _guess(row: Row) -> Callable[[Point], float]:
    """Time at the rate of the moment; in an outage the bytes, of which the fewest win."""
    if _is_outage(row):
        return lambda way: way.payload_bytes
    return lambda way: _work_ms(way) + row.rtt_ms + 8e-3 * way.payload_bytes / row.uplink_mbps


def _switch(row: Row, way: Point, before: Point | None) -> Switch:
    if _is_outage(row):
        return Switch(row.at_s, row.uplink_mbps, way.name, way.codec, None, None)
    price = _guess(row)
    return Switch(row.at_s, row.uplink_mbps, way.name, way.codec, price(way), price(before) if before else None)


def _outcome(name: str, used: Sequence[Point], trace: Trace) -> Outcome:
    times = np.array([_real_ms(way, row, trace) for way, row in zip(used, trace.rows, strict=True)])
    return Outcome(name, float(times.mean()), float(np.percentile(times, 95)), float(times.max()))


def _real_ms(way: Point, row: Row, trace: Trace) -> float:
    """Time with the rates that the payload met; a way that sends nothing needs no link."""
    if way.payload_bytes == 0:
        return way.latency.total_ms
    sent_s = row.at_s + (way.latency.edge_ms + way.latency.encode_ms) / 1e3
    return _work_ms(way) + trace.wire_ms(sent_s, way.payload_bytes)


def _title(way: Point) -> str:
    return f"{way.name} ({way.codec})" if way.cut else way.name
