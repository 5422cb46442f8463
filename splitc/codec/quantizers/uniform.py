"""Evenly spaced levels in a calibrated clip range."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from splitc.codec.quantizers.base import FixedScope, Quantizer, some_values, with_centroids, with_middles
from splitc.codec.quantizers.clipping import (
    Range,
    least_divergence_range,
    least_error_range,
    percentile_range,
    widest,
)
from splitc.codec.quantizers.params import QuantParams
from splitc.codec.quantizers.rules import Linear
from splitc.types import F32


class Uniform(Quantizer):
    """Clip to a range, then round to ``2**bits`` even levels: ``q = clip(round((x - lo) * scale), 0, 2**bits - 1)``.

    Source: clip, then quantize, is Cohen, Choi & Bajic 2021; the search over ranges is ours.
    """

    name: ClassVar[str] = "uniform"
    wire_id: ClassVar[int] = 1

    scope: FixedScope = Field("channel", description="one range for the tensor, or one a channel")
    reconstruction: Literal["centroid", "midpoint"] = Field(
        "centroid", description="decode to the calibrated mean of a bin, or to its middle"
    )
    clip: Literal["mse", "percentile", "kl", "minmax"] = Field(
        "mse", description="range by least squared error, percentile, least divergence of histograms, or the widest"
    )
    percentile: float | None = Field(None, gt=50, le=100, description='upper end of clip = "percentile"; absent: 99.9')

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, options: Any) -> Any:
        if not isinstance(options, dict):
            return options
        if options.get("clip") == "percentile":
            return {"percentile": 99.9, **options}
        if options.get("percentile") is not None:
            raise ValueError('percentile goes with clip = "percentile"')
        return options

    @property
    def rule(self) -> Linear:
        return Linear()

    def _fit(self, rows: F32) -> QuantParams:
        return even_levels(rows, self._range(some_values(rows), rows), self.count, self.reconstruction)

    def _range(self, sample: F32, rows: F32) -> Range:
        """Extremes are those of all rows; a search looks at a sample."""
        if self.clip == "minmax":
            return widest(rows)
        if self.clip == "percentile":
            assert self.percentile is not None, "filled in when options are read"
            return percentile_range(sample, self.percentile)
        search = least_error_range if self.clip == "mse" else least_divergence_range
        return search(sample, self.count)


def even_levels(rows: F32, clip: Range, count: int, reconstruction: str) -> QuantParams:
    """Parameters of ``count`` even levels in ``clip`` that decode as ``reconstruction`` says, for ``[S, values]``."""
    lo, hi = clip
    step = np.maximum((hi - lo) / (count - 1), np.finfo(np.float32).tiny)
    step[hi <= lo] = 1.0
    params = with_middles(Linear(), QuantParams.of(count, lo.astype(np.float32), (1 / step).astype(np.float32)))
    return with_centroids(Linear(), rows, params) if reconstruction == "centroid" else params
