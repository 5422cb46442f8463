"""Put the codec's quantizers into the two graphs: the head ends in symbols, the tail begins with them.

1. Head: ``feature -> wire -> quantize -> Cast UINT8`` replaces each cut value as an output. What a quantizer sends
   beside the symbols is a FLOAT output after all of them.
2. Tail: ``Cast INT32 -> dequantize -> feature`` replaces each cut value as an input; the value keeps its name inside.
   A feature that is not its own wire (``splitc.types.Layout``) is transposed on the way, on the float side.
3. Standard ONNX operators only, and a UINT8 tensor touches nothing but its ``Cast`` (TensorRT allows no more), so one
   graph runs in ONNX Runtime, TensorRT 10 and 11, and TensorRT-RTX, and gives the symbols that NumPy gives.

What a quantizer does is its own affair: it writes itself with the operators of :class:`GraphOperators`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from splitc.codec import FittedTensor
from splitc.errors import CapabilityError, GraphError
from splitc.graph import FreshNames, free_name
from splitc.passes.base import PassResult
from splitc.passes.graph_operators import GraphOperators
from splitc.types import TensorSpec

MIN_OPSET = 13
"""First opset with every operator used here in the form used here."""


def symbols_name(feature: str) -> str:
    """Name of the wire tensor of a cut value in both graphs."""
    return f"{feature}.symbols"


def side_name(feature: str) -> str:
    """Name of the wire tensor with a quantizer's side values of a cut value."""
    return f"{feature}.side"


def wire_specs(tensors: Sequence[FittedTensor]) -> tuple[TensorSpec, ...]:
    """What crosses between the two graphs: symbols of every tensor, then side values of those that have any."""
    symbols = [TensorSpec(name=symbols_name(t.spec.name), dtype="uint8", shape=t.wire_shape) for t in tensors]
    sides = [
        TensorSpec(name=side_name(t.spec.name), dtype="float32", shape=(t.wire_shape[0], t.quantizer.side_count))
        for t in tensors
        if t.quantizer.side_count
    ]
    return (*symbols, *sides)


@dataclass(frozen=True)
class InsertQuantizers:
    """End the head in the wire tensors of :func:`wire_specs`, in that order; outputs behind the cut values stay."""

    name: ClassVar[str] = "insert_quantizers"
    tensors: Sequence[FittedTensor]

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: CapabilityError, GraphError: As :func:`require_opset`, and :func:`wire_names`."""
        opset = require_opset(model)
        head = model.clone()
        names = wire_names(head, self.tensors)
        outputs = {value.name: value for value in head.graph.outputs}
        exits = list(head.graph.outputs)[len(self.tensors) :]
        wires, sides = [], []
        for tensor in self.tensors:
            ops = GraphOperators(f"{tensor.spec.name}.quantize", len(tensor.wire_shape), opset, names)
            symbols, side = _quantize(ops, outputs[tensor.spec.name], tensor)
            ops.add_to_end(head.graph)
            wires.append(symbols)
            sides += side
        head.graph.outputs[:] = [*wires, *sides, *exits]
        return PassResult(head, True, tuple(f"head ends in {wire.name} ({wire.dtype})" for wire in [*wires, *sides]))


@dataclass(frozen=True)
class InsertDequantizers:
    """Begin the tail with the wire tensors of :func:`wire_specs`, in that order; inputs behind the cut values stay."""

    name: ClassVar[str] = "insert_dequantizers"
    tensors: Sequence[FittedTensor]

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: CapabilityError, GraphError: As :func:`require_opset`, and :func:`wire_names`."""
        opset = require_opset(model)
        tail = model.clone()
        names = wire_names(tail, self.tensors)
        graph = tail.graph
        inputs = {value.name: value for value in graph.inputs}
        given = list(graph.inputs)[len(self.tensors) :]
        wires, sides, nodes = [], [], []
        for tensor in self.tensors:
            feature = inputs[tensor.spec.name]
            ops = GraphOperators(f"{tensor.spec.name}.dequantize", len(tensor.wire_shape), opset, names)
            symbols, side, restored = _dequantize(ops, feature, tensor)
            ir.convenience.replace_all_uses_with(feature, restored, replace_graph_outputs=True)
            feature.name, restored.name = None, tensor.spec.name
            ops.register(graph)
            wires.append(symbols)
            sides += side
            nodes += ops.nodes
        graph.inputs[:] = [*wires, *sides, *given]
        graph.insert_before(graph[0], nodes)
        return PassResult(
            tail, True, tuple(f"tail begins with {wire.name} ({wire.dtype})" for wire in [*wires, *sides])
        )


