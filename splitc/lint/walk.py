"""What the rules ask of a graph: every node, every typed tensor, and names for both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from splitc.types import Array

MOST_CONSTANT_BYTES = 64 << 20
"""A constant larger than this is not read; no rule asks about weights that big."""


def nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Every node, those of subgraphs too."""
    return iter(ir.traversal.RecursiveGraphIterator(model.graph))


def name_of(node: ir.Node) -> str:
    """``node 'x' (Add)``; a nameless node is called after its first output."""
    name = node.name or (node.outputs[0].name if node.outputs else "") or "?"
    return f"node {name!r} ({node.op_type})"


def typed(model: ir.Model) -> Iterator[tuple[str, ir.Value]]:
    """Every tensor whose element type is known, with what to call the place where it comes from."""
    for value in model.graph.inputs:
        if value.dtype is not None and value.name not in model.graph.initializers:
            yield f"input {value.name!r}", value
    for name, value in model.graph.initializers.items():
        if value.dtype is not None:
            yield f"weight {name!r}", value
    for node in nodes(model):
        for value in node.outputs:
            if value.dtype is not None:
                yield name_of(node), value


def ports(model: ir.Model) -> Iterator[tuple[str, ir.Value]]:
    """The graph's data inputs and its outputs."""
    for value in model.graph.inputs:
        if value.name not in model.graph.initializers:
            yield f"input {value.name!r}", value
    for value in model.graph.outputs:
        yield f"output {value.name!r}", value


def input_of(node: ir.Node, index: int) -> ir.Value | None:
    """The node's input, None when it is left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def constant(value: ir.Value | None) -> Array | None:
    """The tensor behind an initializer or a Constant node; None when it is computed or very large."""
    tensor = None if value is None else value.const_value or _constant_node(value)
    if tensor is None or tensor.nbytes > MOST_CONSTANT_BYTES:
        return None
    return np.asarray(tensor.numpy())


def _constant_node(value: ir.Value) -> ir.TensorProtocol | None:
    producer = value.producer()
    if producer is None or producer.op_type != "Constant":
        return None
    if "value" in producer.attributes:
        return producer.attributes["value"].as_tensor()
    for name in ("value_int", "value_ints"):
        if name in producer.attributes:
            return ir.tensor(np.asarray(producer.attributes[name].value, np.int64))
    return None


def quantized_type(node: ir.Node) -> ir.DataType | None:
    """Integer type of a QuantizeLinear's output or a DequantizeLinear's input; ONNX's default is UINT8."""
    value = node.outputs[0] if node.op_type == "QuantizeLinear" else node.inputs[0]
    if value is not None and value.dtype is not None:
        return value.dtype
    zero = input_of(node, 2)
    return ir.DataType.UINT8 if zero is None and node.op_type == "QuantizeLinear" else zero.dtype if zero else None
