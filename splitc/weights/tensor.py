"""One weight tensor: a name, an ONNX element type, a shape, and its values as they lie in memory."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from splitc.errors import CodecError
from splitc.types import Array

MAX_RANK = 8
MAX_ELEMENTS = 1 << 28
"""FORMAT.md, "Limits": of one tensor."""
MAX_NAME_BYTES = 1024


class ElementType(NamedTuple):
    """An element type: ONNX's number for it, and what numpy holds it in."""

    wire_id: int
    stored: str


TYPES = {
    "float32": ElementType(1, "<f4"),
    "uint8": ElementType(2, "u1"),
    "int8": ElementType(3, "i1"),
    "uint16": ElementType(4, "<u2"),
    "int16": ElementType(5, "<i2"),
    "int32": ElementType(6, "<i4"),
    "int64": ElementType(7, "<i8"),
    "bool": ElementType(9, "?"),
    "float16": ElementType(10, "<f2"),
    "float64": ElementType(11, "<f8"),
    "uint32": ElementType(12, "<u4"),
    "uint64": ElementType(13, "<u8"),
    "bfloat16": ElementType(16, "<u2"),
}
"""By ONNX name. bfloat16 is held as its bits."""
FLOATS = ("float32", "float16", "bfloat16", "float64")


@dataclass(frozen=True, eq=False)
class WeightTensor:
    """A tensor to be packed, or unpacked.

    Attributes:
        name: Of the initializer.
        dtype: ONNX's name of the element type, a key of :data:`TYPES`.
        values: Shape as in the graph; of the numpy type that :data:`TYPES` names.
    """

    name: str
    dtype: str
    values: Array

    def __post_init__(self) -> None:
        if self.dtype not in TYPES:
            raise CodecError(f"weights: tensor {self.name!r} is {self.dtype}; known: {', '.join(TYPES)}.")
        if self.values.dtype != np.dtype(TYPES[self.dtype].stored):
            raise CodecError(f"weights: tensor {self.name!r} is held as {self.values.dtype}, not as {self.dtype}.")
        size = len(self.name.encode())
        if not 1 <= size <= MAX_NAME_BYTES:
            raise CodecError(f"weights: the name of a tensor has {size} bytes, must have 1..{MAX_NAME_BYTES}.")
        if self.values.ndim > MAX_RANK or self.values.size > MAX_ELEMENTS:
            raise CodecError(
                f"weights: tensor {self.name!r} has shape {list(self.shape)}; at most {MAX_RANK} axes and "
                f"{MAX_ELEMENTS} elements are packed."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """As in the graph."""
        return self.values.shape

    @cached_property
    def flat(self) -> Array:
        """The values in row-major order, ``[n]``."""
        return np.ascontiguousarray(self.values).reshape(-1)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return int(self.values.nbytes)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the values, little-endian, row-major."""
        return digest_of(self.flat)


def digest_of(values: Array) -> bytes:
    """SHA-256 of values as they lie in memory, row-major."""
    return hashlib.sha256(np.ascontiguousarray(values).view(np.uint8).data).digest()


def same(one: WeightTensor, other: WeightTensor) -> bool:
    """Whether two tensors have the same type, shape and bits."""
    return (one.dtype, one.shape, one.digest) == (other.dtype, other.shape, other.digest)


def outer_middle_inner(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """A tensor seen as [outer, middle, inner]: axis 0, axis 1, and the product of the others (FORMAT.md)."""
    outer = shape[0] if shape else 1
    middle = shape[1] if len(shape) > 1 else 1
    return outer, middle, math.prod(shape[2:])
