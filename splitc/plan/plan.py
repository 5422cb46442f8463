"""The plan: the chosen cut and all alternatives, with reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from splitc.graph import RejectedCut


@dataclass(frozen=True)
class Latency:
    """Predicted milliseconds of each stage for one sample.

    ``push_ms`` is the part of ``wire_ms`` in which the payload occupies the link; the rest is delay.
    """

    edge_ms: float
    encode_ms: float
    wire_ms: float
    decode_ms: float
    cloud_ms: float
    push_ms: float = 0.0

    @property
    def total_ms(self) -> float:
        """Sum of the stages: one sample alone, nothing overlapped."""
        return self.edge_ms + self.encode_ms + self.wire_ms + self.decode_ms + self.cloud_ms

    @property
    def period_ms(self) -> float:
        """The busiest of edge, link and cloud: time from one sample to the next when they work at once."""
        return max(self.edge_ms + self.encode_ms, self.push_ms, self.decode_ms + self.cloud_ms)


@dataclass(frozen=True)
class Load:
    """What an option requires of edge and cloud: operations, parameters, and bytes of the edge's memory."""

    head_flops: int
    tail_flops: int
    head_parameters: int
    tail_parameters: int
    edge_memory_bytes: int


@dataclass(frozen=True)
class Point:
    """One way from input to answer with its price: a cut and a codec, or a way without a cut.

    Attributes:
        name: The cut's values, "edge only", or "cloud only" and how the input travels.
        cut: Names of the values that cross; empty without a cut.
        codec: How the bytes are made, for people.
        bits: Of a symbol, where the codec has such a number.
        edge_precision, cloud_precision: Element type that either half computes in.
        latency: Predicted.
        load: Of either half.
        feature_bytes: What crosses, before coding: the cut tensors as float32, or the input as 8-bit numbers.
        payload_bytes: Mean packet on calibration samples when ``is_measured``, else an estimate.
        energy_mj: Of the edge, for one sample; None where its power, or its radio's if it sends, is not known.
        fidelity, accuracy: On calibration samples; None where not measured or without labels.
        samples: Behind ``fidelity`` where it is a share of samples that are answered alike, else None.
        refused: Why it cannot be chosen; empty when it can.
        reason: Why it was not chosen; empty for the chosen.
        is_pareto: No other allowed point is at least as good in total time, period, payload, energy and fidelity and
            better in one. Unknown fidelity is worse than any that is known; energy counts where every point has it.
    """

    name: str
    cut: tuple[str, ...]
    codec: str
    bits: int | None
    edge_precision: str
    cloud_precision: str
    latency: Latency
    load: Load
    feature_bytes: int
    payload_bytes: float
    is_measured: bool
    energy_mj: float | None = None
    fidelity: float | None = None
    accuracy: float | None = None
    samples: int | None = None
    refused: str = ""
    reason: str = ""
    is_pareto: bool = False

    @property
    def throughput_per_s(self) -> float:
        """Samples a second of the pipelined pair."""
        return 1000 / max(self.latency.period_ms, 1e-9)

    def because(self, reason: str) -> Point:
        """The same point, with why it was not chosen."""
        return replace(self, reason=reason)

    def to_json(self) -> dict[str, Any]:
        """Flat numbers, units in the names."""
        numbers: dict[str, Any] = asdict(self)
        times, load = numbers.pop("latency"), numbers.pop("load")
        numbers["pareto"] = numbers.pop("is_pareto")
        totals = {"total_ms": self.latency.total_ms, "throughput_per_s": self.throughput_per_s}
        return {**numbers, **load, **times, **totals, "cut": list(self.cut)}


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
    """

    chosen: Point
    best_cut: Point
    points: tuple[Point, ...]
    baselines: tuple[Point, ...]
    rejected: tuple[RejectedCut, ...]
    objective: str
    is_proven: bool
    note: str

    def to_json(self) -> dict[str, Any]:
        """As ``plan --json`` and report.json carry it."""
        return {
            "chosen": self.chosen.to_json(),
            "best_cut": self.best_cut.to_json(),
            "points": [point.to_json() for point in self.points],
            "baselines": [baseline.to_json() for baseline in self.baselines],
            "rejected": [{"names": list(cut.names), "reason": cut.reason} for cut in self.rejected],
            "objective": self.objective,
            "proven": self.is_proven,
            "note": self.note,
        }
