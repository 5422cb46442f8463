"""Rules about the deep learning accelerator of Xavier and Orin."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from splitc.lint.rule import Hit
from splitc.lint.target import LintTarget
from splitc.lint.walk import input_of, name_of, nodes, ports

RUNS = {
    *("Abs", "Add", "Atan", "AveragePool", "BatchNormalization", "Clip", "Concat", "Constant", "Conv", "ConvTranspose"),
    *("Cos", "DequantizeLinear", "Div", "Equal", "Flatten", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater"),
    *("Identity", "LRN", "LeakyRelu", "Less", "Max", "MaxPool", "Min", "Mul", "PRelu", "Pow", "QuantizeLinear"),
    *("ReduceMax", "Relu", "Reshape", "Resize", "Sigmoid", "Sin", "Slice", "Softmax", "Squeeze", "Sub", "Tanh"),
    *("Transpose", "Unsqueeze"),
}
"""Operators with a layer that the DLA runs."""
MOST_BATCH, MOST_SIZE = 4096, 8192
LAST_10_WITH_DLA, FIRST_11_WITH_DLA = (10, 7), (11, 4)


def why_absent(target: LintTarget) -> str:
    """Why there is no DLA, on the device or in its TensorRT; empty where there is one."""
    if target.dla_cores == 0:
        return "the device has no DLA core"
    if target.is_rtx or LAST_10_WITH_DLA < target.line < FIRST_11_WITH_DLA:
        return f"{target.toolkit} {target.line[0]}.{target.line[1]} has no DLA"
    return ""


def absent(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """The DLA is asked for and there is none; what it would leave to the GPU then says nothing."""
    if why := why_absent(target):
        yield Hit("the graph", why)


def operator(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """Operators that the DLA does not run."""
    for node in nodes(model):
        if node.op_type not in RUNS:
            yield Hit(name_of(node), f"the DLA does not run {node.op_type}")


def dynamic(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """Inputs whose least and largest sizes differ."""
    for where, value in ports(model):
        for axis, dim in enumerate(value.shape or ()):
            if where.startswith("input") and isinstance(dim, ir.SymbolicDim) and not _is_fixed(dim.value, target):
                yield Hit(where, f"axis {axis} is dynamic")


def _is_fixed(name: str | None, target: LintTarget) -> bool:
    least, _, most = (target.dims or {}).get(name or "", (1, 1, 2))
    return least == most


def size(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """Batches above 4096 and other dimensions above 8192."""
    for node in nodes(model):
        for value in node.outputs:
            shape = [dim if isinstance(dim, int) else 1 for dim in value.shape or ()]
            if shape and (shape[0] > MOST_BATCH or any(dim > MOST_SIZE for dim in shape[1:])):
                yield Hit(name_of(node), f"tensor {value.name!r} is {'x'.join(map(str, shape))}")


def precision(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """Convolutions and products that compute in FP32; behind a DequantizeLinear they compute in INT8."""
    for node in nodes(model):
        source = input_of(node, 0)
        producer = source.producer() if source is not None else None
        is_int8 = producer is not None and producer.op_type == "DequantizeLinear"
        computes = node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")
        if computes and not is_int8 and node.outputs[0].dtype == ir.DataType.FLOAT:
            yield Hit(name_of(node), "it computes in FP32")
