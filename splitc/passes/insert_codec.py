"""Put the codec's quantizers into the two graphs: the head ends in symbols, the tail begins with them.

1. Head: ``feature -> quantize -> Cast UINT8`` replaces each cut value as an output.
2. Tail: ``Cast INT32 -> Gather(levels)`` replaces each cut value as an input; the value keeps its name inside.
3. Standard ONNX operators only, and a UINT8 tensor touches nothing but its ``Cast`` (TensorRT allows no more), so one
   graph runs in ONNX Runtime, TensorRT 10 and 11, and TensorRT-RTX, and gives the symbols that NumPy gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from splitc.codec import FittedTensor
from splitc.errors import CapabilityError
from splitc.passes.base import PassResult
from splitc.types import Array

MIN_OPSET = 13
"""First opset with every operator used here in the form used here."""
LIMIT = float(np.finfo(np.float32).max)


def symbols_name(feature: str) -> str:
    """Name of the wire tensor that stands for a cut value in both graphs."""
    return f"{feature}.symbols"


@dataclass(frozen=True)
class InsertQuantizers:
    """End the head in UINT8 symbols: one output ``NAME.symbols`` for each cut value ``NAME``, in the codec's order."""

    name: ClassVar[str] = "insert_quantizers"
    tensors: Sequence[FittedTensor]

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: CapabilityError: the opset is too old for the operators."""
        require_opset(model)
        head = model.clone()
        graph = head.graph
        outputs = {value.name: value for value in graph.outputs}
        wires = []
        for tensor in self.tensors:
            steps = _Steps(f"{tensor.spec.name}.quantize", tensor.rank)
            feature = outputs[tensor.spec.name]
            symbols = _quantize(steps, _as_float(steps, feature), tensor)
            wire = steps.cast(symbols, ir.DataType.UINT8, name=symbols_name(tensor.spec.name))
            wire.shape, wire.type = feature.shape, ir.TensorType(ir.DataType.UINT8)
            steps.add_to_end(graph)
            wires.append(wire)
        graph.outputs[:] = wires
        return PassResult(head, True, tuple(f"head ends in {wire.name} (UINT8)" for wire in wires))


@dataclass(frozen=True)
class InsertDequantizers:
    """Begin the tail with UINT8 symbols: one input ``NAME.symbols`` a cut value ``NAME``, in the codec's order."""

    name: ClassVar[str] = "insert_dequantizers"
    tensors: Sequence[FittedTensor]

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: CapabilityError: the opset is too old for the operators."""
        require_opset(model)
        tail = model.clone()
        graph = tail.graph
        inputs = {value.name: value for value in graph.inputs}
        wires, nodes = [], []
        for tensor in self.tensors:
            feature = inputs[tensor.spec.name]
            wire = ir.Value(
                name=symbols_name(tensor.spec.name), shape=feature.shape, type=ir.TensorType(ir.DataType.UINT8)
            )
            steps = _Steps(f"{tensor.spec.name}.dequantize", tensor.rank)
            restored = _dequantize(steps, wire, tensor, feature.dtype or ir.DataType.FLOAT)
            restored.shape, restored.type = feature.shape, feature.type
            ir.convenience.replace_all_uses_with(feature, restored, replace_graph_outputs=True)
            feature.name, restored.name = None, tensor.spec.name
            steps.register(graph)
            wires.append(wire)
            nodes += steps.nodes
        graph.inputs[:] = wires
        graph.insert_before(graph[0], nodes)
        return PassResult(tail, True, tuple(f"tail begins with {wire.name} (UINT8)" for wire in wires))


def require_opset(model: ir.Model) -> None:
    """Raises: CapabilityError: the model's opset lacks an operator form that the codec is written in."""
    opset = model.opset_imports.get("", 0)
    if opset < MIN_OPSET:
        raise CapabilityError(
            f"the model imports opset {opset}; the codec inside a graph needs {MIN_OPSET} or newer: convert the model "
            f"with onnx.version_converter.convert_version(model, {MIN_OPSET})."
        )


def _as_float(steps: _Steps, feature: ir.Value) -> ir.Value:
    return feature if feature.dtype == ir.DataType.FLOAT else steps.cast(feature, ir.DataType.FLOAT)


