"""Resolve a cut that the user names: tensors or nodes become the tensors that cross with the fewest bytes.

1. A node stands for its outputs that something needs.
2. Q stays with its producer and DQ goes with its readers, so the quantized tensor crosses.
3. What the tail can work out from the shapes of the rest is not sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from splitc.graph.cuts.cut import ancestors, resolve, separates
from splitc.graph.model import Model
from splitc.graph.values.flow import Flow


@dataclass(frozen=True)
class ResolvedCut:
    """The tensors that cross, and a sentence for each difference from what was asked for."""

    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_place(model: Model, asked: Sequence[str]) -> ResolvedCut:
    """The cheapest tensors that cut where ``asked`` says; ``check_cut`` decides whether they are a cut.

    Args:
        model: The graph.
        asked: Names of tensors or nodes.

    Raises:
        CutError: A name of neither, or of a value that cannot be cut.
    """
    flow = model.flow
    names = [name for one in asked for name in _of_node(flow, one)]
    values = list(resolve(flow, names))
    notes = []
    for index, value in enumerate(values):
        quantized = _quantized_side(flow, value)
        if quantized is not value:
            notes.append(f"{quantized.name!r} crosses in place of {value.name!r}: the same numbers, quantized")
            values[index] = quantized
    values = list(dict.fromkeys(values))
    for value in [value for value in values if value not in flow.data]:
        others = [other for other in values if other is not value]
        if others and separates(flow, others):
            notes.append(f"{value.name!r} is not sent: the tail computes it from the shapes of the others")
            values = others
    return ResolvedCut(tuple(value.name or "" for value in values), tuple(notes))


def boundary(model: Model, names: Sequence[str]) -> tuple[str, ...]:
    """The varying values that cross when the head is all that ``names`` depend on, in topological order.

    Raises:
        CutError: A name is not one of a value that can be cut.
    """
    flow = model.flow
    head, needed = ancestors(flow, resolve(flow, names)), ancestors(flow, flow.outputs)
    made = {*flow.inputs, *(value for index in head for value in flow.nodes[index].outputs)}
    read = {value for index in needed - head for value in flow.reads[index]} | {*flow.outputs}
    return tuple(name for name, value in flow.values.items() if value in made & read & flow.varying)


def _of_node(flow: Flow, name: str) -> Iterable[str]:
    """The outputs that matter of the node of that name; the name itself when it is not one of a node alone."""
    if name in flow.values:
        return [name]
    node = flow.by_name.get(name)
    if node is None:
        return [name]
    used = [value for value in node.outputs if flow.readers[value] or value.is_graph_output()]
    return [value.name or "" for value in used if value in flow.varying] or [name]


def _quantized_side(flow: Flow, value: ir.Value) -> ir.Value:
    """The quantized tensor that carries the same numbers, or ``value``."""
    node = value.producer()
    if node is not None and node.op_type == "DequantizeLinear" and _has_constant_scale(flow, node):
        source = node.inputs[0]
        return value if source is None or source not in flow.varying else source
    readers = {use.node for use in value.uses()}
    if len(readers) != 1 or flow.readers[value] != 1 or value.is_graph_output():
        return value
    (reader,) = readers
    is_input = bool(reader.inputs) and reader.inputs[0] is value
    if reader.op_type == "QuantizeLinear" and is_input and _has_constant_scale(flow, reader):
        return reader.outputs[0]
    return value


def _has_constant_scale(flow: Flow, node: ir.Node) -> bool:
    return node.domain == "" and not any(value in flow.varying for value in node.inputs[1:] if value is not None)
