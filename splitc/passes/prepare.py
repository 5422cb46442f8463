"""What a build does to a model before it cuts it."""

from __future__ import annotations

import onnx_ir as ir

from splitc import graph
from splitc.passes.base import PassResult
from splitc.passes.raise_opset import RaiseOpset
from splitc.passes.simplify import Simplify


def prepare(model: ir.Model, *, in_graph: bool) -> PassResult:
    """The model without what no engine needs, and in an opset that the codec can join; checked after each pass.

    Args:
        model: As loaded; left unchanged.
        in_graph: Whether the codec's quantizers will be part of the graphs.

    Raises:
        GraphError: A pass left an unsound graph, or the opset cannot be raised.
    """
    result, notes = PassResult(model, False), list[str]()
    for step in (Simplify(), RaiseOpset()) if in_graph else (Simplify(),):
        result = step(result.model)
        graph.verify(result.model, f"the model after {step.name}")
        notes += result.notes
    return PassResult(result.model, bool(notes), tuple(notes))
