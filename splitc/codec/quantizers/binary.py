"""One bit a value."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from splitc.codec.quantizers.base import FixedScope, Quantizer, some_values, with_centroids
from splitc.codec.quantizers.params import QuantParams
from splitc.codec.quantizers.rules import Thresholds
from splitc.types import F32


class Binary(Quantizer):
    """One threshold, and the mean of the values on either side of it.

    The threshold is the one of least squared error on the calibration features, found exactly. Xing et al. 2020's one
    bit, ``x > sqrt(maximum + 1) - 1``, is ``log`` with ``bits = 1`` and ``maximum``.
    """

    name: ClassVar[str] = "binary"
    wire_id: ClassVar[int] = 4

    scope: FixedScope = Field("channel", description="one range for the tensor, or one a channel")
    bits: int = Field(1, ge=1, le=1, description="always 1")

    @property
    def rule(self) -> Thresholds:
        return Thresholds()

    def _fit(self, rows: F32) -> QuantParams:
        splits = [_best_split(np.sort(row)) for row in some_values(rows)]
        thresholds = np.array([[split[0]] for split in splits], np.float32)
        levels = np.array([split[1:] for split in splits], np.float32)
        return with_centroids(self.rule, rows, QuantParams.of_table(thresholds, levels))


def _best_split(values: F32) -> tuple[float, float, float]:
    """Threshold, mean below and mean from there on, of least squared error; ``values`` ascend."""
    cuts = np.flatnonzero(values[1:] > values[:-1]) + 1
    if len(cuts) == 0:
        return float(values[0]), float(values[0]), float(values[0])
    sums = np.cumsum(values, dtype=np.float64)
    total, count = sums[-1], len(values)
    low, high = sums[cuts - 1] / cuts, (total - sums[cuts - 1]) / (count - cuts)
    best = int(np.argmax(low * sums[cuts - 1] + high * (total - sums[cuts - 1])))  # least error is most mean energy
    left, right = values[cuts[best] - 1], values[cuts[best]]
    between = np.float32((np.float64(left) + np.float64(right)) / 2)
    return float(between if between > left else right), float(low[best]), float(high[best])
