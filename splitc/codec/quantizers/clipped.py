"""Any number of even levels between two percentiles of the calibration features."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from splitc.codec.quantizers.base import FixedScope, Quantizer, some_values
from splitc.codec.quantizers.clipping import percentile_range
from splitc.codec.quantizers.params import QuantParams
from splitc.codec.quantizers.rules import Linear
from splitc.codec.quantizers.uniform import even_levels
from splitc.types import F32


class Clipped(Quantizer):
    """Clip to [clip_min, clip_max], then round to ``levels`` even levels that include both ends.

    Source: IFMDC eq. 1 and 2; the paper gives no values, so percentiles of the calibration features are the range.
    """

    name: ClassVar[str] = "clipped"
    wire_id: ClassVar[int] = 9

    scope: FixedScope = Field("channel", description="one range for the tensor, or one a channel")
    reconstruction: Literal["centroid", "midpoint"] = Field(
        "centroid", description="decode to the calibrated mean of a bin, or to its middle"
    )
    levels: int | None = Field(None, ge=2, le=65_536, description="even levels, at most 2**bits; absent: 2**bits - 1")
    percentile: float = Field(99.9, gt=50, le=100, description="upper end of the clip range; the lower is its mirror")

    @property
    def count(self) -> int:
        return self.levels or max(2, (1 << self.bits) - 1)

    @property
    def rule(self) -> Linear:
        return Linear()

    @model_validator(mode="after")
    def _fits(self) -> Clipped:
        if self.count > 1 << self.bits:
            raise ValueError(f"{self.levels} levels need more than {self.bits} bits")
        return self

    def _fit(self, rows: F32) -> QuantParams:
        clip = percentile_range(some_values(rows), self.percentile)
        return even_levels(rows, clip, self.count, self.reconstruction)
