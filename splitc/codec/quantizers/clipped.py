"""Any number of even levels between two percentiles of the calibration features."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from splitc.codec.quantizers.base import QuantParams
from splitc.codec.quantizers.uniform import Uniform
from splitc.types import F32


class Clipped(Uniform):
    """Clip to [clip_min, clip_max], then round to ``levels`` even levels that include both ends.

    Source: IFMDC eq. 1 and 2; the paper gives no values, so percentiles of the calibration features are the range.
    """

    name: ClassVar[str] = "clipped"
    wire_id: ClassVar[int] = 9

    levels: int | None = Field(None, ge=2, le=65_536, description="even levels, at most 2**bits; absent: 2**bits - 1")
    percentile: float = Field(99.9, gt=50, le=100, description="upper end of the clip range; the lower is its mirror")

    @property
    def count(self) -> int:
        return self.levels or max(2, (1 << self.bits) - 1)

    @model_validator(mode="after")
    def _fits(self) -> Clipped:
        if self.count > 1 << self.bits:
            raise ValueError(f"{self.levels} levels need more than {self.bits} bits")
        return self

    def _fit_range(self, rows: F32) -> QuantParams:
        lo, hi = np.percentile(rows, [100 - self.percentile, self.percentile], axis=1)
        step = np.maximum((hi - lo) / (self.count - 1), np.finfo(np.float32).tiny)
        step[hi <= lo] = 1.0
        nothing = np.empty((len(rows), 0), np.float32)
        return QuantParams(lo.astype(np.float32), (1 / step).astype(np.float32), nothing, nothing)
