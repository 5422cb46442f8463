"""Candidates: cuts with an option each, priced with the packet to expect, and the best of them measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from splitc.errors import SplitcError
from splitc.graph import CandidateCut, RejectedCut
from splitc.plan.ask import USUAL_BITS, Ask, Measure, Option, Places
from splitc.plan.coding import coding_ms
from splitc.plan.constraints import bytes_reason
from splitc.plan.objective import cost
from splitc.plan.point import Latency, Load, Point
from splitc.plan.prices import Prices
from splitc.plan.worth import answers_reason, has_limit, keeps_answers, with_expected

EXPECTED_SHARE = 0.85
"""Expected packet over k-bit packing, for ranking before anything is measured."""
FLOAT_BYTES = 4
ROUNDS = 4
"""Times that as many cuts as ``split.candidates`` are measured, while none has good answers."""


@dataclass(frozen=True)
class Pair:
    """A cut with one option, priced with an expected packet."""

    cut: CandidateCut
    option: Option
    point: Point


class Tried:
    """Candidates that were measured, and what is left.

    Attributes:
        points: Measured, the best cut of the prediction first.
        options: Of the points, in their order.
        failed: Cuts that cannot be coded after all, with the reason.
        rest: Pairs that were not measured.
        input_bytes: Of one input, uncoded, which "auto" may not exceed.
    """

    def __init__(self, ask: Ask, places: Places, prices: Prices, measure: Measure | None, input_bytes: int) -> None:
        self._ask, self._places, self._prices, self._measure = ask, places, prices, measure
        self.input_bytes = input_bytes
        self.points: list[Point] = []
        self.options: list[Option] = []
        self.failed: list[RejectedCut] = []
        self.rest: list[Pair] = []

    def run(self, allowed: Sequence[Pair]) -> None:
        """Measure the ``split.candidates`` best cuts; and as many again, up to ``ROUNDS`` times, while none is good.

        Raises:
            SplitcError: No cut could be measured; the first fault.
        """
        objective, first = self._ask.split.objective, None
        turns = [pair.cut.names for pair in ranked(one_a_cut(allowed, objective), objective)]
        each = self._ask.split.candidates
        for start in range(0, min(len(turns), ROUNDS * each), each):
            for names in turns[start : start + each]:
                fault = self._try([pair for pair in allowed if pair.cut.names == names])
                first = first or fault
            self.points = with_expected(self.points)
            if any(self._is_good(point) for point in self.points):
                break
        if not self.points and first is not None:
            raise first
        done = {point.cut for point in self.points} | {cut.names for cut in self.failed}
        self.rest = [pair for pair in allowed if pair.cut.names not in done]

    def _is_good(self, point: Point) -> bool:
        """Allowed; without a limit, with the usual fidelity too: few samples do not tell more of a limit."""
        return not point.refused and (has_limit(self._ask) or keeps_answers(point, self._ask))

    def _try(self, pairs: Sequence[Pair]) -> SplitcError | None:
        """All options of one cut; its fault where one of them cannot be measured."""
        try:
            points = [self._measured(pair) for pair in pairs]
        except SplitcError as fault:
            self.failed.append(RejectedCut(pairs[0].cut.names, str(fault)))
            return fault
        self.points += points
        self.options += [pair.option for pair in pairs]
        return None

    def _measured(self, pair: Pair) -> Point:
        if self._measure is None:
            return pair.point
        found = self._measure(pair.cut, pair.option)
        point = replace(
            sending(pair.point, found.payload_bytes, self._places, self._prices),
            is_measured=True,
            fidelity=found.fidelity,
            accuracy=found.accuracy,
            samples=found.samples,
            divergence=found.divergence,
            divergence_error=found.divergence_error,
        )
        refused = bytes_reason(found.payload_bytes, self.input_bytes, self._ask.split)
        return replace(point, refused=refused or answers_reason(found, self._ask))


def predicted(cut: CandidateCut, option: Option, places: Places, prices: Prices) -> Point:
    """The pair's price with the packet that its bits let expect."""
    elements = cut.wire_bytes // FLOAT_BYTES
    edge_ms, cloud_ms = prices.halves_ms(cut, option)
    encode_ms, decode_ms = coding_ms(option.spec, elements)
    latency = Latency(edge_ms, encode_ms, 0.0, decode_ms, cloud_ms)
    memory = prices.memory_bytes(cut, option.edge_precision)
    point = Point(
        name=", ".join(cut.names),
        cut=cut.names,
        codec=option.label,
        bits=option.bits,
        edge_precision=option.edge_precision,
        cloud_precision=option.cloud_precision,
        latency=latency,
        load=Load(cut.head_flops, cut.tail_flops, cut.head_parameters, cut.tail_parameters, memory),
        feature_bytes=cut.wire_bytes,
        payload_bytes=0.0,
        is_measured=False,
    )
    return sending(point, elements * (option.bits or USUAL_BITS) * EXPECTED_SHARE / 8, places, prices)


def sending(point: Point, payload_bytes: float, places: Places, prices: Prices) -> Point:
    """The same point with a packet of this size."""
    push_ms = places.link.push_ms(payload_bytes)
    latency = replace(point.latency, wire_ms=places.link.wire_ms(payload_bytes), push_ms=push_ms)
    energy_mj = prices.energy_mj(latency.edge_ms + latency.encode_ms, push_ms)
    return replace(point, latency=latency, payload_bytes=payload_bytes, energy_mj=energy_mj)


def one_a_cut(pairs: Sequence[Pair], objective: str) -> list[Pair]:
    """The best pair of each cut, in the order of the cuts."""
    best: dict[tuple[str, ...], Pair] = {}
    for pair in pairs:
        rival = best.get(pair.cut.names)
        if rival is None or cost(pair.point, objective) < cost(rival.point, objective):
            best[pair.cut.names] = pair
    return list(best.values())


def ranked(pairs: Sequence[Pair], objective: str) -> list[Pair]:
    """The cheapest first, but of those predicted alike only the deepest; its likes come after all others.

    A convolution and the activation behind it are predicted alike, and the activation has the fewer bytes.
    """
    alike: Counter[tuple[float, int]] = Counter()
    turns = []
    for pair in sorted(pairs, key=lambda one: one.cut.position, reverse=True):
        kind = round(pair.point.latency.total_ms, 9), pair.point.feature_bytes
        turns.append((alike[kind], cost(pair.point, objective), pair.cut.position, pair))
        alike[kind] += 1
    return [pair for *_, pair in sorted(turns, key=lambda turn: turn[:3])]
