"""Types of a float32 graph become float16, but for the nodes that stay.

1. A node computes in float16 or in float32; what it reads is cast where it comes in the other type, once a value.
2. A weight is stored in the type that its readers compute in, in both where they differ; it is never clipped.
3. Inputs and outputs of the graph stay float32, and so do control flow and all inside it.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from splitc.graph import FreshNames, is_read_beside, operands_that_read
from splitc.passes.float16.casts import (
    bodies_that_return,
    cast_of,
    maker_of,
    replace_operands,
    replace_outputs,
)
from splitc.passes.float16.operands import F16, F32, READS_ANY, Float16Ports, float16_ports

Readers = dict[ir.Value, set[tuple[ir.Node, int]]]
"""Value -> operands that read it as float16."""


def with_float16(model: ir.Model, keep: Collection[str]) -> ir.Model:
    """A copy of ``model`` that computes in float16 but for the nodes called ``keep``.

    Args:
        model: A float32 graph whose nodes have names of their own; left unchanged.
        keep: Names of nodes of the top graph that stay float32.
    """
    copy = model.clone()
    opset = copy.opset_imports.get("", 1)
    ports = {node: found for node in copy.graph if (found := _ports(node, opset, keep)) is not None}
    readers = _readers(copy.graph, ports)
    names = FreshNames(copy)
    for value in list(copy.graph.initializers.values()):
        if value in readers:
            _store(copy.graph, value, readers[value], names)
    for value in list(copy.graph.inputs):
        if value in readers:
            _insert(copy.graph, None, value, F16, readers[value], names)
    for node in list(copy.graph):
        _retype(copy.graph, node, ports.get(node), readers, names)
    return copy


def _ports(node: ir.Node, opset: int, keep: Collection[str]) -> Float16Ports | None:
    found = float16_ports(node, opset)
    return None if isinstance(found, str) or node.name in keep else found


def _readers(graph: ir.Graph, ports: dict[ir.Node, Float16Ports]) -> Readers:
    found: Readers = {}
    for node, one in ports.items():
        for index in one.inputs:
            value = node.inputs[index]
            if value is not None and node.op_type not in READS_ANY:
                found.setdefault(value, set()).add((node, index))
    return found


def _retype(graph: ir.Graph, node: ir.Node, ports: Float16Ports | None, readers: Readers, names: FreshNames) -> None:
    """The node's results in the type it computes in, with a cast for those who read the other one."""
    made = set() if ports is None else {node.outputs[index] for index in ports.outputs}
    if made and node.op_type == "Cast":
        node.attributes["to"] = ir.AttrInt64("to", int(F16))
    for value in node.outputs:
        if value in made:
            _narrow(graph, node, value, readers.get(value, set()), names)
        elif value in readers:
            _insert(graph, node, value, F16, readers[value], names)


def _narrow(
    graph: ir.Graph, node: ir.Node, value: ir.Value, halves: set[tuple[ir.Node, int]], names: FreshNames
) -> None:
    """``value`` becomes float16; whoever reads it as float32, answers among them, gets a cast that has its name."""
    value.type = ir.TensorType(F16)
    others = operands_that_read(value) - halves
    others = {one for one in others if one[0].op_type not in READS_ANY or one[0].graph is not graph}
    bodies = bodies_that_return(graph, value)
    if not others and not bodies and not value.is_graph_output():
        return
    name = value.name or ""
    value.name = names(f"{name}/float16")
    wide = _insert(graph, node, value, F32, others, names, name)
    for owner in (graph, *bodies):
        replace_outputs(owner, value, wide)


def _insert(
    graph: ir.Graph,
    after: ir.Node | None,
    value: ir.Value,
    dtype: ir.DataType,
    readers: set[tuple[ir.Node, int]],
    names: FreshNames,
    name: str = "",
) -> ir.Value:
    """``value`` in another type, for these readers; ``after`` None: before all nodes."""
    label = "float16" if dtype == F16 else "float32"
    other = cast_of(value, dtype, names(f"{value.name}/{label}"))
    other.name = name or other.name
    if after is None:
        graph.insert_before(graph[0], maker_of(other))
    else:
        graph.insert_after(after, maker_of(other))
    replace_operands(value, other, lambda node, index: (node, index) in readers)
    return other


def _store(graph: ir.Graph, value: ir.Value, readers: set[tuple[ir.Node, int]], names: FreshNames) -> None:
    """A weight as float16 for these readers; under its own name where nobody else reads it."""
    assert value.const_value is not None
    name = value.name or ""
    narrow = ir.Tensor(value.const_value.numpy().astype(np.float16), name=name)
    if not is_read_beside(value, readers):
        value.const_value, value.type = narrow, ir.TensorType(F16)
        return
    narrow.name = names(f"{name}/float16")
    half = ir.Value(name=narrow.name, shape=value.shape, type=ir.TensorType(F16), const_value=narrow)
    graph.register_initializer(half)
    replace_operands(value, half, lambda node, index: (node, index) in readers)
