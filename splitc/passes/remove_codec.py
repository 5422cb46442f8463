"""Remove the quantizers: the float head and tail of a bundle's graphs, to measure what the codec costs.

1. Head: the cut values are the outputs again; the quantizers' nodes have no use left and go.
2. Tail: the cut values are the inputs again; the dequantizers' nodes go likewise.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
import onnx_ir.passes.common as common

from splitc.errors import GraphError
from splitc.types import TensorSpec


def float_head(head: ir.Model, cut: Sequence[TensorSpec]) -> ir.Model:
    """A copy of the head that ends in its float cut values.

    Raises:
        GraphError: A cut value is not in the graph.
    """
    head = head.clone()
    values = _values(head)
    head.graph.outputs[:] = [_find(values, spec) for spec in cut]
    common.RemoveUnusedNodesPass()(head)
    return head


def float_tail(tail: ir.Model, cut: Sequence[TensorSpec]) -> ir.Model:
    """A copy of the tail that begins with its float cut values.

    Raises:
        GraphError: A cut value is not in the graph.
    """
    tail = tail.clone()
    values = _values(tail)
    inputs = []
    for spec in cut:
        restored = _find(values, spec)
        feature = ir.Value(shape=restored.shape, type=restored.type)
        ir.convenience.replace_all_uses_with(restored, feature, replace_graph_outputs=True)
        restored.name, feature.name = None, spec.name
        inputs.append(feature)
    tail.graph.inputs[:] = inputs
    common.RemoveUnusedNodesPass()(tail)
    return tail


def _values(model: ir.Model) -> dict[str | None, ir.Value]:
    made = {value.name: value for node in model.graph for value in node.outputs}
    return made | {value.name: value for value in model.graph.inputs}


def _find(values: dict[str | None, ir.Value], spec: TensorSpec) -> ir.Value:
    if spec.name not in values:
        raise GraphError(
            f"cut value {spec.name!r} is not in the bundle's graph; the bundle is not one that splitc built."
        )
    return values[spec.name]
