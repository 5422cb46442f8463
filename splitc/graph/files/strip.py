"""Remove what exporters leave in a model and no engine reads: comments, source paths, stack traces, dates."""

from __future__ import annotations

import onnx_ir as ir


def strip(model: ir.Model) -> ir.Model:
    """Clear doc strings and metadata of the model, its graphs, nodes and values, in place."""
    model.doc_string = None
    model.metadata_props.clear()
    for graph in model.graphs():
        graph.doc_string = None
        graph.metadata_props.clear()
        for value in (*graph.inputs, *graph.initializers.values()):
            _strip_value(value)
        for node in graph:
            node.doc_string = None
            node.metadata_props.clear()
            for value in node.outputs:
                _strip_value(value)
    return model


def has_comments(model: ir.Model) -> bool:
    """Whether ``strip`` would change anything."""
    for graph in model.graphs():
        values = [*graph.inputs, *graph.initializers.values(), *(value for node in graph for value in node.outputs)]
        holders = [graph, *graph, *values]
        if any(holder.doc_string or holder.metadata_props for holder in holders):
            return True
    return bool(model.doc_string or model.metadata_props)


def _strip_value(value: ir.Value) -> None:
    value.doc_string = None
    value.metadata_props.clear()
