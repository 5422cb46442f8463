"""Casts put into a graph: their names, and who reads them."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

Reads = Callable[[ir.Node, int], bool]
"""Whether a node's operand is to change."""


def cast_of(value: ir.Value, dtype: ir.DataType, name: str) -> ir.Value:
    """``value`` in another element type, by a node that stands nowhere yet; both are called ``name``."""
    cast = ir.node("Cast", [value], attributes={"to": int(dtype)}, name=name)
    result = cast.outputs[0]
    result.name, result.type, result.shape = name, ir.TensorType(dtype), value.shape
    return result


def maker_of(value: ir.Value) -> ir.Node:
    """The node that makes a value of :func:`cast_of`."""
    node = value.producer()
    assert node is not None
    return node


def replace_operands(value: ir.Value, other: ir.Value, reads: Reads) -> None:
    """Let nodes of any graph read ``other`` where ``reads`` says so."""
    for use in list(value.uses()):
        if reads(use.node, use.idx):
            use.node.replace_input_with(use.idx, other)


def replace_outputs(graph: ir.Graph, value: ir.Value, other: ir.Value) -> None:
    """Let ``graph`` hand out ``other``."""
    for index, output in enumerate(graph.outputs):
        if output is value:
            graph.outputs[index] = other


def bodies_that_return(graph: ir.Graph, value: ir.Value) -> list[ir.Graph]:
    """Graphs inside ``graph`` that hand out a value of a graph around them."""
    return [body for body in graph.subgraphs() if body is not graph and any(one is value for one in body.outputs)]
