"""The same packets from several streams through a server that batches and one that does not."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from plan_bench.rows import Cell, Row

from runtime_bench.many import rows as many_rows
from runtime_bench.pairs import Pair

CLIENTS, GAIN = 16, "gain"


def rows(pairs: Sequence[Pair], seconds: float, rounds: int) -> Iterator[Row]:
    """One row a tail; the rounds take turns."""
    for pair in pairs:
        found: dict[int, list[float]] = {1: [], 8: []}
        for _ in range(rounds):
            for size, rates in found.items():
                rates.append(_rate(pair, seconds, size))
        alone, together = (statistics.median(rates) for rates in found.values())
        ratio = statistics.median(b / a for a, b in zip(*found.values(), strict=True))
        yield Row("batching", pair.name, {"answers/s, batch 1": alone, "answers/s, up to 8": together, GAIN: ratio})


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """Of the tail that gains most: only one that reads more than it computes does."""
    best = max(rows, key=lambda row: float(row.cells[GAIN] or 0), default=None)
    return {"batching_gain": best and best.cells[GAIN], "batching_gain_of": best and best.name}


def _rate(pair: Pair, seconds: float, size: int) -> float:
    (row,) = many_rows([pair], seconds, CLIENTS, size)
    return float(row.cells["answers/s"] or 0)
