"""The chunks of one tensor: planes <-> payloads and their checksums (FORMAT.md section 4), several at a time."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import cast

import numpy as np

from splitc.codec.entropy import ChunkCoder
from splitc.codec.planes import PlaneView
from splitc.codec.workers import in_order
from splitc.errors import BitstreamError
from splitc.native import _core
from splitc.types import Symbols


def checksum(seed: int, tensor: int, chunk: int, payload: bytes | memoryview) -> int:
    """``Checksum`` of a chunk; ``seed`` is the CRC-32C of the layout's digest and the packet's header."""
    return _core.crc32c(payload, _core.crc32c(struct.pack("<BI", tensor, chunk), seed))


def code_chunks(
    coder: ChunkCoder, planes: Symbols, view: PlaneView, tensor: int, seed: int
) -> list[tuple[bytes, bytes]]:
    """(Checksum, Payload) of every chunk of tensor number ``tensor``; ``planes`` is ``[planes, H, W]``."""

    def code(chunk: int) -> tuple[bytes, bytes]:
        first, last = view.chunk_bounds(chunk)
        payload = coder.encode(planes[first:last], first)
        return struct.pack("<I", checksum(seed, tensor, chunk, payload)), payload

    return in_order(code, range(view.chunks), view.elements)


def decode_chunks(coder: ChunkCoder, payloads: Sequence[memoryview], view: PlaneView, tensor: int) -> Symbols:
    """All planes ``[planes, H, W]`` of tensor number ``tensor``.

    Raises:
        BitstreamError: A payload that the coder cannot have written; names the chunk.
    """

    def decode(chunk: int) -> Symbols:
        first, last = view.chunk_bounds(chunk)
        try:
            return coder.decode(payloads[chunk], (last - first, view.height, view.width), first)
        except BitstreamError as error:
            raise BitstreamError(f"bitstream: Payload of chunk {chunk} of tensor {tensor}: {error}") from error

    parts = in_order(decode, range(len(payloads)), view.elements)
    return parts[0] if len(parts) == 1 else cast(Symbols, np.concatenate(parts))
