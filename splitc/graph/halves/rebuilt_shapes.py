"""Rebuild shapes in the tail: a Shape of something only the head has, from the shapes of the cut tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from splitc.types import TensorSpec


def rebuild_shapes(model: ir.Model, cut: Sequence[TensorSpec], recomputed: Sequence[str]) -> ir.Model:
    """A copy of ``model`` whose Shape nodes ``recomputed`` read cut tensors instead.

    A fixed dimension becomes a constant; a dynamic one is gathered from the shape of the first cut tensor that
    has a dimension of that name. The result keeps its name, type and value.

    Args:
        model: The whole model; shared weights are not copied.
        cut: Tensors whose shapes may be read.
        recomputed: Output names of the Shape nodes.
    """
    copy = model.clone()
    values = ir.convenience.create_value_mapping(copy.graph, include_subgraphs=False)
    where = {dim: (spec.name, axis) for spec in reversed(cut) for axis, dim in enumerate(spec.shape)}
    for name in recomputed:
        node = values[name].producer()
        assert node is not None, name
        _rebuild(copy.graph, node, where, values)
    return copy


def _rebuild(
    graph: ir.Graph, node: ir.Node, where: dict[int | str, tuple[str, int]], values: dict[str, ir.Value]
) -> None:
    source, old = node.inputs[0], node.outputs[0]
    assert source is not None
    assert source.shape is not None
    dims = list(source.shape)[node.attributes.get_int("start", 0) : node.attributes.get_int("end", None)]
    pieces = []
    for index, dim in enumerate(dims):
        label = f"{old.name}/dim{index}"
        if isinstance(dim, int):
            pieces.append(_constant(graph, label, [dim]))
        else:
            tensor, axis = where[dim.value or ""]
            pieces.append(_gathered(graph, node, label, values[tensor], axis))
    pieces = pieces or [_constant(graph, f"{old.name}/none", [])]  # of a scalar
    name, old.name = old.name, f"{old.name}/of_head"
    rebuilt = [ir.node("Concat", pieces, {"axis": 0}, name=f"{name}/rebuilt")]
    rebuilt[0].outputs[0].name = f"{name}/dims"
    if node.op_type == "Size":
        rebuilt.append(ir.node("ReduceProd", rebuilt[0].outputs, {"keepdims": 0}, name=f"{name}/product"))
    new = rebuilt[-1].outputs[0]
    new.name, new.shape, new.type = name, ir.Shape(old.shape or ()), ir.TensorType(ir.DataType.INT64)
    graph.insert_before(node, rebuilt)
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)


def _gathered(graph: ir.Graph, before: ir.Node, label: str, tensor: ir.Value, axis: int) -> ir.Value:
    shape = ir.node("Shape", [tensor], name=f"{label}/shape")
    shape.outputs[0].name = f"{label}/shape"
    gather = ir.node("Gather", [shape.outputs[0], _constant(graph, f"{label}/axis", [axis])], {"axis": 0}, name=label)
    gather.outputs[0].name = label
    graph.insert_before(before, [shape, gather])
    return gather.outputs[0]


def _constant(graph: ir.Graph, name: str, numbers: list[int]) -> ir.Value:
    tensor = ir.tensor(np.array(numbers, dtype=np.int64), name=name)
    value = ir.Value(name=name, shape=ir.Shape([len(numbers)]), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value
