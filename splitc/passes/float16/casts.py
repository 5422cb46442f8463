"""Casts put into a graph: their names, and who reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx_ir as ir

Reads = Callable[[ir.Node, int], bool]
"""Whether a node's operand is to change."""


class FreshNames:
    """Names that no value and no node of a model has yet."""

    def __init__(self, model: ir.Model) -> None:
        self._taken = {value.name for graph in model.graphs() for value in values_of(graph)}
        self._taken |= {node.name for graph in model.graphs() for node in graph}

    def __call__(self, wanted: str) -> str:
        """``wanted`` itself where it is free, else with a number behind it."""
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name


def values_of(graph: ir.Graph) -> Iterator[ir.Value]:
    """Inputs, initializers and node outputs of one graph."""
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs


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
