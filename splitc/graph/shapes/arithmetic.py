"""Fold constant shape arithmetic, for shape inference only: the model that runs is never folded."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from splitc.graph.values.flow import is_shape
from splitc.types import Array

MAX_ELEMENTS = 1024
"""Shapes, pads, slices and scales are short; weights are not, and must not be read."""
UNKNOWN_SIZE = np.iinfo(np.int64).min
"""Stands for a dynamic size among known ones."""
# fmt: off
FOLDABLE = frozenset({
    "Add", "Cast", "Ceil", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Floor", "Gather",
    "Identity", "Max", "Min", "Mod", "Mul", "Neg", "ReduceProd", "Reshape", "Slice", "Sqrt", "Squeeze", "Sub",
    "Transpose", "Unsqueeze", "Where",
})
# fmt: on


def can_fold(graph: ir.Graph) -> bool:
    """Whether any node might be replaced: one of shapes, or one that reads nothing but small constants."""
    constants = {value for value in graph.initializers.values() if _small(value.const_value) is not None}
    return any(
        is_shape(node) or node.op_type == "Constant" or (node.op_type in FOLDABLE and constants.issuperset(node.inputs))
        for node in graph
    )


def fold_shape_arithmetic(model: ir.Model) -> bool:
    """Replace small constant nodes of the top graph, and Shape of a static shape, by initializers.

    Returns:
        Whether anything was replaced.
    """
    graph = model.graph
    known = {value: _small(value.const_value) for value in graph.initializers.values()}
    folded = False
    for node in list(graph):
        if len(node.outputs) != 1 or node.outputs[0].is_graph_output():
            continue
        result = _evaluate(node, known, model.opset_imports.get("", 1))
        if result is None:
            continue
        _replace(graph, node, result, known)
        folded = folded or node.op_type != "Constant"
    return folded


def _evaluate(node: ir.Node, known: dict[ir.Value, Array | None], opset: int) -> Array | None:
    if is_shape(node):
        return _static_shape(node)
    if node.domain != "" or node.op_type not in FOLDABLE:
        return None
    if node.op_type in ("Gather", "Slice"):
        known = known | _partly_known(node)
    feeds = [known.get(value) for value in node.inputs if value is not None]
    arrays = [array for array in feeds if array is not None]
    if len(arrays) != len(feeds) or (node.op_type == "ConstantOfShape" and np.prod(arrays[0]) > MAX_ELEMENTS):
        return None
    if node.op_type == "Constant":
        return _small(ir.convenience.get_const_tensor(node.outputs[0]))
    try:
        result = _run(node, arrays, opset)
    except Exception:  # the reference evaluator raises anything on odd nodes; those stay unfolded
        return None
    is_open = result is not None and result.dtype == np.int64 and (result == UNKNOWN_SIZE).any()
    return None if is_open else result


def _run(node: ir.Node, arrays: list[Array], opset: int) -> Array | None:
    names = [value.name or "" for value in node.inputs if value is not None]
    graph = onnx.helper.make_graph(
        [ir.to_proto(node)],
        "fold",
        [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names)],
        [onnx.ValueInfoProto(name=node.outputs[0].name or "")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    result = np.asarray(ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))[0])
    return result if result.size <= MAX_ELEMENTS else None


def _static_shape(node: ir.Node) -> Array | None:
    source = node.inputs[0]
    if source is None or source.shape is None or not source.shape.is_static():
        return None
    start = node.attributes.get_int("start", 0)
    end = node.attributes.get_int("end", None)
    dims = np.array(source.shape.numpy()[start:end], dtype=np.int64)
    return np.array(dims.prod()) if node.op_type == "Size" else dims


def _partly_known(node: ir.Node) -> dict[ir.Value, Array | None]:
    """The sizes that a node picks from, where its data input is a whole Shape; open ones are no size."""
    value = node.inputs[0]
    shape = value.producer() if value is not None else None
    source = shape.inputs[0] if shape is not None and shape.op_type == "Shape" and not shape.attributes else None
    if value is None or source is None or source.shape is None:
        return {}
    sizes = [dim if isinstance(dim, int) else UNKNOWN_SIZE for dim in source.shape]
    return {value: np.array(sizes, np.int64)}


def _small(tensor: ir.TensorProtocol | None) -> Array | None:
    if tensor is None or tensor.size > MAX_ELEMENTS or isinstance(tensor, ir.ExternalTensor):
        return None
    if tensor.dtype == ir.DataType.STRING:
        return None
    return tensor.numpy()


def _replace(graph: ir.Graph, node: ir.Node, result: Array, known: dict[ir.Value, Array | None]) -> None:
    old = node.outputs[0]
    tensor = ir.tensor(result, name=old.name)
    constant = ir.Value(
        name=old.name, shape=ir.Shape(result.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    old.replace_all_uses_with(constant)
    graph.remove(node, safe=True)
    graph.register_initializer(constant)
    known[constant] = result
