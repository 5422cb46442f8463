"""Let a graph take 8-bit pixels: the part of preprocessing that needs no other pixel, in front of the network.

1. ``uint8 [N, H, W, C] -> Cast FLOAT -> Mul scale -> Sub mean -> Div std -> Transpose`` replaces the one input, which
   keeps its name; what it held is called ``NAME.splitc_preprocess/normalized`` inside. What changes no number has no
   node.
2. The operators and their order are those of the runtime on the host, in float32, so both give the same bits.
3. Channels come in the network's own order: resizing, cropping and that order stay on the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from splitc.errors import GraphError
from splitc.graph import FreshNames, preprocess_prefix
from splitc.passes.base import PassResult
from splitc.passes.graph_operators import GraphOperators

MIN_OPSET = 7
"""First opset in which arithmetic broadcasts by itself."""
_RANK = 4
_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE})


@dataclass(frozen=True)
class InsertPreprocess:
    """Begin the graph in uint8 pixels ``[N, H, W, C]``.

    Attributes:
        scale, mean, std: ``y = (pixel * scale - mean) / std``, one number for all channels or one a channel.
        is_nhwc: Whether the network itself takes the channels last.
    """

    name: ClassVar[str] = "insert_preprocess"
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    is_nhwc: bool

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: GraphError: several inputs, one that is no float picture, or an opset before 7."""
        _refuse(model)
        changed = model.clone()
        graph = changed.graph
        (value,) = _data_inputs(graph)
        name, dims = value.name or "", list(value.shape or ())
        names = FreshNames(changed)
        ops = GraphOperators(preprocess_prefix(name), _RANK, changed.opset_imports[""], names)
        last = dims if self.is_nhwc else [dims[0], *dims[2:], dims[1]]
        pixels = ir.Value(name=name, shape=ir.Shape(last), type=ir.TensorType(ir.DataType.UINT8))
        result = self._normalized(ops, pixels, value.dtype or ir.DataType.FLOAT)
        result.shape, result.type = value.shape, value.type
        ir.convenience.replace_all_uses_with(value, result, replace_graph_outputs=True)
        value.name, result.name = None, names(f"{preprocess_prefix(name)}/normalized")
        graph.inputs[list(graph.inputs).index(value)] = pixels
        ops.register(graph)
        graph.insert_before(graph[0], ops.nodes)
        return PassResult(changed, True, (f"{name!r} takes uint8 {[str(dim) for dim in last]} and is normalized here",))

    def _normalized(self, ops: GraphOperators, pixels: ir.Value, dtype: ir.DataType) -> ir.Value:
        x = ops.cast(pixels, "float32")
        if self.scale != 1:
            x = ops.op("Mul", x, ops.constant("scale", np.array([self.scale], np.float32)))
        if any(self.mean):
            x = ops.op("Sub", x, ops.constant("mean", np.array(self.mean, np.float32)))
        if set(self.std) != {1.0}:
            x = ops.op("Div", x, ops.constant("std", np.array(self.std, np.float32)))
        x = x if self.is_nhwc else ops.transpose(x, [0, 3, 1, 2])
        return x if dtype == ir.DataType.FLOAT else ops.to_type(x, dtype)


def _data_inputs(graph: ir.Graph) -> list[ir.Value]:
    return [value for value in graph.inputs if value.name not in graph.initializers]


def _refuse(model: ir.Model) -> None:
    inputs = _data_inputs(model.graph)
    if len(inputs) != 1:
        names = ", ".join(repr(value.name) for value in inputs)
        raise GraphError(f"data.preprocess.in_graph: the network has {len(inputs)} inputs ({names}), a picture is one.")
    (value,) = inputs
    if value.dtype not in _FLOATS or value.shape is None or len(value.shape) != _RANK:
        raise GraphError(
            f"data.preprocess.in_graph: input {value.name!r} is {value.dtype} {value.shape}, and only a float picture "
            "of 4 axes is normalized; leave in_graph out."
        )
    if any(value is output for output in model.graph.outputs):
        raise GraphError(f"data.preprocess.in_graph: input {value.name!r} is an output too; leave in_graph out.")
    opset = model.opset_imports.get("", 0)
    if opset < MIN_OPSET:
        raise GraphError(
            f"data.preprocess.in_graph: the model imports opset {opset}, its operators need {MIN_OPSET}; convert it "
            "with onnx.version_converter."
        )
