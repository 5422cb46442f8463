"""One way from input to answer with its price."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any


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
        divergence, divergence_error: The task's smooth distance on the same samples, their mean, and its standard
            error; None where not measured. Of a coding of the input, interpolated between two settings.
        expected_fidelity: Fidelity that the divergence lets expect: that of all measured pairs, made to fall as their
            divergences rise; one pair's own share hangs on few samples. None where not measured.
        refused: Why it cannot be chosen; empty when it can.
        reason: Why it was not chosen; empty for the chosen.
        is_pareto: No other allowed point is at least as good in total time, period, payload, energy and answers and
            better in one. Answers go by divergence, else by fidelity; unknown ones are worse than any that are known.
            Energy counts where every point has it.
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
    divergence: float | None = None
    divergence_error: float | None = None
    expected_fidelity: float | None = None
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
        numbers |= {key: finite(numbers[key]) for key in ("divergence", "divergence_error")}
        totals = {"total_ms": self.latency.total_ms, "throughput_per_s": self.throughput_per_s}
        return {**numbers, **load, **times, **totals, "cut": list(self.cut)}


def finite(number: float | None) -> float | None:
    """JSON has no infinity: a divergence that is not finite is null there."""
    return number if number is not None and math.isfinite(number) else None


def distance(point: Point) -> float:
    """How far answers are from the unsplit network's: the divergence, else the share that changed, else unknown."""
    if point.divergence is not None:
        return point.divergence
    return math.inf if point.fidelity is None else 1 - point.fidelity
