"""Dimensions that ONNX shape inference leaves open although the graph determines them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import onnx_ir as ir

from splitc.graph.values.tensors import dims_of
from splitc.types import Dim, Shape

GENERATED = "unk__"
"""How ONNX shape inference calls a dimension that it cannot tell."""


def fill_gaps(graph: ir.Graph) -> dict[ir.Value, ir.Shape]:
    """Complete output shapes of Pad and Reshape nodes in place.

    Pad: an axis without padding keeps its dynamic size. Reshape: one open dimension follows from the number of
    elements when all dynamic dimensions of the input reappear.

    Returns:
        The values learned, with their new shapes.
    """
    learned = {}
    for node in graph:
        if node.domain != "" or node.op_type not in ("Pad", "Reshape") or node.inputs[0] is None:
            continue
        source, output = dims_of(node.inputs[0]), node.outputs[0]
        old = dims_of(output)
        new = _padded(node, source) if node.op_type == "Pad" else _reshaped(source, old)
        if new is not None and old != new and (old is None or any(map(is_open, old))):
            output.shape = ir.Shape(new)
            learned[output] = output.shape
    return learned


def is_open(dim: Dim) -> bool:
    """Whether a dimension has only a generated name."""
    return isinstance(dim, str) and dim.startswith(GENERATED)


def _padded(node: ir.Node, source: Shape | None) -> Shape | None:
    pads = _pads(node)
    if source is None or pads is None or len(pads) != 2 * len(source):
        return None
    added = [before + after for before, after in zip(pads, pads[len(source) :], strict=False)]
    if any(isinstance(dim, str) and extra for dim, extra in zip(source, added, strict=True)):
        return None
    return tuple(dim if isinstance(dim, str) else dim + extra for dim, extra in zip(source, added, strict=True))


def _pads(node: ir.Node) -> Sequence[int] | None:
    if "pads" in node.attributes:
        return node.attributes.get_ints("pads", None)
    tensor = node.inputs[1].const_value if len(node.inputs) > 1 and node.inputs[1] is not None else None
    has_axes = len(node.inputs) > 3 and node.inputs[3] is not None
    return None if tensor is None or has_axes else [int(number) for number in tensor.numpy()]


def _reshaped(source: Shape | None, target: Shape | None) -> Shape | None:
    if source is None or target is None or sum(map(is_open, target)) != 1:
        return None
    before = Counter(dim for dim in source if isinstance(dim, str))
    after = Counter(dim for dim in target if isinstance(dim, str) and not is_open(dim))
    elements = math.prod(dim for dim in source if isinstance(dim, int))
    known = math.prod(dim for dim in target if isinstance(dim, int))
    if before != after or known == 0 or elements % known:
        return None
    return tuple(elements // known if is_open(dim) else dim for dim in target)
