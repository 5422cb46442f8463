"""The same packets from several streams through a server that batches and one that does not.

Answers a second tell also who else used the cores; the server's processor time for each answer does not.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from plan_bench.rows import Cell, Row

from runtime_bench.many import CPU
from runtime_bench.many import rows as many_rows
from runtime_bench.pairs import Pair

CLIENTS, GAIN, CPU_GAIN = 16, "gain", "gain in CPU time"


def rows(pairs: Sequence[Pair], seconds: float, rounds: int) -> Iterator[Row]:
    """One row a tail; the rounds take turns."""
    for pair in pairs:
        found: dict[int, list[Row]] = {1: [], 8: []}
        for _ in range(rounds):
            for size, some in found.items():
                some += many_rows([pair], seconds, CLIENTS, size)
        cells: dict[str, Cell] = {}
        for what in ("answers/s", CPU):
            for size, some in found.items():
                cells[f"{what}, {'batch 1' if size == 1 else f'up to {size}'}"] = statistics.median(_of(some, what))
        rates, costs = ([_of(some, what) for some in found.values()] for what in ("answers/s", CPU))
        cells[GAIN] = statistics.median(b / a for a, b in zip(*rates, strict=True))
        cells[CPU_GAIN] = statistics.median(a / b for a, b in zip(*costs, strict=True))
        yield Row("batching", pair.name, cells)


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """Of the tail that gains most: only one that reads more than it computes does."""
    best = max(rows, key=lambda row: float(row.cells[GAIN] or 0), default=None)
    return {
        "batching_gain": best and best.cells[GAIN],
        "batching_gain_in_cpu_time": best and best.cells[CPU_GAIN],
        "batching_gain_of": best and best.name,
    }


def _of(rows: Sequence[Row], what: str) -> list[float]:
    return [float(row.cells[what] or 0) for row in rows]
