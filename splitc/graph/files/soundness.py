"""Faults inside a parsed model that protobuf accepts but later steps would fail on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import onnx
import onnx_ir as ir


def refuse_damage(model: ir.Model) -> None:
    """Look at every name and every tensor held in the file itself; external data is not read.

    Raises:
        ValueError: A name that is not text, a node with fewer inputs than its operator takes, an attribute without
            a type or outside its function, or a tensor whose data does not fit its shape. onnx-ir raises others of its
            own on tensors, for the caller to catch.
    """
    for graph in model.graphs():
        for value in (*graph.inputs, *graph.initializers.values(), *graph.outputs):
            _refuse_odd_name(value.name)
        for tensor in _tensors(graph):
            if not isinstance(tensor, ir.ExternalTensor) and tensor.numpy().size != tensor.size:
                raise ValueError(f"tensor {tensor.name!r} has {tensor.numpy().size} elements for {tensor.shape}")
        for node in graph:
            _refuse_few_inputs(node, model.opset_imports.get("", 1))
            for name in (node.op_type, node.domain, node.name or "", *(value.name for value in node.outputs)):
                _refuse_odd_name(name)
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for attribute in node.attributes.values():
            if attribute.is_ref():
                raise ValueError(
                    f"attribute {attribute.name!r} of node {node.name!r} is that of a function, and the node is in none"
                )
            _refuse_other_type(node, attribute, model.opset_imports.get("", 1))


def refuse_double_names(model: onnx.ModelProto) -> None:
    """Raises: ValueError: a name stands for two values, of which runtimes take this one or that."""
    for graph in graphs_of_proto(model.graph):
        names = Counter(tensor.name for tensor in graph.initializer)
        names.update(tensor.values.name for tensor in graph.sparse_initializer)
        double = next((name for name, count in names.items() if count > 1), None)
        if double is not None:
            raise ValueError(f"{names[double]} initializers are called {double!r}")
        taken = names.keys() | {value.name for value in graph.input}
        for node in graph.node:
            for name in filter(None, node.output):
                if name in taken:
                    raise ValueError(f"two values are called {name!r}, and node {node.op_type} {node.name!r} makes one")
                taken.add(name)


def graphs_of_proto(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and every body in it."""
    yield graph
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        bodies = [attribute.g] if attribute.HasField("g") else []
        for body in (*bodies, *attribute.graphs):
            yield from graphs_of_proto(body)


def odd_external_field(path: Path) -> str | None:
    """Which tensor of an unreadable model has an external offset or length that is no size, or None."""
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:  # not even protobuf; the first error says so
        return None
    fields = (
        f"tensor {tensor.name!r}: external {entry.key} is {entry.value[:40]!r}, not a number of bytes"
        for tensor in _tensors_of_proto(model.graph)
        for entry in tensor.external_data
        if entry.key in ("offset", "length") and not (entry.value.isascii() and entry.value.isdigit())
    )
    return next(fields, None)


def _tensors_of_proto(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    for one in graphs_of_proto(graph):
        yield from one.initializer
        for attribute in (attribute for node in one.node for attribute in node.attribute):
            yield from (attribute.t, *attribute.tensors)


def _refuse_few_inputs(node: ir.Node, opset: int) -> None:
    if node.domain == "" and len(node.inputs) < _least_inputs(node.op_type, opset):
        raise ValueError(f"node {node.op_type} {node.name or ''!r} has only {len(node.inputs)} inputs")


@lru_cache(maxsize=1024)
def _least_inputs(op_type: str, opset: int) -> int:
    """0 for operators that this onnx does not know."""
    if not onnx.defs.has(op_type, max_inclusive_version=opset):
        return 0
    return int(onnx.defs.get_schema(op_type, opset).min_input)


def _refuse_other_type(node: ir.Node, attribute: ir.Attr, opset: int) -> None:
    wanted = _attribute_types(node.op_type, opset).get(attribute.name) if node.domain == "" else None
    if wanted is not None and wanted != int(attribute.type):
        raise ValueError(f"attribute {attribute.name!r} of node {node.op_type} {node.name or ''!r} is {attribute.type}")


@lru_cache(maxsize=1024)
def _attribute_types(op_type: str, opset: int) -> dict[str, int]:
    """Type of every attribute as ``AttributeProto`` numbers it; empty for operators that this onnx does not know."""
    if not onnx.defs.has(op_type, max_inclusive_version=opset):
        return {}
    schema = onnx.defs.get_schema(op_type, opset)
    return {name: int(attribute.type.value) for name, attribute in schema.attributes.items()}


def _refuse_odd_name(name: object) -> None:
    if name is not None and not isinstance(name, str):  # protobuf gives bytes for text that is not UTF-8
        raise ValueError(f"name {name!r} is not text")


def _tensors(graph: ir.Graph) -> Iterator[ir.TensorProtocol]:
    yield from (value.const_value for value in graph.initializers.values() if value.const_value is not None)
    for node in graph:
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.UNDEFINED:
                raise ValueError(f"attribute {attribute.name!r} of {node.op_type} has no type")
            if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
                yield attribute.as_tensor()
