"""Remove the quantizers: the float head and tail of a bundle's graphs, to measure what the codec costs.

1. Head: the cut values are the outputs again; the quantizers' nodes have no use left and go.
2. Tail: the cut values are the inputs again; the dequantizers' nodes go likewise.
3. Outputs that the head answers, and inputs that the tail is given, stay behind them.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
import onnx_ir.passes.common as common

from splitc.errors import GraphError
from splitc.passes.insert_codec import side_name, symbols_name
from splitc.types import TensorSpec


def float_head(head: ir.Model, cut: Sequence[TensorSpec]) -> ir.Model:
    """A copy of the head that ends in its float cut values.

    Raises:
        GraphError: A cut value is not in the graph.
    """
    head = head.clone()
    values = _values(head)
    wires = _wire_names(cut)
    exits = [value for value in head.graph.outputs if value.name not in wires]
    head.graph.outputs[:] = [*(_find(values, spec) for spec in cut), *exits]
    common.RemoveUnusedNodesPass()(head)
    return head


def float_tail(tail: ir.Model, cut: Sequence[TensorSpec]) -> ir.Model:
    """A copy of the tail that begins with its float cut values.

    Raises:
        GraphError: A cut value is not in the graph.
    """
    tail = tail.clone()
    values, wires = _values(tail), _wire_names(cut)
    given = [value for value in tail.graph.inputs if value.name not in wires]
    inputs = []
    for spec in cut:
        restored = _find(values, spec)
        feature = ir.Value(shape=restored.shape, type=restored.type)
        ir.convenience.replace_all_uses_with(restored, feature, replace_graph_outputs=True)
        restored.name, feature.name = None, spec.name
        inputs.append(feature)
    tail.graph.inputs[:] = [*inputs, *given]
    common.RemoveUnusedNodesPass()(tail)
    return tail


def _wire_names(cut: Sequence[TensorSpec]) -> set[str]:
    """Names of what crosses, with quantizers in the graphs or without."""
    names = {spec.name for spec in cut}
    return names | {make(name) for name in names for make in (symbols_name, side_name)}


def _values(model: ir.Model) -> dict[str | None, ir.Value]:
    made = {value.name: value for node in model.graph for value in node.outputs}
    return made | {value.name: value for value in model.graph.inputs}


def _find(values: dict[str | None, ir.Value], spec: TensorSpec) -> ir.Value:
    if spec.name not in values:
        raise GraphError(
            f"cut value {spec.name!r} is not in the bundle's graph; the bundle is not one that splitc built."
        )
    return values[spec.name]
