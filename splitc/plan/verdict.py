"""Is the cut worth it? What it costs beside the best ways without a cut, in numbers, and what else must be known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from splitc.plan.ask import Ask
from splitc.plan.objective import cost
from splitc.plan.point import Point, finite
from splitc.plan.worth import USUAL_FIDELITY, answers_text, has_limit, keeps_answers

NEAR = 1.1
"""Up to this factor, predictions do not tell ways apart."""
END_SHARE = 0.01
"""A cut that leaves less of the operations to the cloud lies at the network's end."""


@dataclass(frozen=True)
class Rival:
    """A way without a cut, beside the cut.

    Attributes:
        name: Of the way.
        factor: The cut's price by the objective, divided by this way's: above 1 where this way is better. None where
            this way costs nothing.
        total_ms, payload_bytes, energy_mj, throughput_per_s, fidelity, divergence: Of this way.
    """

    name: str
    factor: float | None
    total_ms: float
    payload_bytes: float
    energy_mj: float | None
    throughput_per_s: float
    fidelity: float | None
    divergence: float | None


@dataclass(frozen=True)
class Verdict:
    """The judgement.

    Attributes:
        is_worth_it: The cut is good enough, and no allowed way without a cut is better by the objective.
        headline: That, with numbers, in English.
        warnings: What else a user must know of this cut, one sentence each.
        rivals: Allowed ways without a cut, whose answers are as good or as good as asked for, best first.
        nearest: Where no cut is good enough, what comes nearest; else empty.
    """

    is_worth_it: bool
    headline: str
    warnings: tuple[str, ...]
    rivals: tuple[Rival, ...]
    nearest: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plan and build carry it."""
        return {**asdict(self), "warnings": list(self.warnings), "rivals": [asdict(one) for one in self.rivals]}


def judge_worth(best: Point, without_cut: Sequence[Point], ask: Ask, input_bytes: int) -> Verdict:
    """Hold the best cut against the ways without one.

    Args:
        best: The best cut.
        without_cut: The whole on the edge, or in the cloud with the input sent in some coding, at the divergence that
            the cut has or may have.
        ask: What was asked.
        input_bytes: Of one input, uncoded.
    """
    objective = ask.split.objective
    fair = [way for way in without_cut if not way.refused and _answers_as_well(way, best, ask)]
    fair.sort(key=lambda way: cost(way, objective))
    rivals = tuple(_rival(way, best, objective) for way in fair)
    warnings = tuple(_warnings(best, fair, ask, input_bytes))
    if best.refused:
        nearest = f"{best.name} ({best.codec}): {best.refused}"
        instead = f" Good enough without a cut: {fair[0].name}, {_numbers(fair[0], objective)}." if fair else ""
        return Verdict(False, f"NO CUT IS GOOD ENOUGH. Nearest comes {nearest}.{instead}", warnings, rivals, nearest)
    if not fair:
        text = f"No way without a cut is allowed, so this cut stands alone: {_numbers(best, objective)}."
        return Verdict(True, text, warnings, rivals)
    is_worth_it = cost(best, objective) <= cost(fair[0], objective)
    return Verdict(is_worth_it, _headline(best, fair[0], is_worth_it, objective), warnings, rivals)


def _answers_as_well(way: Point, best: Point, ask: Ask) -> bool:
    """No worse than the cut's, or as good as asked for; unknown answers of a way are taken to be as good."""
    return not _is_worse(way, best) or keeps_answers(way, ask)


def _is_worse(way: Point, best: Point) -> bool:
    """Whether its answers are surely further from the unsplit network's."""
    if way.divergence is None or best.divergence is None:
        return False
    return way.divergence > best.divergence * (1 + 1e-9)  # interpolated


def _rival(way: Point, best: Point, objective: str) -> Rival:
    return Rival(
        name=way.name,
        factor=_factor(best, way, objective),
        total_ms=way.latency.total_ms,
        payload_bytes=way.payload_bytes,
        energy_mj=way.energy_mj,
        throughput_per_s=way.throughput_per_s,
        fidelity=way.fidelity,
        divergence=finite(way.divergence),
    )


def _factor(one: Point, other: Point, objective: str) -> float | None:
    """How many times as dear the first is."""
    dear, cheap = (cost(point, objective)[0] for point in (one, other))
    return dear / cheap if cheap > 0 else None


def _headline(best: Point, rival: Point, is_worth_it: bool, objective: str) -> str:
    cut, way = f"The cut: {_numbers(best, objective)}", f"{rival.name}: {_numbers(rival, objective)}"
    how = "" if best.is_measured else ", by estimated packets"
    if is_worth_it:
        factor = _factor(rival, best, objective)
        barely = "Worth it, but barely" if factor is not None and factor < NEAR else "Worth it"
        return f"{barely}, by {objective}{how}. {cut}. The best way without one, {way}{_times(factor, objective)}."
    factor = _factor(best, rival, objective)
    return f"NOT WORTH IT, by {objective}{how}. Better is {way}. {cut}{_times(factor, objective)}."


_TIMES = {"latency": "as long", "energy": "the energy", "uplink": "the bytes", "throughput": "as slow"}


def _times(factor: float | None, objective: str) -> str:
    """``, 3.6 times as long``."""
    return "" if factor is None or not math.isfinite(factor) else f", {factor:.3g} times {_TIMES[objective]}"


def _numbers(point: Point, objective: str) -> str:
    """Time, bytes and fidelity, and before them what the objective is of where that is neither."""
    sent = f"{point.payload_bytes:,.0f} bytes sent" if point.payload_bytes else "nothing sent"
    words = [f"{point.latency.total_ms:.2f} ms", sent]
    if objective == "energy" and point.energy_mj is not None:
        words.insert(0, f"{point.energy_mj:.2f} mJ")
    if objective == "throughput":
        words.insert(0, f"{point.latency.period_ms:.2f} ms from sample to sample")
    if point.fidelity is not None:
        words.append(f"fidelity {point.fidelity:.3f}")
    return ", ".join(words)


def _warnings(best: Point, fair: Sequence[Point], ask: Ask, input_bytes: int) -> list[str]:
    said = []
    coded = [way for way in fair if way.is_measured and way.payload_bytes > 0 and not _is_worse(way, best)]
    smallest = min(coded, key=lambda way: way.payload_bytes, default=None)
    if best.payload_bytes > input_bytes > 0:
        said.append(f"It sends {best.payload_bytes:,.0f} bytes, more than the input itself has: {input_bytes:,}.")
    elif smallest is not None and smallest.payload_bytes < best.payload_bytes:
        more = best.payload_bytes / smallest.payload_bytes
        said.append(
            f"It sends {more:.3g} times as much as {smallest.codec} at no more divergence of the answers: "
            f"{best.payload_bytes:,.0f} bytes against {smallest.payload_bytes:,.0f}."
        )
    share = best.load.tail_flops / max(best.load.head_flops + best.load.tail_flops, 1)
    if share < END_SHARE:
        said.append(f"It lies at the network's end: {share:.2%} of the operations are left for the cloud.")
    if not has_limit(ask) and not keeps_answers(best, ask):
        said.append(
            f"Its answers are not the network's: {answers_text(best, ask)}, where {USUAL_FIDELITY:g} is usual and no "
            "gate asks for more; use a finer codec, or set gate.min_fidelity."
        )
    return said
