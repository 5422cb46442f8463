"""Tensors that stay in their files: compared and walked without being loaded or mapped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir

CHUNK_BYTES = 4 << 20


def same_bytes(one: ir.TensorProtocol, other: ir.TensorProtocol) -> bool:
    """Whether two tensors of one type and shape hold the same bytes; external ones are read piece by piece."""
    if _place(one) is not None and _place(one) == _place(other):
        return True
    return all(mine == theirs for mine, theirs in zip(_pieces(one), _pieces(other), strict=True))


def _place(tensor: ir.TensorProtocol) -> tuple[Path, int] | None:
    """File and offset of an external tensor."""
    if not isinstance(tensor, ir.ExternalTensor):
        return None
    return Path(tensor.path).resolve(), tensor.offset or 0


def _pieces(tensor: ir.TensorProtocol) -> Iterator[bytes | memoryview]:
    """The bytes of a tensor, ``CHUNK_BYTES`` at a time."""
    if not isinstance(tensor, ir.ExternalTensor):
        data = memoryview(tensor.tobytes())
        yield from (data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES))
        return
    with open(tensor.path, "rb") as file:
        file.seek(tensor.offset or 0)
        for at in range(0, tensor.nbytes, CHUNK_BYTES):
            yield file.read(min(CHUNK_BYTES, tensor.nbytes - at))
