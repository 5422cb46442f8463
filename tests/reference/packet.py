"""FORMAT.md sections 2 to 4 and 8, on numpy arrays. Decodes any packet whose tensor table is known."""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass

import numpy as np
import zstandard

from reference import cohen, huffman, mix, nrle, range_coder, rans


@dataclass
class Tensor:
    """A tensor table entry and the tables that it names."""

    shape: tuple[int, ...]  # 0: dynamic
    channel_axis: int
    bits: int
    entropy_id: int
    tables: bytes = b""
    quantizer: bytes = b""
    side_count: int = 0


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 128:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def tensor_table(tensors: list[Tensor]) -> bytes:
    """Section 3."""
    out = bytes([len(tensors)])
    for t in tensors:
        out += bytes([len(t.shape)]) + b"".join(varint(size) for size in t.shape)
        out += bytes([t.channel_axis, t.bits, t.entropy_id, t.side_count])
        out += hashlib.sha256(t.tables).digest()[:8] if t.tables else bytes(8)
        out += varint(len(t.quantizer)) + t.quantizer
    return out


def plane_shape(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """Section 4: (Planes, H, W)."""
    if axis == 255:
        planes, inner = 1, list(shape)
    elif axis == 0:
        planes, inner = shape[0], list(shape[1:])
    else:
        planes, inner = shape[0] * shape[axis], [d for k, d in enumerate(shape) if k not in (0, axis)]
    return planes, math.prod(inner[:-1]), inner[-1] if inner else 1


def chunks_of(planes: int, height: int, width: int) -> list[tuple[int, int]]:
    """Section 4: (first plane, planes) of every chunk."""
    wanted = math.ceil(planes * height * width / 131072)
    step = math.ceil(planes / min(planes, wanted))
    return [(first, min(step, planes - first)) for first in range(0, planes, step)]


def read(tensors: list[Tensor], data: bytes, before: bytes = b"", rung: int | None = None) -> list[np.ndarray]:
    """Symbols of a packet, ``before`` being the one it is predicted from; assertions stand for refusals.

    ``rung``: which step ``tensors`` are of, where the contract has several.
    """
    magic, flags, _tag = struct.unpack_from("<sB4s", data)
    assert (magic, flags & 15) == (b"\x9d", 1)
    _sequence, at = read_varint(data, 6)
    if flags & 32:
        size, at = read_varint(data, at)
        assert data[at : at + size] == tensor_table(tensors)
        at += size
    if rung is not None:
        assert data[at] == rung
        at += 1
    shapes = []
    for t in tensors:
        shape = []
        for size in t.shape:
            if size == 0:
                size, at = read_varint(data, at)
            shape.append(size)
        shapes.append(tuple(shape))
    at += sum(4 * t.side_count * shape[0] for t, shape in zip(tensors, shapes, strict=True))
    assert bool(before) == (flags & 16 == 0)
    reference = struct.pack("<I", crc32c(before)) if before else b""
    seed = hashlib.sha256(tensor_table(tensors)).digest() + reference + data[:at]
    return _read_chunks(tensors, shapes, data, at, seed)


def _read_chunks(
    tensors: list[Tensor], shapes: list[tuple[int, ...]], data: bytes, at: int, seed: bytes
) -> list[np.ndarray]:
    out = []
    for index, (t, shape) in enumerate(zip(tensors, shapes, strict=True)):
        planes, height, width = plane_shape(shape, t.channel_axis)
        parts = chunks_of(planes, height, width)
        symbols: list[list[int]] = []
        for number, (first, count) in enumerate(parts):
            if index == len(tensors) - 1 and number == len(parts) - 1:
                size = len(data) - at - 4
            else:
                size, at = read_varint(data, at)
            (checksum,) = struct.unpack_from("<I", data, at)
            payload = data[at + 4 : at + 4 + size]
            at += 4 + size
            assert checksum == crc32c(seed + struct.pack("<BI", index, number) + payload)
            symbols += decode(t, payload, count, height, width, first)
        out.append(_tensor(symbols, shape, t.channel_axis))
    assert at == len(data)
    return out


def _tensor(planes: list[list[int]], shape: tuple[int, ...], axis: int) -> np.ndarray:
    values = np.array(planes)
    if axis in (0, 255):
        return values.reshape(shape)
    order = [0, axis, *(k for k in range(len(shape)) if k not in (0, axis))]
    return values.reshape([shape[k] for k in order]).transpose(np.argsort(order))


def decode(t: Tensor, payload: bytes, count: int, height: int, width: int, first: int) -> list[list[int]]:
    """Sections 6 to 8: one chunk."""
    if t.entropy_id in (16, 17, 18):
        flat = decode_flat(t, payload, count * height * width)
        return [flat[p * height * width : (p + 1) * height * width] for p in range(count)]
    if t.entropy_id == 1:
        return rans.decode(rans.Tables.read(t.tables) if t.tables else t.bits, payload, count, height, width, first)
    if t.entropy_id == 2:
        return range_coder.decode(t.bits, payload, count, height, width)
    if t.entropy_id == 4:
        return mix.decode(mix.Tables.read(t.tables), payload, count, (height, width), first)
    number = int.from_bytes(zstandard.ZstdDecompressor().decompress(payload), "little")
    size, symbol_bits = height * width, next(width for width in (1, 2, 4, 8, 16) if width >= t.bits)
    every = [number >> symbol_bits * i & ((1 << symbol_bits) - 1) for i in range(count * size)]
    assert max(every) < 1 << t.bits
    return [every[p * size : (p + 1) * size] for p in range(count)]


def decode_flat(t: Tensor, payload: bytes, count: int) -> list[int]:
    """Coders that do not look at planes."""
    if t.entropy_id == 16:
        return nrle.decode(t.bits, payload, count)
    if t.entropy_id == 18:
        return cohen.decode(t.bits, payload, count)
    return huffman.decode(t.bits, payload, count, huffman.lengths_of_tables(t.tables) if t.tables else None)
