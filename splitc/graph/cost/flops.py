"""Count floating-point operations of a node from its inferred shapes.

Two FLOPs a multiply-accumulate; a bias, an element of an elementwise operator, a comparison of a pooling window
or an exponential counts 1 each. Dynamic dimensions count as 1, so the number is for batch 1. A node whose
shapes are unknown, that moves data only, or whose operator is not known here counts 0. If and Loop bodies
count once, If by its costlier branch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir

from splitc.graph.values.tensors import dims_of, elements_of

Dims = tuple[int, ...]

# fmt: off
ELEMENTWISE = frozenset({
    "Abs", "Add", "And", "BitShift", "Ceil", "Celu", "Clip", "Cos", "DequantizeLinear", "Div", "Elu", "Equal",
    "Erf", "Exp", "Floor", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "LeakyRelu", "Less",
    "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow",
    "QuantizeLinear", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign",
    "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu", "Where", "Xor",
})
# fmt: on
PER_ELEMENT = {
    "Gelu": 5,  # x * 0.5 * (1 + erf(x / sqrt 2))
    "Swish": 4,
    "Softmax": 3,  # exponential, sum, division
    "LogSoftmax": 4,
    "BatchNormalization": 2,  # one multiply-add, statistics folded
    "InstanceNormalization": 8,  # mean, variance, normalize, scale and shift
    "LayerNormalization": 8,
    "GroupNormalization": 8,
    "RMSNormalization": 4,
    "LpNormalization": 3,
    "MeanVarianceNormalization": 6,
    "Resize": 4,
    "Upsample": 4,
    "GridSample": 8,
}
"""FLOPs for each output element."""


def node_flops(node: ir.Node) -> int:
    """FLOPs of one execution of ``node``, 2 per multiply-accumulate."""
    if node.domain not in ("", "ai.onnx"):
        return 0
    if node.op_type in ("If", "Loop", "Scan"):
        return max((sum(map(node_flops, body)) for body in _bodies(node)), default=0)
    count = _COUNTERS.get(node.op_type)
    if count is not None:
        return count(node)
    if node.op_type in ELEMENTWISE:
        return max(len(_present(node)) - 1, 1) * _size(node) if node.op_type in _FOLDS else _size(node)
    if node.op_type.startswith("Reduce") or node.op_type in ("ArgMax", "ArgMin", "GlobalAveragePool", "GlobalMaxPool"):
        return math.prod(_dims(_input(node, 0)) or (0,))
    return PER_ELEMENT.get(node.op_type, 0) * _size(node)


_FOLDS = frozenset({"Sum", "Mean", "Max", "Min"})


def _conv(node: ir.Node) -> int:
    weight = _dims(_input(node, _WEIGHT_AT.get(node.op_type, 1)))
    if weight is None or len(weight) < 3:
        return 0
    per_output = math.prod(weight[1:])  # [M, C / group, k...]: what one output element sums over
    return _size(node) * (2 * per_output + _has_bias(node, 2))


def _conv_transpose(node: ir.Node) -> int:
    weight, source = _dims(_input(node, 1)), _dims(_input(node, 0))
    if weight is None or source is None:
        return 0
    return 2 * math.prod(source) * math.prod(weight[1:]) + _has_bias(node, 2) * _size(node)


def _gemm(node: ir.Node) -> int:
    left = _dims(_input(node, 0))
    if left is None or len(left) != 2:
        return 0
    inner = left[0] if node.attributes.get_int("transA", 0) else left[1]
    return _size(node) * (2 * inner + _has_bias(node, 2))


def _matmul(node: ir.Node) -> int:
    left = _dims(_input(node, 0))
    return 2 * left[-1] * _size(node) if left else 0


def _pool(node: ir.Node) -> int:
    kernel = node.attributes.get_ints("kernel_shape", None) or ()
    return math.prod(kernel) * _size(node)


def _einsum(node: ir.Node) -> int:
    """Product of the sizes of all letters: the plain nested loop."""
    left, _, _ = node.attributes.get_string("equation", "").replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    for term, value in zip(left.split(","), node.inputs, strict=False):
        dims = _dims(value)
        if dims is None or len(dims) != len(term):
            return 0
        sizes.update(zip(term, dims, strict=True))
    return 2 * math.prod(sizes.values())


def _lrn(node: ir.Node) -> int:
    return _size(node) * (2 * node.attributes.get_int("size", 1) + 3)


def _recurrent(gates: int) -> Callable[[ir.Node], int]:
    def count(node: ir.Node) -> int:
        source, weight, state = (_dims(_input(node, index)) for index in range(3))
        if source is None or weight is None or state is None or len(source) != 3:
            return 0
        steps = source[0] * source[1]
        directions, rows, columns = weight
        assert rows % gates == 0 or rows >= gates
        return 2 * steps * directions * rows * (columns + state[-1])

    return count


def _attention(node: ir.Node) -> int:
    """Queries times keys, softmax, weights times values; ``[B, heads, L, d]`` or ``[B, L, heads * d]``."""
    query, key, value = (_dims(_input(node, index)) for index in range(3))
    if query is None or key is None or value is None:
        return 0
    scores = math.prod(query[:-2]) * query[-2] * key[-2]
    heads = 1 if len(query) == 4 else node.attributes.get_int("q_num_heads", 1)
    return scores * (2 * query[-1] + 2 * value[-1] + 3 * heads)


_WEIGHT_AT = {"QLinearConv": 3}
_COUNTERS: dict[str, Callable[[ir.Node], int]] = {
    "Conv": _conv,
    "ConvInteger": _conv,
    "QLinearConv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "Einsum": _einsum,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "LpPool": _pool,
    "LRN": _lrn,
    "LSTM": _recurrent(4),
    "GRU": _recurrent(3),
    "RNN": _recurrent(1),
    "Attention": _attention,
}


def _bodies(node: ir.Node) -> list[ir.Graph]:
    return [one.as_graph() for one in node.attributes.values() if one.type == ir.AttributeType.GRAPH]


def _present(node: ir.Node) -> list[ir.Value]:
    return [value for value in node.inputs if value is not None]


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _has_bias(node: ir.Node, index: int) -> int:
    return int(_input(node, index) is not None and node.op_type in ("Conv", "ConvTranspose", "Gemm"))


def _dims(value: ir.Value | None) -> Dims | None:
    shape = None if value is None else dims_of(value)
    return None if shape is None else tuple(1 if isinstance(dim, str) else dim for dim in shape)


def _size(node: ir.Node) -> int:
    shape = dims_of(node.outputs[0]) if node.outputs else None
    return 0 if shape is None else elements_of(shape)
