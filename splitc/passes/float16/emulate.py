"""Float16 arithmetic where the engine has none: every float16 result is rounded, and no rounding can be left out.

ONNX Runtime computes float16 operators in float32 on a CPU and drops the casts between them, so that nothing overflows
and hardly anything is rounded. Here the casts are part of a float32 graph, which no optimization of it may drop:

    float16:  x ──► Conv ──► Softmax ──► y
    rewritten: x ► Cast ► Conv ► ▯ ► Softmax ► ▯ ► y        ▯ = Cast to float16, Cast to float32; float32 between

1. Each operator computes in float32 on float16 values, and its result is rounded once, to nearest even; beyond 65,504
   it becomes infinite; subnormals are kept. Sums within one operator (a convolution, a softmax) are float32, as tensor
   cores keep them. An engine that accumulates in float16 is less exact than this.
2. Operators that only move or choose values need no rounding.
3. Inputs, outputs and their element types stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from splitc.graph import FreshNames, values_of
from splitc.passes.float16.casts import (
    bodies_that_return,
    cast_of,
    maker_of,
    replace_operands,
    replace_outputs,
)
from splitc.passes.float16.operands import READS_ANY

MOVES: tuple[str, ...] = (
    "Concat",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "Identity",
    "Pad",
)
MOVES += ("Reshape", "ReverseSequence", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze")
CHOOSES = ("Max", "MaxPool", "Min", "ReduceMax", "ReduceMin", "Relu", "TopK", "Where")
EXACT = frozenset({*MOVES, *CHOOSES, "Abs", "Neg", "Sign", "If", "Loop", "Scan"})
"""Operators whose results are among their operands, or are rounded inside their bodies."""
DTYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_datatype", "output_dtype"})
F16, F32 = ir.DataType.FLOAT16, ir.DataType.FLOAT


def computes_in_float16(model: ir.Model) -> bool:
    """Whether any value of the model is float16."""
    return any(_is_half(value) for graph in model.graphs() for value in values_of(graph))


def float16_arithmetic(model: ir.Model) -> ir.Model:
    """A model that computes on ONNX Runtime's CPU what ``model`` computes in float16; the same one without float16.

    Args:
        model: Inlined, with known element types, as ``graph.load`` gives it; left unchanged.
    """
    if not computes_in_float16(model):
        return model
    copy = model.clone()
    graphs, names = list(copy.graphs()), FreshNames(copy)
    halves = {value for graph in graphs for value in values_of(graph) if _is_half(value)}
    halves |= {value for graph in reversed(graphs) for value in _untyped_halves(graph, halves)}
    for graph in graphs:
        for node in list(graph):
            _retarget(node)
            for value in node.outputs:
                if value in halves and value.name:  # one without a name is not asked for
                    _round(node, value, copy.graph, names)
    for graph in graphs:
        _widen_ports(graph, halves, names, is_top=graph is copy.graph)
    return copy


def _is_half(value: ir.Value) -> bool:
    return value.dtype == F16 or (value.const_value is not None and value.const_value.dtype == F16)


def _untyped_halves(graph: ir.Graph, known: set[ir.Value]) -> Iterator[ir.Value]:
    """Results without a type that inference could find: float16 where the first operand is."""
    for node in graph:
        first = next((value for value in node.inputs if value is not None), None)
        if first is not None and node.op_type not in READS_ANY and (first in known or _is_half(first)):
            for value in node.outputs:
                if value.dtype is None and value.type is None:
                    known.add(value)
                    yield value


def _retarget(node: ir.Node) -> None:
    """Attributes that name float16, or hold float16 numbers; a Cast stays: it rounds by itself."""
    if node.op_type == "Cast":
        return
    for name, attribute in list(node.attributes.items()):
        if attribute.type == ir.AttributeType.TENSOR and attribute.value.dtype == F16:
            node.attributes[name] = ir.AttrTensor(name, _widened(attribute.value))
        elif name in DTYPE_ATTRIBUTES and attribute.type == ir.AttributeType.INT and attribute.value == int(F16):
            node.attributes[name] = ir.AttrInt64(name, int(F32))


def _round(node: ir.Node, value: ir.Value, top: ir.Graph, names: FreshNames) -> None:
    """Round ``value`` after its node. What the rest of the graph reads keeps the name; of an answer, the answer."""
    is_cast, is_answer = node.op_type == "Cast", value.is_graph_output() and node.graph is top
    if not isinstance(value.type, ir.TensorType | None):
        value.type = _widened_type(value.type)
        return
    value.type = ir.TensorType(F16 if is_cast else F32)
    if node.op_type in EXACT and not is_answer:
        return
    name = value.name or ""
    value.name = names(f"{name}/float16" if is_cast else f"{name}/exact")
    narrow = value if is_cast else cast_of(value, F16, names(f"{name}/float16"))
    wide = cast_of(narrow, F32, names(f"{name}/float32"))
    (narrow if is_answer else wide).name = name
    casts = [maker_of(one) for one in (narrow, wide) if one is not value]
    _replace(value, wide, casts, narrow if is_answer else wide, node.graph)
    assert node.graph is not None
    node.graph.insert_after(node, casts)


def _replace(
    value: ir.Value, wide: ir.Value, casts: Sequence[ir.Node], answer: ir.Value, graph: ir.Graph | None
) -> None:
    """All nodes and bodies read ``wide``; the graph itself hands out ``answer``."""
    assert graph is not None
    replace_operands(value, wide, lambda node, _: node not in casts)
    replace_outputs(graph, value, answer)
    for body in bodies_that_return(graph, value):
        replace_outputs(body, value, wide)


def _widen_ports(graph: ir.Graph, halves: set[ir.Value], names: FreshNames, *, is_top: bool) -> None:
    """Weights become float32; inputs of a body too, those of the model are cast."""
    for value in list(graph.initializers.values()):
        if value.const_value is not None and value.const_value.dtype == F16:
            value.const_value = _widened(value.const_value)
            value.type = ir.TensorType(F32)
            if is_top and value.is_graph_output():
                _answer_with_weight(graph, value, names)
    for value in graph.inputs:
        if value not in halves or value.is_initializer():
            continue
        if not is_top or not isinstance(value.type, ir.TensorType):
            value.type = _widened_type(value.type)
            continue
        wide = cast_of(value, F32, names(f"{value.name}/float32"))
        _replace(value, wide, [maker_of(wide)], value, graph)
        graph.insert_before(graph[0], maker_of(wide))


def _answer_with_weight(graph: ir.Graph, value: ir.Value, names: FreshNames) -> None:
    """An answer that is a weight keeps its name and its type."""
    name = value.name or ""
    graph.initializers.pop(name)
    value.name = names(f"{name}/float32")
    graph.register_initializer(value)
    narrow = cast_of(value, F16, name)
    replace_outputs(graph, value, narrow)
    graph.append(maker_of(narrow))


def _widened(tensor: ir.TensorProtocol) -> ir.Tensor[np.ndarray]:
    return ir.Tensor(tensor.numpy().astype(np.float32), name=tensor.name)


def _widened_type(kind: ir.TypeProtocol | None) -> ir.TypeProtocol | None:
    """The same type with float32 in the place of float16: of a tensor, a sequence or an optional."""
    if isinstance(kind, ir.TensorType):
        return ir.TensorType(F32) if kind.dtype == F16 else kind
    if isinstance(kind, ir.SequenceType | ir.OptionalType):
        return type(kind)(_widened_type(kind.elem_type))  # type: ignore[arg-type]
    return kind
