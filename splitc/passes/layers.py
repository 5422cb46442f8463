"""The layers whose weights are worth changing: convolutions and products with a constant weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from splitc import graph
from splitc.errors import GraphError
from splitc.types import F32, Array

Kind = Literal["conv", "fc"]
WEIGHT, BIAS = 1, 2
"""Operands of a layer."""
POOLS = ("GlobalAveragePool", "AveragePool", "ReduceMean")


@dataclass(frozen=True, eq=False)
class Layer:
    """One convolution or product.

    Attributes:
        node: In the graph.
        weight: Name of its weight initializer, which nobody else reads.
        kind: "conv", or "fc" for a product.
        groups: Of a convolution; 1 for a product.
        is_transposed: The weight is ``[in, out]``.
    """

    node: ir.Node
    weight: str
    kind: Kind
    groups: int
    is_transposed: bool

    @property
    def input(self) -> ir.Value:
        """What the layer computes on."""
        value = self.node.inputs[0]
        assert value is not None
        return value

    @property
    def role(self) -> Kind:
        """ "fc" for products and for what export makes of them: a kernel of one place behind a global pooling."""
        weight = self.node.inputs[1]
        before = self.input.producer()
        if self.kind == "fc" or weight is None or weight.const_value is None or before is None:
            return self.kind
        is_point = all(size == 1 for size in weight.const_value.shape.numpy()[2:])
        return "fc" if is_point and before.op_type in POOLS else "conv"

    @property
    def bias(self) -> str | None:
        """Name of its bias initializer, if it has one; others may read that too."""
        value = self.node.inputs[BIAS] if len(self.node.inputs) > BIAS else None
        return value.name if value is not None and value.is_initializer() else None

    def matrix(self, weight: Array) -> F32:
        """The weight as ``[groups, out / groups, kernel * in / groups]``, float32.

        Channels of one place of the kernel are adjacent, as the runs of 2:4 sparsity are.
        """
        whole = np.asarray(weight, np.float32)
        if self.is_transposed:
            return np.ascontiguousarray(whole.T)[None]
        grouped = whole.reshape(self.groups, whole.shape[0] // self.groups, whole.shape[1], -1)
        return np.ascontiguousarray(grouped.transpose(0, 1, 3, 2)).reshape(*grouped.shape[:2], -1)

    def weight_from(self, matrix: F32, shape: tuple[int, ...]) -> F32:
        """Inverse of :meth:`matrix`, for a weight of ``shape``."""
        if self.is_transposed:
            return np.ascontiguousarray(matrix[0].T).reshape(shape)
        taps = int(np.prod(shape[2:]))
        placed = matrix.reshape(*matrix.shape[:2], taps, shape[1]).transpose(0, 1, 3, 2)
        return np.ascontiguousarray(placed).reshape(shape)


def layers_of(model: ir.Model) -> list[Layer]:
    """Layers of the top graph in order, that weights can be changed of.

    Not among them: a layer whose weight somebody else reads, or takes as an output of the model; one that computes on
    a constant, which engines fold; one without any weights.
    """
    return list(_found(model))


def _found(model: ir.Model) -> Iterator[Layer]:
    for node in model.graph:
        if node.domain not in ("", "ai.onnx") or node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        data, value = node.inputs[0], node.inputs[WEIGHT]
        if data is None or data.is_initializer() or value is None or not _is_own_weight(node, value):
            continue
        layer = _conv(node, value) if node.op_type == "Conv" else _product(node, value)
        if layer is not None:
            yield layer


def _is_own_weight(node: ir.Node, value: ir.Value) -> bool:
    """Whether ``value`` holds float32 weights that nobody but the node reads."""
    tensor = value.const_value
    if tensor is None or not value.is_initializer() or value.graph is not node.graph:
        return False
    return tensor.dtype == ir.DataType.FLOAT and tensor.size > 0 and not graph.is_read_beside(value, {(node, WEIGHT)})


def _conv(node: ir.Node, weight: ir.Value) -> Layer:
    assert weight.name is not None
    return Layer(node, weight.name, "conv", node.attributes.get_int("group", 1), False)


def _product(node: ir.Node, weight: ir.Value) -> Layer | None:
    """Gemm with untransposed data, alpha and beta 1; or MatMul with a matrix."""
    assert weight.name is not None
    assert weight.const_value is not None
    attributes = node.attributes
    if len(weight.const_value.shape) != 2 or attributes.get_int("transA", 0) == 1:
        return None
    if attributes.get_float("alpha", 1.0) != 1.0 or attributes.get_float("beta", 1.0) != 1.0:
        return None
    return Layer(node, weight.name, "fc", 1, attributes.get_int("transB", 0) == 0)


def refuse_not_finite(model: ir.Model, label: str) -> None:
    """Raises: GraphError: The weight or the bias of a layer holds NaN or infinities, which nothing can make smaller."""
    for layer in layers_of(model):
        for name in filter(None, (layer.weight, layer.bias)):
            tensor = model.graph.initializers[name].const_value
            if tensor is not None and not np.isfinite(tensor.numpy()).all():
                raise GraphError(
                    f"{label}: weight {name!r} of {layer.node.op_type} {layer.node.name!r} holds NaN or infinities; "
                    "mend it, or leave this half's weights as they are."
                )
