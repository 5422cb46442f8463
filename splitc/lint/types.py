"""Rules about element types."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from splitc.lint.rule import Hit
from splitc.lint.target import LintTarget
from splitc.lint.walk import constant, input_of, name_of, nodes, ports, typed

FOREIGN = {
    ir.DataType.INT16,
    ir.DataType.UINT16,
    ir.DataType.UINT32,
    ir.DataType.UINT64,
    ir.DataType.UINT4,
    ir.DataType.STRING,
    ir.DataType.COMPLEX64,
    ir.DataType.COMPLEX128,
}
FP8 = {ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT8E4M3FNUZ, ir.DataType.FLOAT8E5M2, ir.DataType.FLOAT8E5M2FNUZ}
FIRST_FP8_SM = 89
FIRST_FP4_SM = 100
FIRST_BF16_SM = 80
TURING_SM = 75
QDQ = ("QuantizeLinear", "DequantizeLinear")
_INT32 = np.iinfo(np.int32)


def uint8_inside(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """A UINT8 tensor that is neither an input read by Cast alone nor an output written by Cast."""
    for where, value in typed(model):
        is_legal = _is_cast_input(value) or _is_cast_output(value) or _belongs_to_qdq(value)
        if value.dtype == ir.DataType.UINT8 and not is_legal:
            yield Hit(where, f"tensor {value.name!r} is UINT8")


def _is_cast_input(value: ir.Value) -> bool:
    """Only Cast reads it, and nothing makes it."""
    readers = {node.op_type for node in value.consumers()}
    return (
        value.producer() is None and value.const_value is None and readers == {"Cast"} and not value.is_graph_output()
    )


def _is_cast_output(value: ir.Value) -> bool:
    """Cast makes it from something else than UINT8, and it leaves the graph at once."""
    producer = value.producer()
    if producer is None or producer.op_type != "Cast" or not value.is_graph_output() or list(value.consumers()):
        return False
    source = producer.inputs[0]
    return source is None or source.dtype != ir.DataType.UINT8


def _belongs_to_qdq(value: ir.Value) -> bool:
    """The rule about UINT8 quantization speaks of it."""
    producer = value.producer()
    return (producer is not None and producer.op_type in QDQ) or any(n.op_type in QDQ for n in value.consumers())


def foreign_type(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """Types that no TensorRT has."""
    for where, value in typed(model):
        if value.dtype in FOREIGN:
            yield Hit(where, f"tensor {value.name!r} is {value.dtype.name}")


def double_port(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """DOUBLE inputs and outputs."""
    for where, value in ports(model):
        if value.dtype == ir.DataType.DOUBLE:
            yield Hit(where, "it is DOUBLE")


def wide_int64(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """INT64 ports, and INT64 weights and constants that INT32 cannot hold; a Slice may end at the greatest number."""
    for where, value in ports(model):
        if value.dtype == ir.DataType.INT64:
            yield Hit(where, "it is INT64")
    stored = [(f"weight {name!r}", value) for name, value in model.graph.initializers.items()]
    stored += [(name_of(node), node.outputs[0]) for node in nodes(model) if node.op_type == "Constant"]
    for where, value in stored:
        array = constant(value) if value.dtype == ir.DataType.INT64 else None
        is_end = all(node.op_type == "Slice" for node in value.consumers())
        if array is not None and array.size and not is_end and _exceeds_int32(array):
            yield Hit(where, "it holds INT64 numbers beyond INT32")


def _exceeds_int32(array: np.ndarray) -> bool:
    return bool(array.min() < _INT32.min or array.max() > _INT32.max)


def fp8(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """FP8 tensors where a GPU lacks them; weights too, which are dequantized there."""
    old = ", ".join(f"SM{number}" for number in target.capabilities if number < FIRST_FP8_SM)
    for where, value in typed(model) if old else ():
        if value.dtype in FP8:
            yield Hit(where, f"tensor {value.name!r} is {value.dtype.name}, and the target has {old}")


def fp4(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """FP4 tensors, weights too, where the version or a GPU lacks them."""
    lacks = target.is_before(10, 8) or any(number < FIRST_FP4_SM for number in target.capabilities)
    for where, value in typed(model) if lacks else ():
        if value.dtype == ir.DataType.FLOAT4E2M1:
            yield Hit(where, f"tensor {value.name!r} is FLOAT4E2M1")


def int4(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """INT4 tensors before the version that has them."""
    for where, value in typed(model):
        if value.dtype == ir.DataType.INT4:
            yield Hit(where, f"tensor {value.name!r} is INT4")


def bf16(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """BF16 where the version or a GPU lacks it."""
    lacks = target.is_before(10, 0) or any(number < FIRST_BF16_SM for number in target.capabilities)
    for where, value in typed(model) if lacks else ():
        if value.dtype == ir.DataType.BFLOAT16 and not where.startswith("weight"):
            yield Hit(where, f"tensor {value.name!r} is BFLOAT16")


def int8_cast(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """Cast from or to INT8."""
    for node in nodes(model):
        source = input_of(node, 0)
        if node.op_type == "Cast" and ir.DataType.INT8 in (node.outputs[0].dtype, source.dtype if source else None):
            yield Hit(name_of(node), "it casts from or to INT8")


def turing_fp32(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """FP32 matrix products and 3-D convolutions on SM75."""
    for node in nodes(model):
        value = node.outputs[0]
        is_3d = node.op_type == "Conv" and value.shape is not None and len(value.shape) == 5
        if value.dtype == ir.DataType.FLOAT and (node.op_type in ("Gemm", "MatMul") or is_3d):
            yield Hit(name_of(node), "it computes in FP32, and the target has SM75")
