"""Quantizers: float32 features <-> integer symbols, fitted on calibration features and then fixed."""

from __future__ import annotations

from splitc.codec.quantizers.base import Quantizer
from splitc.codec.quantizers.mean_error import MeanError
from splitc.codec.quantizers.operators import Operators, against_channels
from splitc.codec.quantizers.params import MAX_GRAPH_BITS, QuantParams
from splitc.codec.quantizers.rules import as_rows, refuse_nan
from splitc.registry import Registry

QUANTIZERS = Registry[Quantizer](
    "quantizer",
    {
        "binary": "splitc.codec.quantizers.binary:Binary",
        "clipped": "splitc.codec.quantizers.clipped:Clipped",
        "lloyd_max": "splitc.codec.quantizers.lloyd_max:LloydMax",
        "log": "splitc.codec.quantizers.log:Log",
        "step": "splitc.codec.quantizers.step:Step",
        "uniform": "splitc.codec.quantizers.uniform:Uniform",
    },
)

__all__ = [
    "MAX_GRAPH_BITS",
    "QUANTIZERS",
    "MeanError",
    "Operators",
    "QuantParams",
    "Quantizer",
    "against_channels",
    "as_rows",
    "refuse_nan",
]
