"""What "better" means: the objectives, and the set of points that none beats in everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from splitc.errors import CutError
from splitc.plan.point import Point, distance

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
    allowed = [point for point in points if not point.refused]
    merits = _merits if all(point.energy_mj is not None for point in allowed) else _merits_without_energy
    rivals = [merits(point) for point in allowed]
    return [
        replace(point, is_pareto=not point.refused and not any(_beats(other, merits(point)) for other in rivals))
        for point in points
    ]


def rank(point: Point, objective: str) -> tuple[float, ...]:
    """Sorts the better point first: allowed ones by price, and at one price by answers; then refused ones.

    Those that were refused go by answers and then by price: where nothing is good enough, the best answers are the
    least wrong. Unknown answers count as the worst.
    """
    away = distance(point)
    return (1.0, away, *cost(point, objective)) if point.refused else (0.0, *cost(point, objective), away)


def _energy(point: Point) -> Cost:
    if point.energy_mj is None:
        raise CutError(
            "split.objective = 'energy': the edge's device profile has no power_w, or the link no radio_w, so sending "
            "would count as free; give both (link.radio_w in watts), or use another objective."
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
    return *_merits_without_energy(point), point.energy_mj or 0.0


def _merits_without_energy(point: Point) -> tuple[float, ...]:
    return point.latency.total_ms, point.latency.period_ms, point.payload_bytes, distance(point)


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
