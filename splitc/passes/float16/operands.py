"""Which operands and results of an operator can be float16: what its schema allows, less what engines do not take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import onnx
import onnx.defs
import onnx_ir as ir

F16, F32 = ir.DataType.FLOAT16, ir.DataType.FLOAT
BLOCKED = frozenset(
    {"CumSum", "Max", "Min", "NonMaxSuppression", "OneHot", "RandomUniformLike", "Range", "RoiAlign", "TopK"}
    | {"Upsample"}
)
"""Operators that some engine has no float16 kernel for; the list of ONNX Runtime's own converter, as far as they are
operators of ONNX itself."""
SCALED = frozenset(("DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"))
ALWAYS_FLOAT32: Mapping[str, tuple[int, ...]] = {"Resize": (1, 2)}
"""Operands that decide places, not values."""
READS_ANY = frozenset({"ArgMax", "ArgMin", "Cast", "IsInf", "IsNaN", "NonZero", "Shape", "Size"})
"""Operators that take an operand as it comes: their own results do not depend on its element type."""
_DTYPE_ATTRIBUTES = ("dtype", "output_datatype", "output_dtype")
_HALF = "tensor(float16)"


class Float16Ports(NamedTuple):
    """Positions of the operands and results of one node that become float16."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def float16_ports(node: ir.Node, opset: int) -> Float16Ports | str:
    """What becomes float16 if the node computes in it; a reason where it cannot.

    Args:
        node: What is beside values of unknown element types stays float32.
        opset: Of the default operator set.
    """
    if node.domain not in ("", "ai.onnx"):
        return f"operator {node.op_type} of {node.domain!r} is not one of ONNX itself"
    if any(attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attribute in _attributes(node)):
        return f"{node.op_type} and what it holds stay as they are"
    if node.op_type in SCALED:
        return "scales of quantizers are float32"
    if node.op_type in BLOCKED:
        return f"not every engine has a float16 {node.op_type}"
    if any(isinstance(value.type, ir.SequenceType | ir.OptionalType) for value in _values(node)):
        return f"{node.op_type} handles lists"
    unknown = next((value for value in _values(node) if _is_untyped(value)), None)
    if unknown is not None:
        return f"the element type of {unknown.name!r} is not known"
    if node.op_type == "Cast":
        return Float16Ports((), (0,) if node.attributes.get_int("to", 0) == int(F32) else ())
    if any(name in node.attributes for name in _DTYPE_ATTRIBUTES):
        return f"{node.op_type} names its element type"
    inputs, outputs = _formals(node.op_type, opset)
    fixed = ALWAYS_FLOAT32.get(node.op_type, ())
    taken = tuple(i for i, one in enumerate(node.inputs) if is_float(one) and i not in fixed and _allows(inputs, i))
    made = tuple(i for i, one in enumerate(node.outputs) if is_float(one) and _allows(outputs, i))
    if not any(map(is_float, node.inputs)):
        return f"{node.op_type} makes its numbers by itself"
    if not taken:
        return f"opset {opset} has no float16 {node.op_type}"
    return Float16Ports(taken, made)


def is_float(value: ir.Value | None) -> bool:
    """Whether a value is a float32 tensor."""
    if value is None or not isinstance(value.type, ir.TensorType | None):
        return False
    return (value.const_value.dtype if value.const_value is not None else value.dtype) == F32


def _is_untyped(value: ir.Value) -> bool:
    """Behind an operator that inference does not know; an empty name is an operand left out."""
    return bool(value.name) and (value.const_value or value).dtype is None


def _values(node: ir.Node) -> list[ir.Value]:
    return [value for value in (*node.inputs, *node.outputs) if value is not None]


def _attributes(node: ir.Node) -> Sequence[ir.Attr]:
    return list(node.attributes.values())


@cache
def _formals(kind: str, opset: int) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """Which formal operands and results allow float16; none for an operator that ONNX does not know."""
    try:
        schema = onnx.defs.get_schema(kind, opset, "")
    except onnx.defs.SchemaError:
        return (), ()
    allowed = {one.type_param_str: _HALF in one.allowed_type_strs for one in schema.type_constraints}
    inputs, outputs = (
        tuple(allowed.get(one.type_str, one.type_str == _HALF) for one in formal)
        for formal in (schema.inputs, schema.outputs)
    )
    return inputs, outputs


def _allows(formals: Sequence[bool], index: int) -> bool:
    """The last formal stands for all that follow: variadic operands."""
    return bool(formals) and formals[min(index, len(formals) - 1)]
