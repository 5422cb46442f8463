"""Initializers in and out of a graph, for the weight container.

1. Only initializers of the top graph that have a name and a packed element type are taken; strings and the like stay.
2. A *skeleton* is the same graph with its larger initializers as inputs: a valid ONNX file without the weights, whose
   metadata name them.
3. Putting weights in replaces initializers and fills those inputs; names, types and shapes must agree, and a skeleton
   must get all of its weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from splitc.errors import GraphError
from splitc.passes.base import PassResult
from splitc.weights import TYPES, WeightTensor

SKELETON_KEEPS_BYTES = 64
"""Initializers up to this size stay in a skeleton: shape inference needs their values."""


SKELETON_KEY = "splitc.weights"
"""Metadata of a skeleton: a JSON list of the names of what became inputs."""


def weights_of(model: ir.Model) -> list[WeightTensor]:
    """The initializers of the top graph, unchanged and in graph order."""
    return [one for value in model.graph.initializers.values() if (one := _weight(value)) is not None]


def unpacked_of(model: ir.Model) -> list[str]:
    """Names of initializers that :func:`weights_of` leaves out: strings, types below a byte, those of subgraphs."""
    packed = {one.name for one in weights_of(model)}
    return [
        value.name or ""
        for graph in model.graphs()
        for value in graph.initializers.values()
        if graph is not model.graph or value.name not in packed
    ]


def is_skeleton(model: ir.Model) -> bool:
    """Whether weights were removed by :class:`Skeleton` and not restored."""
    return SKELETON_KEY in model.metadata_props


def _weight(value: ir.Value) -> WeightTensor | None:
    tensor = value.const_value
    if tensor is None or not value.name:
        return None
    dtype = tensor.dtype.name.lower()
    dtype = {"float": "float32", "double": "float64"}.get(dtype, dtype)
    if dtype not in TYPES:
        return None
    values = np.ascontiguousarray(tensor.numpy()).reshape(tuple(tensor.shape))
    return WeightTensor(value.name, dtype, values.view(TYPES[dtype].stored) if dtype == "bfloat16" else values)


@dataclass(frozen=True)
class Skeleton:
    """Make inputs of the initializers that a container carries."""

    name: ClassVar[str] = "skeleton"

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises nothing; a graph without initializers is left as it is."""
        bare = model.clone()
        taken = [one.name for one in weights_of(model) if one.nbytes > SKELETON_KEEPS_BYTES]
        for name in taken:
            value = bare.graph.initializers.pop(name)
            assert value.const_value is not None
            value.type = ir.TensorType(value.const_value.dtype)
            value.shape = ir.Shape(tuple(value.const_value.shape.numpy()))
            value.const_value = None
            bare.graph.inputs.append(value)
        bare.metadata_props[SKELETON_KEY] = json.dumps(taken)
        return PassResult(bare, bool(taken), (f"{len(taken)} initializers became inputs",))


@dataclass(frozen=True, eq=False)
class PutWeights:
    """Put weights into a graph; each tensor is requested after the previous one has been stored or refused."""

    name: ClassVar[str] = "put_weights"
    tensors: Iterable[WeightTensor]

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: GraphError: A tensor that the graph lacks or has otherwise, or a skeleton that lacks one still."""
        filled, count = model.clone(), 0
        for tensor in self.tensors:
            _put(filled, tensor)
            count += 1
        named = _names(filled.metadata_props.pop(SKELETON_KEY, "[]"))
        lacking = next((name for name in named if name not in filled.graph.initializers), None)
        if lacking is not None:
            raise GraphError(
                f"the graph needs weights {lacking!r}, which are not among these; unpack its own container."
            )
        return PassResult(filled, count > 0, (f"{count} initializers were put in",))


def _names(text: str) -> list[str]:
    """Raises: GraphError: Not what :class:`Skeleton` wrote."""
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise GraphError(f"the graph's metadata {SKELETON_KEY!r} is no list of names; pack the model again.")
    return names


def _put(model: ir.Model, tensor: WeightTensor) -> None:
    inputs = {value.name: value for value in model.graph.inputs}
    value = model.graph.initializers.get(tensor.name) or inputs.get(tensor.name)
    if value is None:
        raise GraphError(f"the graph has no initializer {tensor.name!r}; these weights belong to another model.")
    new = ir.Tensor(tensor.values, dtype=ir.DataType(TYPES[tensor.dtype].wire_id), name=tensor.name)
    old_type = value.const_value.dtype if value.const_value is not None else value.dtype
    old_shape = value.const_value.shape if value.const_value is not None else value.shape
    if old_type != new.dtype or old_shape is None or tuple(old_shape) != tensor.shape:
        raise GraphError(
            f"initializer {tensor.name!r} is {old_type} {old_shape} in the graph, {tensor.dtype} {list(tensor.shape)} "
            "in the container; these weights belong to another model."
        )
    value.const_value = new
    if tensor.name not in model.graph.initializers:
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
