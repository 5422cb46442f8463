"""Quantizers: float32 features <-> integer symbols, fitted on calibration features and then fixed."""

from __future__ import annotations

from splitc.codec.quantizers.base import MAX_GRAPH_BITS, Quantizer, QuantParams, against_channels, refuse_nan
from splitc.registry import Registry

QUANTIZERS = Registry[Quantizer](
    "quantizer",
    {
        "clipped": "splitc.codec.quantizers.clipped:Clipped",
        "log": "splitc.codec.quantizers.log:Log",
        "uniform": "splitc.codec.quantizers.uniform:Uniform",
    },
)

__all__ = ["MAX_GRAPH_BITS", "QUANTIZERS", "QuantParams", "Quantizer", "against_channels", "refuse_nan"]
