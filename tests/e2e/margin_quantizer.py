"""A quantizer of somebody else's, with two options of its own: one file, and one line that registers it."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from splitc.codec.quantizers.base import FixedScope, Quantizer
from splitc.codec.quantizers.params import QuantParams
from splitc.codec.quantizers.rules import Linear
from splitc.codec.quantizers.uniform import even_levels
from splitc.types import F32


class Margin(Quantizer):
    """Even levels over the calibrated range and a margin around it."""

    name: ClassVar[str] = "margin"
    wire_id: ClassVar[int] = 200

    scope: FixedScope = Field("tensor", description="one range for the tensor, or one a channel")
    margin: float = Field(0.125, ge=0, le=1, description="added at each end, as a share of the range")
    margin_side: Literal["both", "above"] = Field("both", description="where it is added")

    @property
    def rule(self) -> Linear:
        return Linear()

    def _fit(self, rows: F32) -> QuantParams:
        low, high = rows.min(1).astype(np.float64), rows.max(1).astype(np.float64)
        more = (high - low) * self.margin
        below = more if self.margin_side == "both" else 0.0 * more
        return even_levels(rows, (low - below, high + more), self.count, "midpoint")
