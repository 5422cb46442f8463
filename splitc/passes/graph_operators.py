"""A quantizer's operators as nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import onnx_ir as ir

from splitc.codec import FittedTensor, block_axes, kernels
from splitc.graph import FreshNames
from splitc.types import F32, Array, Layout

AXES_ARE_INPUTS = 18
"""First opset in which ReduceMin and ReduceMax take their axes as an input."""
_TYPES = {"float32": ir.DataType.FLOAT, "int32": ir.DataType.INT32, "uint8": ir.DataType.UINT8}


class GraphOperators:
    """:class:`splitc.codec.Operators` that make nodes and initializers, all named below one prefix.

    Args:
        prefix: Of every name.
        rank: Of the wire.
        opset: Of the graph that the nodes go into.
        names: Of that graph: a name that is taken gets a number.
    """

    def __init__(self, prefix: str, rank: int, opset: int, names: FreshNames) -> None:
        self.prefix, self.rank, self.opset, self.names = prefix, rank, opset, names
        self.nodes: list[ir.Node] = []
        self.constants: dict[str, ir.Value] = {}

    def op(self, kind: str, *inputs: ir.Value) -> ir.Value:
        return self._node(kind, *inputs)

    def cast(self, x: ir.Value, to: Literal["float32", "int32", "uint8"], name: str | None = None) -> ir.Value:
        return self.to_type(x, _TYPES[to], name)

    def to_type(self, x: ir.Value, dtype: ir.DataType, name: str | None = None) -> ir.Value:
        """``x`` in any element type; ``name`` names the result."""
        value = self._node("Cast", x, to=int(dtype))
        value.name = name or value.name
        return value

    def transpose(self, x: ir.Value, perm: list[int]) -> ir.Value:
        return self._node("Transpose", x, perm=perm)

    def to_wire(self, x: ir.Value, layout: Layout, rank: int) -> ir.Value:
        """:meth:`splitc.types.Layout.to_wire`; no node where nothing moves."""
        order, new = layout.order(rank), layout.new_axes(rank)
        moved = x if order == tuple(range(rank)) else self._node("Transpose", x, perm=[*order])
        return self._node("Unsqueeze", moved, self.constant("new_axes", np.array(new, np.int64))) if new else moved

    def from_wire(self, x: ir.Value, layout: Layout, rank: int) -> ir.Value:
        """:meth:`splitc.types.Layout.from_wire`; no node where nothing moves."""
        order, new = layout.order(rank), layout.new_axes(rank)
        kept = self._node("Squeeze", x, self.constant("new_axes", np.array(new, np.int64))) if new else x
        back = [order.index(axis) for axis in range(rank)]
        return kept if order == tuple(range(rank)) else self._node("Transpose", kept, perm=back)

    def planes(self, x: ir.Value, tensor: FittedTensor) -> ir.Value:
        """``Transform.forward`` of a wire as convolutions; no node where planes are channels."""
        x = self._mixed(x, tensor.basis.analysis, "analysis")
        if tensor.transform.block == 1:
            return x
        return self._by_blocks("Conv", self._padded(x, [size % 2 for size in _sizes(tensor)]), tensor)

    def channels(self, x: ir.Value, tensor: FittedTensor) -> ir.Value:
        """``Transform.inverse`` of planes; no node where planes are channels."""
        rank = self.rank
        if tensor.transform.block > 1:
            axes, sizes = block_axes(tensor.wire_shape), _sizes(tensor)
            x = self._by_blocks("ConvTranspose", x, tensor)
            if any(size % 2 for size in sizes):
                ends = (np.zeros(axes, np.int64), np.array(sizes), np.arange(rank - axes, rank))
                names = ("crop_from", "crop_to", "crop_axes")
                x = self._node("Slice", x, *(self.constant(name, end) for name, end in zip(names, ends, strict=True)))
        return self._mixed(x, tensor.basis.synthesis, "synthesis")

    def _by_blocks(self, kind: str, x: ir.Value, tensor: FittedTensor) -> ir.Value:
        """A convolution of each block of places with the block's kernels."""
        axes, rank = block_axes(tensor.wire_shape), self.rank
        channels = tensor.channels // 2**axes
        weight = self.constant("blocks", np.tile(kernels(axes, rank), (channels, *[1] * (rank - 1))))
        strides = [1] * (rank - 2 - axes) + [2] * axes
        return self._node(kind, x, weight, strides=strides, group=channels)

    def _mixed(self, x: ir.Value, matrix: F32, label: str) -> ir.Value:
        if not matrix.size:
            return x
        weight = self.constant(label, matrix.reshape(*matrix.shape, *[1] * max(1, self.rank - 2)))
        return self._node("Conv", x, weight)

    def _padded(self, x: ir.Value, after: Sequence[int]) -> ir.Value:
        """The border repeated behind the last axes; no node where no size is odd."""
        if not any(after):
            return x
        pads = np.zeros(2 * self.rank, np.int64)
        pads[-len(after) :] = after
        return self._node("Pad", x, self.constant("pads", pads), mode="edge")

    def graph_output(self, x: ir.Value, name: str) -> ir.Value:
        """``x`` under the name of a graph output."""
        x.name = name
        return x

    def constant(self, label: str, value: Array | np.generic) -> ir.Value:
        if label not in self.constants:
            name = self.names(f"{self.prefix}/{label}")
            tensor = ir.Tensor(np.asarray(value), name=name)
            self.constants[label] = ir.Value(
                name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor
            )
        return self.constants[label]

    def per_channel(self, label: str, row: Array) -> ir.Value:
        return self.constant(label, row.reshape(()) if len(row) == 1 else row.reshape(-1, *[1] * (self.rank - 2)))

    def pick(self, label: str, rows: Array, index: ir.Value) -> ir.Value:
        """A Gather on the flattened rows."""
        if len(rows) > 1:
            offsets = np.arange(len(rows), dtype=np.int32) * np.int32(rows.shape[1])
            index = self.op("Add", index, self.per_channel(f"{label}_row", offsets))
        return self._node("Gather", self.constant(label, rows.reshape(-1)), index, axis=0)

    def of_sample(self, kind: Literal["ReduceMin", "ReduceMax"], x: ir.Value) -> ir.Value:
        if self.rank == 1:
            return self._node("Identity", x)
        axes = list(range(1, self.rank))
        if self.opset < AXES_ARE_INPUTS:
            return self._node(kind, x, axes=axes, keepdims=1)
        return self._node(kind, x, self.constant("axes", np.array(axes, np.int64)), keepdims=1)

    def join_side(self, *values: ir.Value) -> ir.Value:
        return self._node("Concat", *(self._node("Flatten", value, axis=1) for value in values), axis=1)

    def side_value(self, side: ir.Value, column: int) -> ir.Value:
        picked = self._node("Gather", side, self.constant(f"column_{column}", np.array([column], np.int64)), axis=1)
        shape = np.array([-1] + [1] * (self.rank - 1), np.int64)
        return self._node("Reshape", picked, self.constant("side_shape", shape))

    def register(self, graph: ir.Graph) -> None:
        """Add the initializers to ``graph``."""
        for value in self.constants.values():
            graph.register_initializer(value)

    def add_to_end(self, graph: ir.Graph) -> None:
        """Add initializers and nodes to ``graph``."""
        self.register(graph)
        graph.extend(self.nodes)

    def _node(self, kind: str, *inputs: ir.Value, **attributes: int | str | list[int]) -> ir.Value:
        label = f"{self.prefix}/{len(self.nodes)}_{kind}"
        node = ir.node(kind, inputs, attributes=attributes, name=self.names(label))
        node.outputs[0].name = self.names(f"{label}_out")
        self.nodes.append(node)
        return node.outputs[0]


def _sizes(tensor: FittedTensor) -> list[int]:
    """Of the axes that blocks lie along, before the transform; its fitting has seen that they are fixed."""
    wire = tensor.layout.wire_shape(tensor.spec.shape)
    return [int(size) for size in wire[-block_axes(wire) :]]
