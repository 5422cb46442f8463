"""What "better" means: the objectives, and the set of points that none beats in everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from splitc.errors import CutError
from splitc.plan.plan import Point

Cost = tuple[float, float]
"""Smaller is better; the second number decides between equals."""


def cost(point: Point, objective: str) -> Cost:
    """The price of a point under an objective.

    Raises:
        CutError: Energy is asked for and the edge's power is not known.
    """
    return _COSTS[objective](point)


def price(point: Point, objective: str) -> str:
    """The same, for people."""
    return _PRICES[objective](point)


def with_pareto(points: Sequence[Point]) -> list[Point]:
    """The points, each told whether an allowed one beats it in everything."""
    allowed = [_merits(point) for point in points if not point.refused]
    return [
        replace(point, is_pareto=not point.refused and not any(_beats(other, _merits(point)) for other in allowed))
        for point in points
    ]


def _energy(point: Point) -> Cost:
    if point.energy_mj is None:
        raise CutError(
            "split.objective = 'energy': the edge's device profile has no power_w; "
            "use a profile with one, or another objective."
        )
    return point.energy_mj, point.latency.total_ms


_COSTS: dict[str, Callable[[Point], Cost]] = {
    "latency": lambda point: (point.latency.total_ms, point.payload_bytes),
    "energy": _energy,
    "uplink": lambda point: (point.payload_bytes, point.latency.total_ms),
    "throughput": lambda point: (point.latency.period_ms, point.latency.total_ms),
}
_PRICES: dict[str, Callable[[Point], str]] = {
    "latency": lambda point: f"{point.latency.total_ms:.2f} ms",
    "energy": lambda point: f"{point.energy_mj or 0:.2f} mJ",
    "uplink": lambda point: f"{point.payload_bytes:.0f} bytes",
    "throughput": lambda point: f"{point.throughput_per_s:.1f} samples a second",
}


def _merits(point: Point) -> tuple[float, ...]:
    """Smaller is better in each."""
    energy = 0.0 if point.energy_mj is None else point.energy_mj
    fidelity = -1.0 if point.fidelity is None else -point.fidelity  # what is not known beats nothing and loses nothing
    return point.latency.total_ms, point.latency.period_ms, point.payload_bytes, energy, fidelity


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
