"""What one kind of layer takes on one device: a line fitted to measured layers."""

from __future__ import annotations

from pydantic import Field

from splitc.types import Frozen

MEGA, GIGA = 1e6, 1e9


class Rate(Frozen):
    """``launch_ms + gflop * ms_per_gflop + weight MB * ms_per_weight_mb + moved MB * ms_per_moved_mb``.

    MB are 10**6 bytes at the precision of the measurement.
    """

    kind: str
    precision: str = Field(pattern="^(fp32|fp16|int8)$")
    launch_ms: float = Field(ge=0)
    ms_per_gflop: float = Field(ge=0)
    ms_per_weight_mb: float = Field(ge=0)
    ms_per_moved_mb: float = Field(ge=0)

    def layer_ms(self, flops: float, weight_bytes: float, moved_bytes: float) -> float:
        """Predicted time of one layer, in milliseconds."""
        traffic_ms = self.ms_per_weight_mb * weight_bytes / MEGA + self.ms_per_moved_mb * moved_bytes / MEGA
        return self.launch_ms + self.ms_per_gflop * flops / GIGA + traffic_ms