def _quantize(steps: _Steps, x: ir.Value, tensor: FittedTensor) -> ir.Value:
    """Symbols as FLOAT or INT32, before the last Cast."""
    params, top = tensor.params, float(tensor.quantizer.count - 1)
    shifted = steps.op("Sub", x, steps.per_channel("lo", params.lo))
    if tensor.quantizer.curve == "log":
        return _quantize_log(steps, x, shifted, tensor)
    scaled = steps.op("Mul", shifted, steps.per_channel("scale", params.scale))
    return _round_clip(steps, scaled, top)


def _quantize_log(steps: _Steps, x: ir.Value, shifted: ir.Value, tensor: FittedTensor) -> ir.Value:
    """The logarithm proposes a symbol, right to within one; the thresholds on either side of it decide."""
    params, count = tensor.params, tensor.quantizer.count
    log = steps.op("Log", steps.op("Add", steps.op("Relu", shifted), steps.constant("one", np.float32(1))))
    per_nat = (params.scale.astype(np.float64) / np.log(2)).astype(np.float32)
    guess = _round_clip(steps, steps.op("Mul", log, steps.per_channel("per_nat", per_nat)), float(count - 1))
    ends = np.full((len(params.thresholds), 1), LIMIT, np.float32)
    edges = np.concatenate([-ends, params.thresholds, ends], axis=1)
    index = steps.cast(guess, ir.DataType.INT32)
    below = steps.gather_rows("edges", edges, index)
    above = steps.gather_rows("edges", edges, steps.op("Add", index, steps.constant("next", np.int32(1))))
    too_high = steps.cast(steps.op("Less", x, below), ir.DataType.FLOAT)
    high_enough = steps.cast(steps.op("Not", steps.op("Less", x, above)), ir.DataType.FLOAT)
    return steps.op("Sub", steps.op("Add", guess, high_enough), too_high)


def _round_clip(steps: _Steps, x: ir.Value, top: float) -> ir.Value:
    bounds = steps.constant("zero", np.float32(0)), steps.constant("top", np.float32(top))
    return steps.op("Clip", steps.op("Round", x), *bounds)


def _dequantize(steps: _Steps, wire: ir.Value, tensor: FittedTensor, dtype: ir.DataType) -> ir.Value:
    index = steps.cast(wire, ir.DataType.INT32)
    restored = steps.gather_rows("levels", tensor.params.levels, index)
    return restored if dtype == ir.DataType.FLOAT else steps.cast(restored, dtype)


class _Steps:
    """Nodes and initializers under construction, all named below one prefix."""

    def __init__(self, prefix: str, rank: int) -> None:
        self.prefix, self.rank = prefix, rank
        self.nodes: list[ir.Node] = []
        self.constants: dict[str, ir.Value] = {}

    def op(self, kind: str, *inputs: ir.Value, name: str | None = None, **attributes: int) -> ir.Value:
        label = f"{self.prefix}/{len(self.nodes)}_{kind}"
        node = ir.node(kind, inputs, attributes=attributes, name=label)
        node.outputs[0].name = name or f"{label}_out"
        self.nodes.append(node)
        return node.outputs[0]

    def cast(self, x: ir.Value, to: ir.DataType, name: str | None = None) -> ir.Value:
        return self.op("Cast", x, name=name, to=int(to))

    def constant(self, label: str, array: Array | np.generic) -> ir.Value:
        if label not in self.constants:
            name = f"{self.prefix}/{label}"
            tensor = ir.Tensor(np.asarray(array), name=name)
            self.constants[label] = ir.Value(
                name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor
            )
        return self.constants[label]

    def per_channel(self, label: str, row: Array) -> ir.Value:
        """``[S]`` shaped to broadcast over axis 1."""
        return self.constant(label, row.reshape(()) if len(row) == 1 else row.reshape(-1, *[1] * (self.rank - 2)))

    def gather_rows(self, label: str, rows: Array, index: ir.Value) -> ir.Value:
        """``rows[channel, index]`` by a Gather on the flattened rows."""
        if len(rows) > 1:
            offsets = np.arange(len(rows), dtype=np.int32) * np.int32(rows.shape[1])
            index = self.op("Add", index, self.per_channel(f"{label}_row", offsets))
        return self.op("Gather", self.constant(label, rows.reshape(-1)), index, axis=0)

    def register(self, graph: ir.Graph) -> None:
        for value in self.constants.values():
            graph.register_initializer(value)

    def add_to_end(self, graph: ir.Graph) -> None:
        self.register(graph)
        graph.extend(self.nodes)
