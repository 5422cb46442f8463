"""Read and change the weights of a graph: every pass edits them here.

An initializer can have several readers, most often since equal ones were merged: only the operand that is edited gets
the new values, and whoever else reads the initializer, the outputs of the graph included, keeps the old ones.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from splitc import graph
from splitc.passes.layers import BIAS, WEIGHT, Layer
from splitc.types import Array


def read_weight(model: ir.Model, name: str) -> Array:
    """Values of the initializer ``name``."""
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy()


def read_operand(node: ir.Node, index: int) -> Array:
    """Values of the initializer that is an operand of ``node``."""
    value = node.inputs[index]
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy()


def put_weight(model: ir.Model, layer: Layer, values: Array) -> None:
    """Replace the weight of a layer, in a model that is ours to change; see :func:`put_operand`."""
    put_operand(model, layer.node, WEIGHT, values)


def put_bias(model: ir.Model, layer: Layer, values: Array) -> None:
    """Replace the bias of a layer that has one, in a model that is ours to change; see :func:`put_operand`."""
    put_operand(model, layer.node, BIAS, values)


def put_operand(model: ir.Model, node: ir.Node, index: int, values: Array) -> None:
    """Replace an initializer for one operand, as float32 without negative zeros; other readers keep what they have.

    Args:
        model: Ours to change.
        node: In it.
        index: Of an operand that is an initializer.
        values: May have another shape, where the operator takes it.
    """
    value = node.inputs[index]
    assert value is not None
    positive = np.ascontiguousarray(values, np.float32) + np.float32(0)  # -0.0 lies on no grid of steps
    if graph.is_read_beside(value, {(node, index)}):
        node.replace_input_with(index, add_weight(model, f"{value.name}/of_{node.outputs[0].name}", positive))
        return
    value.const_value = ir.tensor(positive, name=value.name)
    value.shape = ir.Shape(positive.shape)


def add_weight(model: ir.Model, wanted: str, values: Array, names: graph.FreshNames | None = None) -> ir.Value:
    """A new initializer of a model that is ours to change, in the type that ``values`` have.

    Args:
        model: Ours to change.
        wanted: Its name, unless that is taken.
        values: Of any shape.
        names: Of the model, where many are added.
    """
    name = (names or graph.FreshNames(model))(wanted)
    tensor = ir.tensor(values, name=name)
    value = ir.Value(name=name, shape=ir.Shape(values.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    model.graph.register_initializer(value)
    return value
