"""Dimensions that ONNX shape inference leaves unknown although the graph determines them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from splitc.graph.values.tensors import dims_of
from splitc.types import Dim, Shape, factors_of

GENERATED = "unk__"
"""How ONNX shape inference calls a dimension that it cannot tell."""


def fill_gaps(graph: ir.Graph) -> dict[ir.Value, ir.Shape]:
    """Complete output shapes in place, of Concat, Conv, Pad and Reshape nodes and of what shares their open dimensions.

    Concat: along the other axes all inputs are of one size. Conv: one that pads as much as it takes keeps a dynamic
    size. Pad: an axis without padding keeps its dynamic size. Reshape: one open dimension follows from the number of
    elements; it may be a multiple of a dynamic one, ``4*N``. What an open dimension turns out to be, it is everywhere:
    inference gives no name to two unknowns.

    Returns:
        The values learned, with their new shapes.
    """
    learned: dict[ir.Value, ir.Shape] = {}
    same: dict[str, Dim] = {}
    for node in graph:
        for value in node.outputs:
            _rename(value, same, learned)
        if node.domain != "" or node.op_type not in FILLERS or node.inputs[0] is None:
            continue
        output = node.outputs[0]
        old = dims_of(output)
        new = FILLERS[node.op_type](node, dims_of(node.inputs[0]), old)
        if new is None or old == new or not (old is None or any(map(is_open, old))):
            continue
        output.shape = learned[output] = ir.Shape(new)
        same |= {one: other for one, other in zip(old or (), new, strict=False) if is_open(one) and not is_open(other)}  # type: ignore[misc]
    return learned


def _rename(value: ir.Value, same: Mapping[str, Dim], learned: dict[ir.Value, ir.Shape]) -> None:
    """Give a value the sizes that its open dimensions turned out to be."""
    dims = dims_of(value) or ()
    known = tuple(same.get(dim, dim) if isinstance(dim, str) else dim for dim in dims)
    if known != dims:
        value.shape = learned[value] = ir.Shape(known)


def is_open(dim: Dim) -> bool:
    """Whether a dimension has only a generated name."""
    return isinstance(dim, str) and dim.startswith(GENERATED)


def _joined(node: ir.Node, source: Shape | None, target: Shape | None) -> Shape | None:
    """Of a Concat."""
    if source is None or target is None:
        return None
    axis = node.attributes.get_int("axis", 0) % len(target)
    every = [shape for value in node.inputs if value is not None and (shape := dims_of(value)) is not None]
    if any(len(shape) != len(target) for shape in every):
        return None
    told = [next((shape[at] for shape in every if not is_open(shape[at])), dim) for at, dim in enumerate(target)]
    return tuple(dim if at == axis or not is_open(dim) else told[at] for at, dim in enumerate(target))


def _convolved(node: ir.Node, source: Shape | None, target: Shape | None) -> Shape | None:
    """Of a Conv with weights of known size and padding that is spelled."""
    kernel = dims_of(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else None
    if source is None or target is None or kernel is None or len(source) != len(target):
        return None
    spatial = len(source) - 2
    ones = [1] * spatial
    strides, dilations = node.attributes.get_ints("strides", ones), node.attributes.get_ints("dilations", ones)
    pads = node.attributes.get_ints("pads", [0] * 2 * spatial)
    if node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET" or len(pads) != 2 * spatial:
        return None
    sizes = list(target)
    for at, (stride, dilation) in enumerate(zip(strides, dilations, strict=True)):
        taps = kernel[2 + at]
        keeps = isinstance(taps, int) and stride == 1 and pads[at] + pads[at + spatial] == dilation * (taps - 1)
        sizes[2 + at] = source[2 + at] if keeps and is_open(sizes[2 + at]) else sizes[2 + at]
    return tuple(sizes)


def _padded(node: ir.Node, source: Shape | None, target: Shape | None) -> Shape | None:
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


def _reshaped(node: ir.Node, source: Shape | None, target: Shape | None) -> Shape | None:
    if source is None or target is None or sum(map(is_open, target)) != 1 or any(map(is_open, source)):
        return None
    elements, before = _product(source)
    known, after = _product([dim for dim in target if not is_open(dim)])
    if known == 0 or elements % known or after - before:
        return None
    rest = list((before - after).elements())
    if len(rest) > 1:
        return None
    count = elements // known
    missing: Dim = count if not rest else rest[0] if count == 1 else f"{count}*{rest[0]}"
    return tuple(missing if is_open(dim) else dim for dim in target)


def _product(dims: Sequence[Dim]) -> tuple[int, Counter[str]]:
    """Number of elements: a number, and how often it is multiplied by each dynamic dimension; ``4*N`` is both."""
    factor, symbols = 1, Counter[str]()
    for number, name in map(factors_of, dims):
        factor *= number
        symbols.update([name] if name is not None else [])
    return factor, symbols


FILLERS: Mapping[str, Callable[[ir.Node, Shape | None, Shape | None], Shape | None]] = {
    "Concat": _joined,
    "Conv": _convolved,
    "Pad": _padded,
    "Reshape": _reshaped,
}
"""Operator -> its output's shape from those of its first input and of its output as far as it is known."""
