"""Rebuild shapes in the tail: a Shape of something only the head has, from the shapes of the cut tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from splitc.graph.values.names import FreshNames
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
    where = {dim: (values[spec.name], axis) for spec in reversed(cut) for axis, dim in enumerate(spec.shape)}
    rebuilder = _Rebuilder(copy.graph, FreshNames(copy), where)
    for name in recomputed:
        node = values[name].producer()
        assert node is not None, name
        rebuilder.rebuild(node)
    return copy


@dataclass(frozen=True, eq=False)
class _Rebuilder:
    """Puts nodes into ``graph`` that read dimension ``dim`` of axis and cut tensor ``where[dim]``."""

    graph: ir.Graph
    names: FreshNames
    where: dict[int | str, tuple[ir.Value, int]]

    def rebuild(self, node: ir.Node) -> None:
        """Let all read what the result of a Shape or Size node is, put together from cut tensors."""
        source, old = node.inputs[0], node.outputs[0]
        assert source is not None
        assert source.shape is not None
        dims = list(source.shape)[node.attributes.get_int("start", 0) : node.attributes.get_int("end", None)]
        pieces = [self._piece(node, f"{old.name}/dim{index}", dim) for index, dim in enumerate(dims)]
        pieces = pieces or [self._constant(f"{old.name}/none", [])]  # of a scalar
        name, old.name = old.name, self.names(f"{old.name}/of_head")
        rebuilt = [self._node("Concat", pieces, f"{name}/dims", {"axis": 0})]
        if node.op_type == "Size":
            rebuilt.append(self._node("ReduceProd", rebuilt[0].outputs, f"{name}/product", {"keepdims": 0}))
        new = rebuilt[-1].outputs[0]
        new.name, new.shape = name, ir.Shape(old.shape or ())
        self.graph.insert_before(node, rebuilt)
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)

    def _piece(self, before: ir.Node, label: str, dim: int | ir.SymbolicDim) -> ir.Value:
        if isinstance(dim, int):
            return self._constant(label, [dim])
        tensor, axis = self.where[dim.value or ""]
        shape = self._node("Shape", [tensor], f"{label}/shape", {})
        gather = self._node("Gather", [shape.outputs[0], self._constant(f"{label}/axis", [axis])], label, {"axis": 0})
        self.graph.insert_before(before, [shape, gather])
        return gather.outputs[0]

    def _node(self, kind: str, inputs: Sequence[ir.Value], label: str, attributes: dict[str, int]) -> ir.Node:
        name = self.names(label)
        node = ir.node(kind, inputs, attributes, name=name)
        node.outputs[0].name, node.outputs[0].type = name, ir.TensorType(ir.DataType.INT64)
        return node

    def _constant(self, label: str, numbers: list[int]) -> ir.Value:
        name = self.names(label)
        tensor = ir.tensor(np.array(numbers, dtype=np.int64), name=name)
        shape = ir.Shape([len(numbers)])
        value = ir.Value(name=name, shape=shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.graph.register_initializer(value)
        return value
