"""Prove that two graphs compute the same without running them: the same expression over the same weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import onnx_ir as ir

from splitc.graph.flow import flow_of, is_random

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


def is_same_computation(one: ir.Model, other: ir.Model) -> bool:
    """Whether every output of ``other`` is the very expression of that name in ``one``.

    Each value is digested from its operator, attributes and the digests of what it reads, so names inside do not
    matter and one pass over either graph suffices. True means equal bit for bit wherever an engine runs operators as
    written. False means not proven: a shape that the tail rebuilt reads differently and may still be equal.
    """
    shared = _tensors(one).keys() & _tensors(other).keys()
    return dict(one.opset_imports) == dict(other.opset_imports) and _outputs(one, shared) == _outputs(other, shared)


def _outputs(model: ir.Model, shared: set[int]) -> list[tuple[str, bytes]]:
    """Name and digest of each output, in order."""
    flow = flow_of(model.graph)
    digests = {value: _digest(b"input", (value.name or "").encode()) for value in flow.inputs}
    for value in model.graph.initializers.values():
        if value.const_value is not None:
            digests[value] = _tensor_digest(value.const_value, shared)
    for index, (node, read) in enumerate(zip(flow.nodes, flow.reads, strict=True)):
        digest = _node_digest(node, read, digests, index)
        digests.update({value: _digest(digest, bytes([place])) for place, value in enumerate(node.outputs)})
    return [(value.name or "", digests[value]) for value in flow.outputs]


def _node_digest(node: ir.Node, read: tuple[ir.Value, ...], digests: Mapping[ir.Value, bytes], index: int) -> bytes:
    attributes = (_attribute_bytes(node.attributes[name]) for name in sorted(node.attributes))
    inputs = (b"" if value is None else digests[value] for value in node.inputs)
    captured = (digests[value] for value in read if value not in node.inputs)
    draw = [str(index).encode()] if is_random(node) else []  # no two draws are equal
    return _digest(node.domain.encode(), node.op_type.encode(), *attributes, b"|", *inputs, b"|", *captured, *draw)


def _attribute_bytes(attribute: ir.Attr) -> bytes:
    if attribute.type in _PLAIN:
        return f"{attribute.name}:{attribute.type.name}:{attribute.value!r}".encode()
    return bytes(ir.serde.serialize_attribute(attribute).SerializeToString(deterministic=True))


def _tensor_digest(tensor: ir.TensorProtocol, shared: set[int]) -> bytes:
    """By identity when both models hold this very object (its bytes stay unread), else by content."""
    if id(tensor) in shared:
        return _digest(b"object", str(id(tensor)).encode())
    data = b"".join(tensor.string_data()) if isinstance(tensor, ir.StringTensor) else tensor.tobytes()
    return _digest(b"tensor", str(tensor.dtype).encode(), str(list(tensor.shape)).encode(), data)


def _tensors(model: ir.Model) -> dict[int, ir.TensorProtocol]:
    held = (value.const_value for value in model.graph.initializers.values())
    return {id(tensor): tensor for tensor in held if tensor is not None}


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()
