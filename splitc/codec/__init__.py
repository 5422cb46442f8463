"""Arrays <-> bytes. FORMAT.md is the law; the coders are in C++ below ``splitc.native``."""

from __future__ import annotations

from splitc.codec.codec import Codec, mean_packet_bytes
from splitc.codec.entropy import ENTROPY_CODERS
from splitc.codec.quantized import Quantized
from splitc.codec.quantizers import MAX_GRAPH_BITS, QUANTIZERS, Quantizer, QuantParams
from splitc.codec.spec import CodecSpec, FittedTensor

__all__ = [
    "ENTROPY_CODERS",
    "MAX_GRAPH_BITS",
    "QUANTIZERS",
    "Codec",
    "CodecSpec",
    "FittedTensor",
    "QuantParams",
    "Quantized",
    "Quantizer",
    "mean_packet_bytes",
]
