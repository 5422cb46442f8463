"""A bottleneck at the cut as arrays: an encoder behind the head and a decoder before the tail, in standard ONNX.

head ► Conv s x s, stride s ──► code [c, H/s, W/s] ══► ConvTranspose ► + (Conv 3x3 ► Relu ► Conv 3x3) ► tail
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import onnx_ir as ir

from splitc.graph import FreshNames, Halves
from splitc.types import F32, Array, TensorSpec

SUFFIX = "bottleneck"
"""What the code of a cut value is called after it."""
_GEOMETRY = ("stride", "height", "width", "is_rectified")


@dataclass(frozen=True, eq=False)
class Bottleneck:
    """Weights of both ends; c channels of code for C channels of feature.

    Attributes:
        stride: Side of the blocks that become one place of the code.
        height, width: Of the feature; where a side is no multiple of the stride, its border is repeated and cut off.
        is_rectified: The feature is never negative, nor is what is decoded.
        encoder, encoder_bias: float32 ``[c, C, s, s]``, ``[c]``.
        decoder, decoder_bias: float32 ``[c, C, s, s]``, ``[C]``.
        first, first_bias: Of the residual block's first convolution, float32 ``[h, C, 3, 3]``, ``[h]``.
        second, second_bias: Of its second one, float32 ``[C, h, 3, 3]``, ``[C]``.
    """

    stride: int
    height: int
    width: int
    is_rectified: bool
    encoder: F32
    encoder_bias: F32
    decoder: F32
    decoder_bias: F32
    first: F32
    first_bias: F32
    second: F32
    second_bias: F32

    @property
    def code_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the code."""
        s = self.stride
        return (len(self.encoder), -(-self.height // s), -(-self.width // s))

    def arrays(self) -> list[Array]:
        """Everything, geometry first."""
        geometry = np.array([int(getattr(self, name)) for name in _GEOMETRY], np.int64)
        return [geometry, *(getattr(self, one.name) for one in fields(self) if one.name not in _GEOMETRY)]

    @classmethod
    def from_arrays(cls, arrays: Sequence[Array]) -> Bottleneck:
        """Invert :meth:`arrays`."""
        stride, height, width, is_rectified = (int(one) for one in arrays[0])
        return cls(stride, height, width, bool(is_rectified), *arrays[1:9])


def fold(halves: Halves, learned: Bottleneck) -> Halves:
    """The halves with both ends in them; what crosses is the code, called after the cut value.

    Args:
        halves: Between which one float32 value ``[N, C, H, W]`` crosses.
        learned: Of that value.
    """
    (spec,) = halves.cut
    name = f"{spec.name}.{SUFFIX}"
    code = TensorSpec(name=name, dtype="float32", shape=(spec.shape[0], *learned.code_shape))
    head = _with_encoder(halves.head.clone(), spec.name, code, learned)
    tail = _with_decoder(halves.tail.clone(), spec.name, code, learned)
    return replace(halves, head=head, tail=tail, cut=(code,))


def _with_encoder(head: ir.Model, feature: str, code: TensorSpec, learned: Bottleneck) -> ir.Model:
    graph, make = head.graph, _Nodes(head, f"{feature}.encode")
    value = next(one for one in graph.outputs if one.name == feature)
    x, more = value, (-learned.height % learned.stride, -learned.width % learned.stride)
    if any(more):
        x = make("Pad", x, make.constant("pads", np.array([0, 0, 0, 0, 0, 0, *more])), mode="edge")
    weights = make.constant("weight", learned.encoder), make.constant("bias", learned.encoder_bias)
    found = make("Conv", x, *weights, strides=[learned.stride] * 2)
    found.name, found.shape, found.type = code.name, ir.Shape(list(code.shape)), ir.TensorType(ir.DataType.FLOAT)
    make.register()
    graph.extend(make.nodes)
    graph.outputs[list(graph.outputs).index(value)] = found
    return head


def _with_decoder(tail: ir.Model, feature: str, code: TensorSpec, learned: Bottleneck) -> ir.Model:
    graph, make = tail.graph, _Nodes(tail, f"{feature}.decode")
    value = next(one for one in graph.inputs if one.name == feature)
    taken = ir.Value(name=code.name, shape=ir.Shape(list(code.shape)), type=ir.TensorType(ir.DataType.FLOAT))
    found = _decoded(make, taken, learned)
    found.shape, found.type = value.shape, value.type
    ir.convenience.replace_all_uses_with(value, found, replace_graph_outputs=True)
    value.name, found.name = None, feature
    graph.inputs[list(graph.inputs).index(value)] = taken
    make.register()
    graph.insert_before(graph[0], make.nodes)
    return tail


def _decoded(make: _Nodes, code: ir.Value, learned: Bottleneck) -> ir.Value:
    weights = make.constant("weight", learned.decoder), make.constant("bias", learned.decoder_bias)
    x = make("ConvTranspose", code, *weights, strides=[learned.stride] * 2)
    size = np.array([learned.height, learned.width])
    if any(size % learned.stride):
        ends = (make.constant("from", np.zeros(2, np.int64)), make.constant("to", size))
        x = make("Slice", x, *ends, make.constant("axes", np.array([2, 3])))
    first = make.constant("first", learned.first), make.constant("first_bias", learned.first_bias)
    second = make.constant("second", learned.second), make.constant("second_bias", learned.second_bias)
    inner = make("Relu", make("Conv", x, *first, pads=[1] * 4))
    found = make("Add", x, make("Conv", inner, *second, pads=[1] * 4))
    return make("Relu", found) if learned.is_rectified else found


class _Nodes:
    """Nodes and constants for one end, all named below one prefix."""

    def __init__(self, model: ir.Model, prefix: str) -> None:
        self._graph, self._prefix, self._names = model.graph, prefix, FreshNames(model)
        self.nodes: list[ir.Node] = []
        self._constants: list[ir.Value] = []

    def __call__(self, kind: str, *inputs: ir.Value, **attributes: str | list[int]) -> ir.Value:
        label = self._names(f"{self._prefix}/{len(self.nodes)}_{kind}")
        node = ir.node(kind, inputs, attributes=attributes, name=label)
        node.outputs[0].name = self._names(f"{label}_out")
        self.nodes.append(node)
        return node.outputs[0]

    def constant(self, label: str, array: Array) -> ir.Value:
        name = self._names(f"{self._prefix}/{label}")
        tensor = ir.Tensor(np.ascontiguousarray(array), name=name)
        value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        self._constants.append(value)
        return value

    def register(self) -> None:
        for value in self._constants:
            self._graph.register_initializer(value)
