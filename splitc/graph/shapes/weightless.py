"""ONNX's own shape inference on a model without its weights, written back value by value.

onnx-ir's pass reads the whole inferred model into a second graph: at 100,000 nodes that is most of the time and half of
the memory of loading. Here only names, types and shapes come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import onnx
import onnx_ir as ir

from splitc.graph.shapes.scales import contradicted_scales, has_scales, set_scales
from splitc.graph.values.flow import subgraphs

MOST_RESIZES = 16
"""In a row; behind more of them, sizes stay what ONNX infers."""
READ_BYTES = 1000
"""Initializers up to this size are shown to the inference, which reads shapes, axes and pads from them."""


def infer_once(model: ir.Model) -> bool:
    """Write what ONNX infers into the values of ``model``; unchanged when it gives up.

    Returns:
        Whether it agrees with what the model declares, and knows every operator.
    """
    for is_strict in (True, False):
        try:
            inferred = _as_run(_serialized(model), is_strict=is_strict)
        except Exception:  # odd types and shapes raise a dozen unrelated errors; shapes then stay unknown
            continue
        _write_back(model.graph, inferred.graph)
        return is_strict
    return False


def contradicted(model: ir.Model) -> list[ir.Value]:
    """The results of nodes of the top graph that have another shape than they declare; ``model`` is unchanged."""
    proto = onnx.ModelProto.FromString(_serialized(model))
    del proto.graph.value_info[:]
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        inferred = _as_run(bytes(proto.SerializeToString()), is_strict=False).graph
    except Exception:  # as above
        return []
    known = {info.name: info.type.tensor_type for info in (*inferred.value_info, *inferred.output)}
    values = (value for node in model.graph for value in node.outputs if value.name in known)
    return [value for value in values if _contradicts(value.shape, known[value.name or ""])]


def _contradicts(declared: ir.Shape | None, found: onnx.TypeProto.Tensor) -> bool:
    if declared is None or not found.HasField("shape"):
        return False
    dims = [dim.dim_value for dim in found.shape.dim]
    if len(dims) != len(declared):
        return True
    return any(isinstance(one, int) and other and one != other for one, other in zip(declared, dims, strict=True))


def _serialized(model: ir.Model) -> bytes:
    with _weightless(model):
        return bytes(ir.to_proto(model).SerializeToString())


def _as_run(model: bytes, *, is_strict: bool) -> onnx.ModelProto:
    """Inferred again while a Resize has other sizes than those that are run; each round settles one more in a row."""
    inferred = _inferred(model, is_strict=is_strict)
    if not has_scales(inferred.graph):
        return inferred
    given, settled = onnx.ModelProto.FromString(model), dict[int, bytes]()
    for _ in range(MOST_RESIZES):
        found = contradicted_scales(given.graph, inferred.graph)
        if found == settled:
            break
        settled, proto = found, onnx.ModelProto.FromString(model)
        set_scales(proto.graph, found)
        inferred = _inferred(bytes(proto.SerializeToString()), is_strict=is_strict)
    return inferred


def _inferred(model: bytes, *, is_strict: bool) -> onnx.ModelProto:
    found = onnx.shape_inference.infer_shapes(model, check_type=is_strict, strict_mode=is_strict, data_prop=True)
    assert isinstance(found, onnx.ModelProto)
    return found


@contextmanager
def _weightless(model: ir.Model) -> Iterator[None]:
    """Inside the block, weights are references to data that are never read."""
    held = [value for graph in model.graphs() for value in graph.initializers.values()]
    tensors = [value.const_value for value in held]
    try:
        for value, tensor in zip(held, tensors, strict=True):
            if tensor is not None and tensor.dtype != ir.DataType.STRING and tensor.nbytes > READ_BYTES:
                value.const_value = _reference(value.name or "", tensor)
        yield
    finally:
        for value, tensor in zip(held, tensors, strict=True):
            value.const_value = tensor


def _reference(name: str, tensor: ir.TensorProtocol) -> ir.ExternalTensor:
    shape = ir.Shape([int(size) for size in tensor.shape.numpy()])
    return ir.ExternalTensor("weights", 0, tensor.nbytes, tensor.dtype, shape=shape, name=name)


def _write_back(graph: ir.Graph, inferred: onnx.GraphProto) -> None:
    known = {info.name: info.type for info in (*inferred.value_info, *inferred.output)}
    for value in graph.inputs:
        _learn(value, known)
    for node in graph:
        for value in node.outputs:
            _learn(value, known)
    if not any(True for node in graph for _ in subgraphs(node)):
        return
    for node, proto in zip(graph, inferred.node, strict=True):
        bodies = (body for one in proto.attribute for body in ([one.g] if one.HasField("g") else one.graphs))
        for inner, body in zip(subgraphs(node), bodies, strict=True):
            _write_back(inner, body)


def _learn(value: ir.Value, known: dict[str, onnx.TypeProto]) -> None:
    found = known.get(value.name or "")
    if found is None:
        return
    if found.WhichOneof("value") != "tensor_type":
        value.type = ir.serde.deserialize_type_proto_for_type(found) or value.type
        return
    tensor = found.tensor_type
    if tensor.elem_type and (value.type is None or value.dtype != tensor.elem_type):
        value.type = ir.TensorType(ir.DataType(tensor.elem_type))
    if tensor.HasField("shape"):
        dims = [dim.dim_value if dim.HasField("dim_value") else _symbol(dim.dim_param) for dim in tensor.shape.dim]
        if value.shape is None or value.shape != dims:
            value.shape = ir.Shape(dims)


@lru_cache(maxsize=1024)
def _symbol(name: str) -> ir.SymbolicDim:
    """The same object for the same name: most of 100,000 values have the same batch."""
    return ir.SymbolicDim(name or None)
