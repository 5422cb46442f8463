"""Remove what no engine needs, without changing one bit of any output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir
import onnx_ir.passes.common as common

from splitc.graph import fix_names, has_comments, strip
from splitc.passes.base import PassResult

DEDUPLICATE_BYTES = 1 << 20
"""Larger initializers are compared by nobody: reading them costs more than the rare twin saves."""


@dataclass(frozen=True)
class Simplify:
    """Numerically neutral clean-up, in this order:

    1. local functions are inlined;
    2. Constant nodes become initializers;
    3. unused nodes, outputs, initializers and operator sets are removed;
    4. Identity and inference-time Dropout are removed, equal initializers merged;
    5. comments and metadata go (exporters leave source paths there);
    6. nodes without a name get one from their operator and order.

    Outputs on ONNX Runtime with optimizations off stay equal bit for bit. Nothing is folded or fused.
    """

    name: ClassVar[str] = "simplify"

    def __call__(self, model: ir.Model) -> PassResult:
        """Simplify a copy of ``model``; weights are shared."""
        copy = model.clone()
        notes = [note for step in _STEPS if (note := step(copy))]
        return PassResult(copy, bool(notes), tuple(notes))


def _inline(model: ir.Model) -> str:
    count = len(model.functions)
    if count:
        common.InlinePass()(model)
    return f"inlined {count} local functions" if count else ""


def _lift_constants(model: ir.Model) -> str:
    before = _operators(model)["Constant"]
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    count = before - _operators(model)["Constant"]
    return f"lifted {count} constants to initializers" if count else ""


def _remove_unused(model: ir.Model) -> str:
    before = _parts(model)
    common.RemoveUnusedNodesPass()(model)
    common.RemoveUnusedOpsetsPass()(model)
    count = before - _parts(model)
    return f"removed {count} unused nodes, outputs, initializers and operator sets" if count else ""


def _remove_identity(model: ir.Model) -> str:
    before = _operators(model)["Identity"]
    dropped = sum(_bypass_dropout(node) for graph in model.graphs() for node in graph if node.op_type == "Dropout")
    for graph in model.graphs():
        for node in list(graph):
            _bypass_identity(node)
    count = before + dropped - _operators(model)["Identity"]
    return f"removed {count} Identity and Dropout nodes" if count else ""


def _deduplicate(model: ir.Model) -> str:
    before = sum(len(graph.initializers) for graph in model.graphs())
    common.DeduplicateInitializersPass(size_limit=DEDUPLICATE_BYTES // 4)(model)
    count = before - sum(len(graph.initializers) for graph in model.graphs())
    return f"merged {count} equal initializers" if count else ""


def _strip(model: ir.Model) -> str:
    commented = has_comments(model)
    strip(model)
    return "removed comments and metadata" if commented else ""


def _name(model: ir.Model) -> str:
    return "named nodes and values that had no name of their own" if fix_names(model) else ""


_STEPS: tuple[Callable[[ir.Model], str], ...] = (
    _inline,
    _lift_constants,
    _remove_unused,
    _remove_identity,
    _deduplicate,
    _strip,
    _name,
)


def _operators(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for graph in model.graphs() for node in graph)


def _parts(model: ir.Model) -> int:
    """Number of parts that may be removed; it falls whenever one is."""
    nodes = [node for graph in model.graphs() for node in graph]
    outputs = sum(bool(value.name) for node in nodes for value in node.outputs)
    initializers = sum(len(graph.initializers) for graph in model.graphs())
    return len(nodes) + outputs + initializers + len(model.opset_imports)


def _bypass_dropout(node: ir.Node) -> bool:
    """Turn an inference-time Dropout with an unused mask into an Identity, which the next step removes."""
    training = node.inputs[2] if len(node.inputs) > 2 else None
    constant = None if training is None else training.const_value
    is_inference = training is None or (constant is not None and not constant.numpy().any())
    mask_used = any(value.uses() or value.is_graph_output() for value in node.outputs[1:])
    if node.domain != "" or not is_inference or mask_used or node.graph is None or node.inputs[0] is None:
        return False
    identity = ir.node("Identity", [node.inputs[0]], name=node.name)
    output, old = identity.outputs[0], node.outputs[0]
    output.name, output.shape, output.type = old.name, old.shape, old.type
    node.graph.insert_before(node, identity)
    ir.convenience.replace_all_uses_with(old, output, replace_graph_outputs=True)
    node.graph.remove(node, safe=True)
    return True


def _bypass_identity(node: ir.Node) -> None:
    """Remove an Identity, unless its graph returns by it what is no result of that graph, or returns that already."""
    value = node.inputs[0] if node.op_type == "Identity" and node.domain == "" else None
    if value is None or node.graph is None:
        return
    result, maker = node.outputs[0], value.producer()
    is_returned = result.is_graph_output()
    if is_returned and (maker is None or maker.graph is not node.graph or value.is_graph_output()):
        return
    value.shape = value.shape if value.shape is not None else result.shape
    value.type = value.type if value.type is not None else result.type
    ir.convenience.replace_all_uses_with(result, value, replace_graph_outputs=True)
    if is_returned:
        value.name = result.name
    node.graph.remove(node, safe=True)
