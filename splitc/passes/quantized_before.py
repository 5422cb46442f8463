"""What of a network was quantized before it came here: such layers stay as their maker left them."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir

from splitc.passes.layers import WEIGHT, Layer

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
INTEGER_LAYERS = (
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
    "QGemm",
    "MatMulNBits",
    "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
)
"""Layers of quantized operators, of ONNX and of ONNX Runtime."""
Q_DQ, OPERATORS = "Q/DQ", "quantized operators"


def quantized_before(model: ir.Model) -> str:
    """What is said of layers that are quantized already; empty where there are none.

    A layer counts whose weight or whose data comes out of a DequantizeLinear, and every integer operator.
    """
    counts = Counter(kind for node in model.graph if (kind := _kind(node)))
    if not counts:
        return ""
    found = " and ".join(f"{count} as {kind}" for kind, count in sorted(counts.items()))
    return (
        f"this network was quantized before: {found}; these layers keep their scales and types, and INT8 is for the "
        "float layers beside them"
    )


def reads_dequantized(layer: Layer) -> bool:
    """Whether a float weight meets data that its maker quantized: rounding those again would only lose."""
    return _is_dequantized(layer.input)


def _kind(node: ir.Node) -> str:
    if node.op_type in INTEGER_LAYERS:
        return OPERATORS
    if node.domain not in ("", "ai.onnx") or node.op_type not in LAYERS:
        return ""
    return Q_DQ if any(_is_dequantized(value) for value in node.inputs[: WEIGHT + 1]) else ""


def _is_dequantized(value: ir.Value | None) -> bool:
    maker = value.producer() if value is not None else None
    return maker is not None and maker.op_type == "DequantizeLinear"
