"""Prove that two graphs compute the same without running them: the same expression over the same weights."""

from __future__ import annotations

import hashlib
from collections import ChainMap
from collections.abc import Iterator, MutableMapping

import onnx_ir as ir

from splitc.graph.shapes.sizes import Dims, known_sizes
from splitc.graph.values.flow import flow_of, is_random

_PLAIN = frozenset(
    {
        ir.AttributeType.INT,
        ir.AttributeType.INTS,
        ir.AttributeType.FLOAT,
        ir.AttributeType.FLOATS,
        ir.AttributeType.STRING,
        ir.AttributeType.STRINGS,
    }
)

Digests = MutableMapping[ir.Value, bytes]


def is_same_computation(one: ir.Model, other: ir.Model) -> bool:
    """Whether ``other`` has the outputs of ``one`` by name, in any order, and each is the very same expression.

    Each value is digested from its operator, attributes and the digests of what it reads, so names inside do not
    matter and one pass over either graph suffices; bodies of If, Loop and Scan likewise. Vectors of sizes are told by
    their dimensions, whichever tensor they were read from: what the model says of its dimensions is believed. True
    means equal bit for bit wherever an engine runs operators as written. False means not proven.
    """
    shared = _tensors(one).keys() & _tensors(other).keys()
    return dict(one.opset_imports) == dict(other.opset_imports) and _outputs(one, shared) == _outputs(other, shared)


def _outputs(model: ir.Model, shared: set[int]) -> dict[str, bytes]:
    """Name of each output -> its digest."""
    flow = flow_of(model.graph)
    digests = {value: _digest(b"input", (value.name or "").encode()) for value in flow.inputs}
    digests |= _constants(model.graph, shared)
    vectors: dict[ir.Value, Dims] = {}
    for index, node in enumerate(flow.nodes):
        sizes = known_sizes(node, vectors)
        if sizes is None:
            _digest_node(node, index, digests, shared)
            continue
        digests[node.outputs[0]] = _digest(b"sizes", repr(sizes).encode())
        if not sizes.is_product:
            vectors[node.outputs[0]] = sizes.dims
    return {value.name or "": digests[value] for value in flow.outputs}


def _digest_node(node: ir.Node, index: int, digests: Digests, shared: set[int], depth: int = 0) -> None:
    """Add the digests of the outputs of ``node``, the ``index``-th of its graph, ``depth`` bodies deep."""
    ordered = (node.attributes[name] for name in sorted(node.attributes))
    attributes = (part for one in ordered for part in _attribute_parts(one, digests, shared, depth))
    inputs = (b"" if value is None else digests[value] for value in node.inputs)
    draw = _draw(node, index, depth) if is_random(node) else b""
    digest = _digest(node.domain.encode(), node.op_type.encode(), *attributes, b"|", *inputs, b"|", draw)
    digests.update({value: _digest(digest, bytes([place])) for place, value in enumerate(node.outputs)})


def _draw(node: ir.Node, index: int, depth: int) -> bytes:
    """No two draws are equal: those of the top graph go by their names, those of bodies by their places."""
    return repr(index if depth else [value.name for value in node.outputs]).encode()


def _attribute_parts(attribute: ir.Attr, digests: Digests, shared: set[int], depth: int) -> Iterator[bytes]:
    if attribute.type == ir.AttributeType.GRAPH:
        yield from (attribute.name.encode(), _body_digest(attribute.as_graph(), digests, shared, depth + 1))
    elif attribute.type == ir.AttributeType.GRAPHS:
        bodies = (_body_digest(body, digests, shared, depth + 1) for body in attribute.as_graphs())
        yield from (attribute.name.encode(), *bodies)
    elif attribute.type in _PLAIN:
        yield f"{attribute.name}:{attribute.type.name}:{attribute.value!r}".encode()
    else:
        yield bytes(ir.serde.serialize_attribute(attribute).SerializeToString(deterministic=True))


def _body_digest(body: ir.Graph, outer: Digests, shared: set[int], depth: int) -> bytes:
    """Of a graph whose inputs go by their places and whose captured values are digested in ``outer``."""
    inputs = {value: _digest(b"body", f"{depth}:{place}".encode()) for place, value in enumerate(body.inputs)}
    digests = ChainMap({**inputs, **_constants(body, shared)}, outer)
    for index, node in enumerate(body):
        _digest_node(node, index, digests, shared, depth)
    return _digest(str(len(body.inputs)).encode(), *(digests[value] for value in body.outputs))


def _constants(graph: ir.Graph, shared: set[int]) -> dict[ir.Value, bytes]:
    held = ((value, value.const_value) for value in graph.initializers.values())
    return {value: _tensor_digest(tensor, shared) for value, tensor in held if tensor is not None}


def _tensor_digest(tensor: ir.TensorProtocol, shared: set[int]) -> bytes:
    """By identity when both models hold this very object (its bytes stay unread), else by content."""
    if id(tensor) in shared:
        return _digest(b"object", str(id(tensor)).encode())
    data = b"".join(tensor.string_data()) if isinstance(tensor, ir.StringTensor) else tensor.tobytes()
    return _digest(b"tensor", str(tensor.dtype).encode(), str(list(tensor.shape)).encode(), data)


def _tensors(model: ir.Model) -> dict[int, ir.TensorProtocol]:
    held = (value.const_value for graph in model.graphs() for value in graph.initializers.values())
    return {id(tensor): tensor for tensor in held if tensor is not None}


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()
