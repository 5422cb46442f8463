"""Rules about operators and about how they are wired."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from splitc.lint.rule import Hit
from splitc.lint.target import LintTarget
from splitc.lint.walk import constant, input_of, name_of, nodes, ports, quantized_type

NOWHERE = {
    *("AffineGrid", "Bernoulli", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "CenterCropPad"),
    *("Col2Im", "Compress", "ConcatFromSequence", "ConvInteger", "Det", "DynamicQuantizeLinear", "ImageDecoder"),
    *("MatMulInteger", "MaxRoiPool", "MaxUnpool", "MelWeightMatrix", "Multinomial", "NegativeLogLikelihoodLoss"),
    *("Optional", "OptionalGetElement", "OptionalHasElement", "QLinearConv", "QLinearMatMul", "RegexFullMatch"),
    *("SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength"),
    *("SequenceMap", "SoftmaxCrossEntropyLoss", "SplitToSequence", "StringConcat", "StringNormalizer", "StringSplit"),
    *("TfIdfVectorizer", "Unique"),
}
"""No ONNX parser of any TensorRT imports these; a test asks TensorRT-RTX's about each."""
NOT_IN_RTX = {"BitCast", "CumProd", "DFT", "DeformConv", "NonZero", "STFT", "SwiGLU"}
STANDARD = ("", "ai.onnx")
MOST_DIMS = 8
MOVES = {"Identity", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze"}
"""Operators that only move numbers."""
CODEC = MOVES | {"Abs", "Add", "Cast", "Clip", "Div", "Floor", "Log", "Max", "Min", "Mul", "Round", "Sign", "Sub"}
"""What a quantizer inside a graph is made of."""


def nms(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """NonMaxSuppression."""
    for node in nodes(model):
        if node.op_type == "NonMaxSuppression":
            yield Hit(name_of(node), "the number of its answers depends on the data")


def missing_operator(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """Standard operators that the target's parser does not import."""
    absent = NOWHERE | NOT_IN_RTX if target.is_rtx else NOWHERE
    for node in nodes(model):
        if node.domain in STANDARD and node.op_type in absent:
            yield Hit(name_of(node), f"the parser does not know {node.op_type}")


def custom_operator(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """Operators of another domain than ONNX's."""
    for node in nodes(model):
        if node.domain not in STANDARD:
            yield Hit(name_of(node), f"it is of the domain {node.domain!r}")


def uint8_quantization(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """QuantizeLinear and DequantizeLinear with UINT8."""
    for node in _qdq(model):
        if quantized_type(node) == ir.DataType.UINT8:
            yield Hit(name_of(node), "it quantizes to UINT8")


def zero_point(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """Zero points that are not 0."""
    for node in _qdq(model):
        zero = constant(input_of(node, 2))
        if zero is not None and zero.size and zero.astype("float64").any():
            yield Hit(name_of(node), f"its zero point is {zero.astype('float64').flat[0]:g}")


def int32_dequantize(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """DequantizeLinear of INT32, which tools write for biases."""
    for node in _qdq(model):
        if node.op_type == "DequantizeLinear" and quantized_type(node) == ir.DataType.INT32:
            yield Hit(name_of(node), "it dequantizes INT32")


def quantized_twice(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """A quantizer that reads what was just dequantized: another QuantizeLinear, or the codec's at the cut."""
    for node in nodes(model):
        if node.op_type == "QuantizeLinear" and (first := _dequantized(node.inputs[0], MOVES)):
            yield Hit(name_of(node), f"{name_of(first)} dequantizes what it quantizes")
    for value in model.graph.outputs:
        if value.dtype == ir.DataType.UINT8 and (first := _dequantized(value, CODEC)):
            yield Hit(name_of(first), f"the codec quantizes its output again for {value.name!r}")


def too_many_dims(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """Tensors of more than eight dimensions."""
    for node in nodes(model):
        for value in node.outputs:
            if value.shape is not None and len(value.shape) > MOST_DIMS:
                yield Hit(name_of(node), f"tensor {value.name!r} has {len(value.shape)} dimensions")


def input_is_output(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """A graph input that is an output too."""
    for value in model.graph.inputs:
        if value.is_graph_output():
            yield Hit(f"input {value.name!r}", "it is an output too")


def uncovered_dimension(model: ir.Model, target: LintTarget) -> Iterator[Hit]:
    """Dynamic dimensions of inputs without a name or without bounds."""
    for where, value in ports(model):
        if not where.startswith("input") or value.shape is None:
            continue
        for axis, dim in enumerate(value.shape):
            if isinstance(dim, ir.SymbolicDim) and (fault := _uncovered(dim.value, axis, target)):
                yield Hit(where, f"axis {axis} {fault}")


def _uncovered(name: str | None, axis: int, target: LintTarget) -> str | None:
    if not name:
        return "is dynamic and has no name"
    covered = axis == 0 if target.dims is None else name in target.dims
    return None if covered else f"is dynamic, and {name!r} has no bounds"


def _qdq(model: ir.Model) -> Iterator[ir.Node]:
    return (node for node in nodes(model) if node.op_type in ("QuantizeLinear", "DequantizeLinear"))


def _dequantized(value: ir.Value | None, through: set[str]) -> ir.Node | None:
    """The DequantizeLinear behind ``value``, seen through operators of ``through``, along their data input.

    A weight that is dequantized does not count: its numbers do not pass a quantizer again at run time.
    """
    while value is not None and (node := value.producer()) is not None:
        if node.op_type == "DequantizeLinear":
            return None if constant(node.inputs[0]) is not None else node
        if node.op_type not in through:
            return None
        value = next((one for one in node.inputs if one is not None and constant(one) is None), None)
    return None
