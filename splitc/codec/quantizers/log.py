"""Logarithmic levels above a minimum: fine near zero, coarse far away."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from splitc.codec.quantizers.base import Quantizer, with_centroids, with_middles
from splitc.codec.quantizers.params import MAX_GRAPH_BITS, QuantParams
from splitc.codec.quantizers.rules import FixedLog, LogThresholds, Rule, SampleLog
from splitc.types import F32, F64


class Log(Quantizer):
    """``q = round(log2(x - lo + 1) / log2(hi - lo + 1) * (2**bits - 1))``; values beyond ``lo`` and ``hi`` clip.

    | scope | lo and hi | source |
    |---|---|---|
    | `tensor`, `channel` | extremes of the calibration features | ours |
    | the same, with `maximum` | 0 and `maximum` | Xing et al. 2020: fixed in advance, no side information |
    | `sample` | of each sample, sent with it as 8 bytes | Chen et al. 2019, eq. 5 and 6 |

    With fixed ends and up to 8 bits, stored float32 thresholds decide, because no two libraries agree on the last bit
    of a logarithm. With ends of the sample's own there is nothing to store, and an exact logarithm decides
    (:mod:`splitc.codec.quantizers.exact_log`); it decodes by eq. 6, so there are no centroids.
    """

    name: ClassVar[str] = "log"
    wire_id: ClassVar[int] = 2

    scope: Literal["tensor", "channel", "sample"] = Field(
        "channel", description="one range for the tensor, one a channel, or one a sample"
    )
    reconstruction: Literal["centroid", "midpoint"] = Field(
        "centroid", description='decode to the calibrated mean of a bin, or to its middle; scope "sample": its middle'
    )
    maximum: float | None = Field(
        None, gt=0, le=float(np.finfo(np.float32).max), description="largest value, fixed in advance; the least is 0"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, options: Any) -> Any:
        if not isinstance(options, dict) or options.get("scope") != "sample":
            return options
        if options.get("maximum") is not None:
            raise ValueError('scope "sample" takes each sample\'s own maximum; leave maximum out')
        if options.get("reconstruction", "midpoint") != "midpoint":
            raise ValueError('scope "sample" decodes by a formula; reconstruction must be "midpoint"')
        return {**options, "reconstruction": "midpoint"}

    @property
    def rule(self) -> Rule:
        if self.scope == "sample":
            return SampleLog()
        return LogThresholds() if self.bits <= MAX_GRAPH_BITS else FixedLog()

    def _fit(self, rows: F32) -> QuantParams:
        if self.scope == "sample":
            return QuantParams.of(self.count, np.zeros(1, np.float32), np.ones(1, np.float32))
        lo, hi = self._range(rows)
        span = np.where(hi > lo, np.log2(hi - lo + 1), 1.0)
        scale = (self.count - 1) / np.maximum(span, 1e-30)
        thresholds = _thresholds(lo, scale, self.count) if self.bits <= MAX_GRAPH_BITS else None
        fitted = QuantParams.of(self.count, lo.astype(np.float32), scale.astype(np.float32), thresholds)
        params = with_middles(self.rule, fitted)
        return with_centroids(self.rule, rows, params) if self.reconstruction == "centroid" else params

    def _range(self, rows: F32) -> tuple[F64, F64]:
        if self.maximum is not None:
            return np.zeros(len(rows)), np.full(len(rows), self.maximum)
        return rows.min(1).astype(np.float64), rows.max(1).astype(np.float64)


def _thresholds(lo: F64, scale: F64, count: int) -> F32:
    """Least float32 value of each symbol above 0, ``[S, count - 1]``.

    Halves round to even: the value at ``q - 0.5`` is symbol ``q`` when ``q`` is even; else the next value up is.
    """
    q = np.arange(1, count, dtype=np.float64)
    exact = np.exp2((q - 0.5) / scale[:, None]) - 1 + lo[:, None]
    rounded = exact.astype(np.float32)
    above = np.nextafter(rounded, np.float32(np.inf))
    odd_tie = (rounded == exact) & (q % 2 == 1)
    least = np.where((rounded < exact) | odd_tie, above, rounded).astype(np.float32)
    return np.asarray(np.maximum.accumulate(least, axis=1))  # far from zero neighbours round to one value
