"""Shapes as exporters declare them: sizes that are none, names that are none."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from splitc.graph.values.tensors import dims_of
from splitc.types import NO_DIM_NAMES


def open_odd_dims(model: ir.Model) -> None:
    """Make dimensions that declare no size dynamic, in place: of inputs, of outputs and of what inference noted.

    Paddle and TensorFlow write -1, or 0, for a size that is not known, and ``?`` or ``None`` for every such name: two
    axes of one of these names need not be equal. ONNX Runtime takes them for any size. The data inputs' get names, so
    that inference tells where in the graph they are again.
    """
    for graph in model.graphs():
        for value in _declared(graph):
            if value.shape is not None and any(_is_odd(dim) for dim in value.shape):
                value.shape = ir.Shape([None if _is_odd(dim) else dim for dim in value.shape])
    for value in model.graph.inputs:
        if value.shape is not None and not value.shape.is_static():
            value.shape = ir.Shape(dims_of(value) or ())


def _declared(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from graph.outputs
    for node in graph:
        yield from node.outputs


def _is_odd(dim: int | ir.SymbolicDim) -> bool:
    return dim <= 0 if isinstance(dim, int) else dim.value in NO_DIM_NAMES
