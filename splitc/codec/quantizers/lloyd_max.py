"""Levels where the values are."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from splitc.codec.quantizers.base import FixedScope, Quantizer, some_values, with_centroids
from splitc.codec.quantizers.clipping import least_error_range
from splitc.codec.quantizers.params import MAX_GRAPH_BITS, QuantParams
from splitc.codec.quantizers.rules import Thresholds
from splitc.types import F32, F64

ROUNDS = 100
"""Most rounds of refinement; from even levels the error has settled long before."""


class LloydMax(Quantizer):
    """``2**bits`` levels of least squared error: each the mean of its bin, thresholds halfway between levels.

    Deterministic: it starts from the even levels of ``uniform`` and repeats until nothing moves.

    Source: Lloyd 1957/1982, Max 1960.
    """

    name: ClassVar[str] = "lloyd_max"
    wire_id: ClassVar[int] = 5

    scope: FixedScope = Field("channel", description="one range for the tensor, or one a channel")
    bits: int = Field(4, ge=1, le=MAX_GRAPH_BITS, description="bits a symbol")

    @property
    def rule(self) -> Thresholds:
        return Thresholds()

    def _fit(self, rows: F32) -> QuantParams:
        sample = some_values(rows)
        lo, hi = least_error_range(sample, self.count)
        shares = np.linspace(0, 1, self.count)
        levels = np.stack(
            [_refine(np.sort(row), a + (b - a) * shares) for row, a, b in zip(sample, lo, hi, strict=True)]
        )
        thresholds = ((levels[:, 1:] + levels[:, :-1]) / 2).astype(np.float32)
        return with_centroids(self.rule, rows, QuantParams.of_table(thresholds, levels.astype(np.float32)))


def _refine(values: F32, levels: F64) -> F64:
    """Lloyd's iteration on ascending ``values`` from ascending ``levels``; a bin without values keeps its level."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    for _ in range(ROUNDS):
        edges = np.searchsorted(values, (levels[1:] + levels[:-1]) / 2)
        ends = np.concatenate([[0], edges, [len(values)]])
        counts = np.diff(ends)
        means = np.where(counts > 0, np.diff(sums[ends]) / np.maximum(counts, 1), levels)
        if np.array_equal(means, levels):
            break
        levels = np.sort(means)
    return levels
