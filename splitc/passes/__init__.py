"""Graph to graph, one pass a file; each says what it changed."""

from __future__ import annotations

from splitc.passes.base import Pass, PassResult
from splitc.passes.initializers import PutWeights, Skeleton, weights_of
from splitc.passes.insert_codec import (
    InsertDequantizers,
    InsertQuantizers,
    side_name,
    symbols_name,
    wire_specs,
)
from splitc.passes.lower_precision import LOWER, QuantizeStatic, ToFloat16
from splitc.passes.prepare import prepare
from splitc.passes.raise_opset import RaiseOpset
from splitc.passes.remove_codec import float_head, float_tail
from splitc.passes.simplify import Simplify

__all__ = [
    "LOWER",
    "InsertDequantizers",
    "InsertQuantizers",
    "Pass",
    "PassResult",
    "PutWeights",
    "QuantizeStatic",
    "RaiseOpset",
    "Simplify",
    "Skeleton",
    "ToFloat16",
    "float_head",
    "float_tail",
    "prepare",
    "side_name",
    "symbols_name",
    "weights_of",
    "wire_specs",
]
