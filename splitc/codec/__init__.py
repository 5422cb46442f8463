"""Arrays <-> bytes. FORMAT.md is the law; the coders are in C++ below ``splitc.native``."""

from __future__ import annotations

from splitc.codec.byte_fields import FieldReader, varint
from splitc.codec.codec import Codec
from splitc.codec.entropy import ENTROPY_CODERS, PICTURE_CODERS
from splitc.codec.fitted import FittedTensor
from splitc.codec.judge import Judge
from splitc.codec.packet_sizes import mean_packet_bytes
from splitc.codec.papers import PAPERS
from splitc.codec.parts import PARTS
from splitc.codec.pictures import code_video
from splitc.codec.profiles import PROFILES, spec_from_text, with_profile
from splitc.codec.quantized import Quantized
from splitc.codec.quantizers import MAX_GRAPH_BITS, QUANTIZERS, Operators, Quantizer, QuantParams
from splitc.codec.rate import RateControl, bytes_a_frame
from splitc.codec.requirements import choose_channel_axis, refusal
from splitc.codec.spec import CodecSpec
from splitc.codec.stream import Decoder, Encoder
from splitc.codec.stream_file import StreamFile
from splitc.codec.table import table_faults
from splitc.codec.temporal import TEMPORALS, Temporal
from splitc.codec.tilings import TILINGS, Tiling
from splitc.codec.transforms import TRANSFORMS, Basis, Transform, block_axes, kernels
from splitc.codec.workers import in_order

__all__ = [
    "ENTROPY_CODERS",
    "MAX_GRAPH_BITS",
    "PAPERS",
    "PARTS",
    "PICTURE_CODERS",
    "PROFILES",
    "QUANTIZERS",
    "TEMPORALS",
    "TILINGS",
    "TRANSFORMS",
    "Basis",
    "Codec",
    "CodecSpec",
    "Decoder",
    "Encoder",
    "FieldReader",
    "FittedTensor",
    "Judge",
    "Operators",
    "QuantParams",
    "Quantized",
    "Quantizer",
    "RateControl",
    "StreamFile",
    "Temporal",
    "Tiling",
    "Transform",
    "block_axes",
    "bytes_a_frame",
    "choose_channel_axis",
    "code_video",
    "in_order",
    "kernels",
    "mean_packet_bytes",
    "refusal",
    "spec_from_text",
    "table_faults",
    "varint",
    "with_profile",
]