def wire_names(half: ir.Model, tensors: Sequence[FittedTensor]) -> FreshNames:
    """Fresh names of a half in which the names of the wire tensors are free: inner values that have them get others.

    Raises:
        GraphError: An input or output of the half has the name of a wire tensor.
    """
    names = FreshNames(half)
    ports = {value.name for value in (*half.graph.inputs, *half.graph.outputs)}
    for spec in wire_specs(tensors):
        if spec.name in ports:
            raise GraphError(
                f"cut {[one.spec.name for one in tensors]}: its symbols would be called {spec.name!r} as an input or "
                "output of the model is; cut elsewhere, or rename that."
            )
        free_name(half, spec.name, names)
    return names


def require_opset(model: ir.Model) -> int:
    """The model's opset.

    Raises:
        CapabilityError: It lacks an operator form that the codec is written in.
    """
    opset = model.opset_imports.get("", 0)
    if opset < MIN_OPSET:
        raise CapabilityError(
            f"the model imports opset {opset}; the codec inside a graph needs {MIN_OPSET} or newer: convert the model "
            f"with onnx.version_converter.convert_version(model, {MIN_OPSET})."
        )
    return opset


def _quantize(ops: GraphOperators, feature: ir.Value, tensor: FittedTensor) -> tuple[ir.Value, list[ir.Value]]:
    """The head's outputs for one cut value: symbols, and side values where the quantizer has any."""
    x = feature if feature.dtype == ir.DataType.FLOAT else ops.cast(feature, "float32")
    x, quantizer = ops.to_wire(x, tensor.layout, len(tensor.spec.shape)), tensor.quantizer
    x = ops.planes(x, tensor)
    side = [ops.graph_output(quantizer.graph_side(ops, x), side_name(tensor.spec.name))] if quantizer.side_count else []
    found = quantizer.graph_quantize(ops, x, tensor.params, side[0] if side else None)
    symbols = ops.cast(found, "uint8", name=symbols_name(tensor.spec.name))
    symbols.shape, symbols.type = _wire_shape(feature, tensor), ir.TensorType(ir.DataType.UINT8)
    for value in side:
        value.shape, value.type = _side_shape(feature, tensor), ir.TensorType(ir.DataType.FLOAT)
    return symbols, side


def _dequantize(
    ops: GraphOperators, feature: ir.Value, tensor: FittedTensor
) -> tuple[ir.Value, list[ir.Value], ir.Value]:
    """The tail's inputs for one cut value, symbols and side values, and the value that replaces it."""
    name, dtype = tensor.spec.name, feature.dtype or ir.DataType.FLOAT
    symbols = ir.Value(
        name=symbols_name(name), shape=_wire_shape(feature, tensor), type=ir.TensorType(ir.DataType.UINT8)
    )
    shape = _side_shape(feature, tensor)
    side = [ir.Value(name=side_name(name), shape=shape, type=ir.TensorType(ir.DataType.FLOAT))]
    side = side if tensor.quantizer.side_count else []
    index = ops.cast(symbols, "int32")
    restored = tensor.quantizer.graph_dequantize(ops, index, tensor.params, side[0] if side else None)
    restored = ops.from_wire(ops.channels(restored, tensor), tensor.layout, len(tensor.spec.shape))
    restored = restored if dtype == ir.DataType.FLOAT else ops.to_type(restored, dtype)
    restored.shape, restored.type = feature.shape, feature.type
    return symbols, side, restored


def _wire_shape(feature: ir.Value, tensor: FittedTensor) -> ir.Shape:
    """As ``FittedTensor.wire_shape``, in the graph's own dimensions."""
    assert feature.shape is not None, "a cut value has a shape"
    rank = len(feature.shape)
    dims: list[int | ir.SymbolicDim] = [feature.shape[axis] for axis in tensor.layout.order(rank)]
    for axis in tensor.layout.new_axes(rank):
        dims.insert(axis, 1)
    if tensor.transform.is_identity:
        return ir.Shape(dims)
    sizes = zip(tensor.wire_shape, dims, strict=True)
    return ir.Shape([size if isinstance(size, int) else dim for size, dim in sizes])


def _side_shape(feature: ir.Value, tensor: FittedTensor) -> ir.Shape:
    return ir.Shape([_wire_shape(feature, tensor)[0], tensor.quantizer.side_count])
