"""Sizes behind a Resize by a factor: ONNX Runtime multiplies in float32, ONNX's inference in float64.

10 * 0.7 is 7 in float32. As float32 holds 0.7 it is a little less, and 6.9999999 in float64, which is cut off to 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from splitc.types import F32

_OPERAND: Mapping[tuple[str, int], int] = {("Resize", 2): 1, ("Resize", 3): 2, ("Resize", 4): 2, ("Upsample", 2): 1}
"""Operator and its number of operands -> which of them are the factors."""


def has_scales(graph: onnx.GraphProto) -> bool:
    """Whether a node of the top graph resizes by factors."""
    return any(map(_operand, graph.node))


def contradicted_scales(given: onnx.GraphProto, inferred: onnx.GraphProto) -> dict[int, bytes]:
    """Resize nodes of the top graph whose inferred sizes are not those that are run.

    Factors that are computed are not known; nor is what a crop does.

    Args:
        given: The graph.
        inferred: The same with inferred shapes.

    Returns:
        Position of a node -> factors with which inference finds the sizes that are run, float32 as bytes.
    """
    sizes = {info.name: _sizes(info) for info in (*inferred.input, *inferred.value_info, *inferred.output)}
    constants = _constants(given, {_operand(node) for node in given.node} - {""})
    found: dict[int, bytes] = {}
    for at, node in enumerate(given.node):
        scales, dims = constants.get(_operand(node)), sizes.get(node.input[0] if node.input else "")
        if scales is None or not dims:
            continue
        settled = _settled(scales, [dims[axis] for axis in _axes(node, len(dims))])
        if not np.array_equal(settled, scales):
            found[at] = settled.tobytes()
    return found


def set_scales(graph: onnx.GraphProto, found: Mapping[int, bytes]) -> None:
    """Give nodes other factors, in place: for inference, never for a graph that is run."""
    for at, factors in found.items():
        node = graph.node[at]
        name = f"{node.output[0]}\0scales"  # no model can have such a name
        node.input[_OPERAND[node.op_type, len(node.input)]] = name
        graph.initializer.append(numpy_helper.from_array(np.frombuffer(factors, np.float32), name))


def _settled(scales: F32, sizes: Sequence[int]) -> F32:
    """Factors that give in float64 the sizes that ``scales`` give in float32; a size of 0 is not known."""
    known = np.array(sizes, np.int64)
    run = np.floor(scales * known.astype(np.float32))
    differs = (known > 0) & (run != np.floor(scales.astype(np.float64) * known))
    return np.where(differs, (run + 0.5) / np.maximum(known, 1), scales).astype(np.float32)


def _operand(node: onnx.NodeProto) -> str:
    """The name of the factors; "" where there are none, or more than factors decides."""
    at = _OPERAND.get((node.op_type, len(node.input)), 0) if node.domain in ("", "ai.onnx") else 0
    crops = any(one.name == "coordinate_transformation_mode" and b"crop" in one.s for one in node.attribute)
    return "" if crops or not at else str(node.input[at])


def _axes(node: onnx.NodeProto, rank: int) -> Sequence[int]:
    """The axes that the factors are of."""
    given = next((one.ints for one in node.attribute if one.name == "axes"), range(rank))
    return [axis % rank for axis in given]


def _sizes(info: onnx.ValueInfoProto) -> Sequence[int]:
    """0 for a dimension that has no fixed size."""
    return [dim.dim_value for dim in info.type.tensor_type.shape.dim]


def _constants(graph: onnx.GraphProto, names: set[str]) -> dict[str, F32]:
    """Initializers and Constant nodes of these names, as far as they are float32 and held in the model."""
    tensors = {one.name: one for one in graph.initializer if one.name in names}
    for node in graph.node:
        if (
            node.op_type == "Constant"
            and node.output[0] in names
            and node.attribute[0].name in ("value", "value_floats")
        ):
            one = node.attribute[0]
            is_list = one.name == "value_floats"
            tensors[node.output[0]] = numpy_helper.from_array(np.array(one.floats, np.float32)) if is_list else one.t
    return {
        name: numpy_helper.to_array(one)
        for name, one in tensors.items()
        if one.data_type == onnx.TensorProto.FLOAT and one.data_location != onnx.TensorProto.EXTERNAL
    }
