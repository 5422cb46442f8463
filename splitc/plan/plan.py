"""The plan: the chosen cut and all alternatives, with reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from splitc.graph import RejectedCut
from splitc.plan.point import Point
from splitc.plan.verdict import Verdict


@dataclass(frozen=True)
class Plan:
    """The decision and all that it was chosen from.

    Attributes:
        chosen: The best way by the objective, with a cut or without.
        best_cut: The best way with a cut: what a build makes.
        points: Every cut and codec that was priced in full, by depth.
        baselines: The ways without a cut, to beat.
        rejected: Every other value or set of values, with its reason.
        objective: What was minimized.
        is_proven: No cut outside ``points`` could beat ``best_cut``, even with an empty packet.
        note: How reliable the numbers are.
        verdict: Whether the best cut is worth it beside the ways without one.
        divergence_unit: What every divergence is, with its unit; empty without samples.
        input_bytes: What the edge would send of one sample without a cut and without coding.
    """

    chosen: Point
    best_cut: Point
    points: tuple[Point, ...]
    baselines: tuple[Point, ...]
    rejected: tuple[RejectedCut, ...]
    objective: str
    is_proven: bool
    note: str
    verdict: Verdict
    divergence_unit: str
    input_bytes: int

    def to_json(self) -> dict[str, Any]:
        """As ``plan --json`` and report.json carry it."""
        return {
            "verdict": self.verdict.to_json(),
            "chosen": self.chosen.to_json(),
            "best_cut": self.best_cut.to_json(),
            "points": [point.to_json() for point in self.points],
            "baselines": [baseline.to_json() for baseline in self.baselines],
            "rejected": [{"names": list(cut.names), "reason": cut.reason} for cut in self.rejected],
            "objective": self.objective,
            "proven": self.is_proven,
            "note": self.note,
            "divergence_unit": self.divergence_unit,
            "input_bytes": self.input_bytes,
        }
