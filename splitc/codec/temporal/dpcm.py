"""Closed-loop DPCM on features: the residual against the reconstructed previous frame is what gets quantized.

On even levels the reconstruction is a symbol, and the quantized residual a whole number of them: closed-loop DPCM is a
choice of symbols that knows the previous ones, followed by their difference. Rounding at 0.5 chooses what the
quantizer itself chooses; that is ``difference``.
"""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import numpy as np
from pydantic import Field, model_validator

from splitc.codec.fitted import FittedTensor
from splitc.codec.quantizers import Quantizer, as_rows
from splitc.codec.temporal.difference import Difference
from splitc.errors import UsageError
from splitc.native import _core
from splitc.types import F32, Symbols

NO_DEAD_ZONE = 0.5
_ROUNDING = 0.4
"""Measured best; an adaptive zone has none."""


class Dpcm(Difference):
    """``q = sign(e) * floor(|e| / step + rounding)`` of the residual ``e = x - x'(n - 1)``.

    Then ``x'(n) = x'(n - 1) + q * step``, on levels that are even in the sense of FORMAT.md's ``lo`` and ``scale``.

    A rounding below 0.5 keeps a value where it is until it has moved by ``1 - rounding`` steps, so that noise is not
    coded again in every frame; 0.4 measured best. The error stays below ``1 - rounding`` steps.

    ``dead_zone = "adaptive"`` makes the zone the wider the fewer values around change: a lone change costs the most
    bits. Values that do change are rounded to the nearest, so nothing shrinks. The decoder knows nothing of it.

    Source: IFMDC eq. 3 (closed loop); the dead zone after H.264's, the adaptive one after rate-distortion optimization
    with the bits of a static model.
    """

    name: ClassVar[str] = "dpcm"
    wire_id: ClassVar[int] = 2
    is_open_loop: ClassVar[bool] = False

    temporal_rounding: float = Field(
        _ROUNDING,
        ge=0.1,
        le=NO_DEAD_ZONE,
        description='rounding offset of temporal = "dpcm", in steps; 0.5 has no dead zone',
    )

    dead_zone: Literal["fixed", "adaptive"] | None = Field(
        None,
        description="fixed or absent: temporal_rounding says it; adaptive, which has none: wider where less changes",
    )

    rungs: int | None = Field(
        None,
        ge=2,
        le=8,
        description="absent: one step; else so many that a stream can change among, each 1.41 times as coarse as the "
        'one before; needs reconstruction = "unbiased"',
    )

    @property
    def steps(self) -> int:
        return self.rungs or 1

    @model_validator(mode="after")
    def _one_zone(self) -> Dpcm:
        if self.dead_zone == "adaptive" and self.temporal_rounding != _ROUNDING:
            raise ValueError('temporal_rounding goes with dead_zone = "fixed"')
        return self

    def check(self, quantizer: Quantizer) -> None:
        if not quantizer.rule.is_linear:
            raise UsageError(
                f"temporal {self.name!r} needs even levels fixed by calibration, which quantizer {quantizer.name!r} "
                'has not; use quantizer = "uniform", or temporal = "difference".'
            )
        if self.rungs and not quantizer.takes_steps:
            raise UsageError(
                f'rungs = {self.rungs} needs a quantizer with several steps; use quantizer = "step" with '
                'reconstruction = "unbiased".'
            )

    def choose(self, x: F32, predicted: Symbols, tensor: FittedTensor) -> Symbols:
        if self.dead_zone == "adaptive":
            return self._adaptive(x, predicted, tensor)
        if self.temporal_rounding == NO_DEAD_ZONE:
            return tensor.quantize(x)
        lo, scale = tensor.params.lo, tensor.params.scale
        planes = as_rows(x, lo)
        before = cast(Symbols, np.ascontiguousarray(predicted).reshape(planes.shape))
        return _core.quantize_near(planes, before, lo, scale, tensor.count - 1, self.temporal_rounding).reshape(x.shape)

    def _adaptive(self, x: F32, predicted: Symbols, tensor: FittedTensor) -> Symbols:
        lo, scale = tensor.params.lo, tensor.params.scale
        channels = x.shape[1] if x.ndim > 1 else 1
        planes = np.ascontiguousarray(x).reshape(len(x) * channels if x.ndim > 1 else 1, -1)
        before = cast(Symbols, np.ascontiguousarray(predicted).reshape(planes.shape))
        width = x.shape[-1] if x.ndim > 2 else planes.shape[1]
        return _core.quantize_adaptive(planes, before, lo, scale, tensor.count - 1, channels, width).reshape(x.shape)
