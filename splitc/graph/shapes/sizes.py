"""Vectors that hold nothing but sizes: which dimensions they list, whichever operators put them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from splitc.graph.values.tensors import dims_of
from splitc.types import Dim

MOST_DIMS = 64
"""Longer constants are no shapes."""

Dims = tuple[Dim, ...]


@dataclass(frozen=True)
class Sizes:
    """The dimensions that an int64 vector lists, or whose product an int64 scalar is."""

    dims: Dims
    is_product: bool = False


Found = Mapping[ir.Value, Dims]


def known_sizes(node: ir.Node, found: Found) -> Sizes | None:
    """What is in the one output of ``node``; None when it is something else or not known.

    Args:
        node: One of the top graph.
        found: Vectors among the outputs of the nodes before it.
    """
    rule = _RULES.get(node.op_type) if node.domain == "" else None
    return None if rule is None else rule(node, found)


def _of_shape(node: ir.Node, found: Found) -> Sizes | None:
    dims = _dims(node.inputs[0])
    if dims is None:
        return None
    return Sizes(dims[node.attributes.get_int("start", 0) : node.attributes.get_int("end", None)])


def _of_size(node: ir.Node, found: Found) -> Sizes | None:
    dims = _dims(node.inputs[0])
    return None if dims is None else Sizes(dims, is_product=True)


def _of_product(node: ir.Node, found: Found) -> Sizes | None:
    source = node.inputs[0]
    dims = None if source is None else found.get(source)
    keeps_rank = node.attributes.get_int("keepdims", 1) != 0
    if dims is None or len(node.inputs) > 1 or "axes" in node.attributes or keeps_rank:
        return None
    return Sizes(dims, is_product=True)


def _of_gather(node: ir.Node, found: Found) -> Sizes | None:
    vector, places = (_vector(value, found) for value in node.inputs)
    if vector is None or places is None:
        return None
    numbers = [place for place in places if isinstance(place, int) and -len(vector) <= place < len(vector)]
    return Sizes(tuple(vector[number] for number in numbers)) if len(numbers) == len(places) else None


def _of_concat(node: ir.Node, found: Found) -> Sizes | None:
    parts = [_vector(value, found) for value in node.inputs]
    known = [part for part in parts if part is not None]
    return Sizes(tuple(dim for part in known for dim in part)) if len(known) == len(parts) else None


def _dims(value: ir.Value | None) -> Dims | None:
    """Of a value with a name, after which its nameless dimensions are called."""
    return dims_of(value) if value is not None and value.name else None


def _vector(value: ir.Value | None, found: Found) -> Dims | None:
    """The dimensions, or the numbers of a short constant."""
    if value is None:
        return None
    tensor = value.const_value if value.is_initializer() else None
    if tensor is None:
        return found.get(value)
    if tensor.dtype != ir.DataType.INT64 or len(tensor.shape) != 1 or tensor.size > MOST_DIMS:
        return None
    return tuple(int(number) for number in tensor.numpy())


_RULES: dict[str, Callable[[ir.Node, Found], Sizes | None]] = {
    "Shape": _of_shape,
    "Size": _of_size,
    "ReduceProd": _of_product,
    "Gather": _of_gather,
    "Concat": _of_concat,
}
