"""What the compiler decided about the cut, and what it decided against."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from splitc.graph import RejectedCut


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one sample's way; predictions of a cost model, not measurements."""

    edge_ms: float
    encode_ms: float
    wire_ms: float
    decode_ms: float
    cloud_ms: float

    @property
    def total_ms(self) -> float:
        """Sum of the stages: one sample alone, nothing overlapped."""
        return self.edge_ms + self.encode_ms + self.wire_ms + self.decode_ms + self.cloud_ms


@dataclass(frozen=True)
class Point:
    """One cut with its price.

    Attributes:
        cut: Names of the values that cross.
        latency: Predicted.
        feature_bytes: The cut tensors as float32, batch 1.
        payload_bytes: Mean packet on calibration samples when ``is_measured``, else an estimate.
        head_flops, tail_flops: Of either half.
        head_parameters, tail_parameters: Of either half.
    """

    cut: tuple[str, ...]
    latency: Latency
    feature_bytes: int
    payload_bytes: float
    is_measured: bool
    head_flops: int
    tail_flops: int
    head_parameters: int
    tail_parameters: int

    def to_json(self) -> dict[str, Any]:
        """Flat numbers, units in the names."""
        numbers: dict[str, Any] = asdict(self)
        times: dict[str, float] = numbers.pop("latency")
        return {**numbers, **times, "cut": list(self.cut), "total_ms": self.latency.total_ms}


@dataclass(frozen=True)
class Baseline:
    """A way without a cut, to beat."""

    name: str
    latency: Latency
    payload_bytes: float

    def to_json(self) -> dict[str, Any]:
        """Flat numbers, units in the names."""
        numbers = {"name": self.name, "payload_bytes": self.payload_bytes}
        return {**numbers, **asdict(self.latency), "total_ms": self.latency.total_ms}


@dataclass(frozen=True)
class Plan:
    """The chosen cut, the measured points it was chosen from, the baselines, and every rejected cut with its reason."""

    chosen: Point
    points: tuple[Point, ...]
    baselines: tuple[Baseline, ...]
    rejected: tuple[RejectedCut, ...]
    note: str

    def to_json(self) -> dict[str, Any]:
        """As ``plan --json`` and report.json carry it."""
        return {
            "chosen": self.chosen.to_json(),
            "points": [point.to_json() for point in self.points],
            "baselines": [baseline.to_json() for baseline in self.baselines],
            "rejected": [{"names": list(cut.names), "reason": cut.reason} for cut in self.rejected],
            "note": self.note,
        }
