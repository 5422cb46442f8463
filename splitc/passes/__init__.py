"""Graph to graph, one pass a file; each says what it changed."""

from __future__ import annotations

from splitc.passes.base import Pass, PassResult
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
    "QuantizeStatic",
    "RaiseOpset",
    "Simplify",
    "ToFloat16",
    "float_head",
    "float_tail",
    "prepare",
    "side_name",
    "symbols_name",
    "wire_specs",
]
