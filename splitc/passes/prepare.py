"""What a build does to a model before it cuts it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from splitc.passes.base import Pass, PassResult, apply_all
from splitc.passes.raise_opset import RaiseOpset
from splitc.passes.simplify import Simplify


def prepare(model: ir.Model, *, in_graph: bool) -> PassResult:
    """The model without what no engine needs, and in an opset that the codec can join; checked after each pass.

    Args:
        model: As loaded; left unchanged.
        in_graph: Whether the codec's quantizers will be part of the graphs.

    Raises:
        GraphError: The opset cannot be raised.
        OwnFault: A pass left an unsound graph.
    """
    return apply_all(prepare_steps(in_graph=in_graph), model)


def prepare_steps(*, in_graph: bool) -> Sequence[Pass]:
    """The passes of :func:`prepare`, in order."""
    return (Simplify(), RaiseOpset()) if in_graph else (Simplify(),)
