"""The base's tensor as it is (FORMAT.md, "keep"); in deltas only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from splitc.codec import FieldReader
from splitc.errors import BitstreamError, CodecError
from splitc.types import Array
from splitc.weights.encodings.base import Coded, Context, Encoding, Wanted
from splitc.weights.tensor import WeightTensor, same


class Keep(Encoding):
    """No bytes at all."""

    name: ClassVar[str] = "keep"
    wire_id: ClassVar[int] = 16
    in_delta: ClassVar[bool] = True

    def encode(self, tensor: WeightTensor, context: Context) -> Coded:
        if context.base is None or not same(tensor, context.base):
            raise CodecError(f"weights: tensor {tensor.name!r} is not the base's.")
        return Coded(b"", ())

    @classmethod
    def decode(cls, wanted: Wanted, parameters: FieldReader, sections: Sequence[bytes], context: Context) -> Array:
        base = base_of(wanted, context)
        if sections:
            raise BitstreamError("is kept, yet has sections.")
        return base


def base_of(wanted: Wanted, context: Context) -> Array:
    """Flat values of the base's tensor.

    Raises:
        BitstreamError: There is none, or one of another type or shape.
    """
    base = context.base
    if base is None or (base.dtype, base.shape) != (wanted.dtype, wanted.shape):
        raise BitstreamError("is not in the base with this type and shape.")
    return base.flat
