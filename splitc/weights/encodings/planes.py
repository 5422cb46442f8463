"""Byte planes, each entropy-coded (FORMAT.md, "planes"): lossless for weights of full precision.

Only sign and exponent are predictable in trained weights. A float's bits are turned left by one, so that the exponent
fills the top plane and the sign goes to the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from splitc.codec import FieldReader, in_order
from splitc.errors import BitstreamError, CodecError
from splitc.types import U8, Array
from splitc.weights.encodings.base import Coded, Context, Encoding, Wanted
from splitc.weights.ledger import CodedSection
from splitc.weights.streams import NAMES, decode_stream, encode_stream
from splitc.weights.tensor import FLOATS, WeightTensor

STORED, RANS = 3, 2
"""Coder bytes: the plane as it is, or by rANS."""


class Planes(Encoding):
    """One section a plane, most significant byte first."""

    name: ClassVar[str] = "planes"
    wire_id: ClassVar[int] = 1

    def encode(self, tensor: WeightTensor, context: Context) -> Coded:
        if tensor.flat.size == 0:
            raise CodecError(f"weights: tensor {tensor.name!r} is empty, which has no planes.")
        coded = in_order(_code, list(_planes(tensor)), tensor.nbytes)
        return Coded(bytes(coder for coder, _ in coded), tuple(CodedSection("dense", payload) for _, payload in coded))

    @classmethod
    def decode(cls, wanted: Wanted, parameters: FieldReader, sections: Sequence[bytes], context: Context) -> Array:
        if len(sections) != wanted.itemsize:
            raise BitstreamError(f"has {len(sections)} planes, must have {wanted.itemsize}.")
        coders = [parameters.u8("Plane_Coder") for _ in sections]
        planes = np.empty((wanted.count, wanted.itemsize), np.uint8)
        for index, (coder, payload) in enumerate(zip(coders, sections, strict=True)):
            planes[:, wanted.itemsize - 1 - index] = _plane(coder, payload, wanted.count)
        bits = planes.reshape(-1).view(f"<u{wanted.itemsize}")
        if wanted.dtype in FLOATS:
            bits = (bits >> np.array(1, bits.dtype)) | (bits << np.array(8 * wanted.itemsize - 1, bits.dtype))
        return bits.view(wanted.stored)


def _planes(tensor: WeightTensor) -> Sequence[U8]:
    size = tensor.flat.itemsize
    bits: Array = tensor.flat.view(f"<u{size}")
    if tensor.dtype in FLOATS:
        bits = (bits << np.array(1, bits.dtype)) | (bits >> np.array(8 * size - 1, bits.dtype))
    split = bits.view(np.uint8).reshape(-1, size)
    return [np.ascontiguousarray(split[:, size - 1 - index]) for index in range(size)]


def _code(plane: U8) -> tuple[int, bytes]:
    coded = encode_stream("rans", plane, 8)
    return (RANS, coded) if len(coded) < plane.size else (STORED, plane.tobytes())


def _plane(coder: int, payload: bytes, count: int) -> Array:
    if coder == STORED:
        if len(payload) != count:
            raise BitstreamError(f"a stored plane has {len(payload)} bytes, must have {count}.")
        return np.frombuffer(payload, np.uint8)
    if coder != RANS:
        raise BitstreamError(f"Plane_Coder is {coder}, must be {RANS} or {STORED}.")
    return decode_stream(NAMES[coder], payload, 8, count)
