"""Values as they lie in memory (FORMAT.md, "raw")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from splitc.codec import FieldReader
from splitc.errors import BitstreamError
from splitc.types import Array
from splitc.weights.encodings.base import Coded, Context, Encoding, Wanted
from splitc.weights.ledger import CodedSection
from splitc.weights.tensor import WeightTensor


class Raw(Encoding):
    """Little-endian values, row-major."""

    name: ClassVar[str] = "raw"
    wire_id: ClassVar[int] = 0

    def encode(self, tensor: WeightTensor, context: Context) -> Coded:
        return Coded(b"", (CodedSection("dense", tensor.flat.tobytes()),))

    @classmethod
    def decode(cls, wanted: Wanted, parameters: FieldReader, sections: Sequence[bytes], context: Context) -> Array:
        if len(sections) != 1 or len(sections[0]) != wanted.count * wanted.itemsize:
            raise BitstreamError(f"must be one section of {wanted.count * wanted.itemsize} bytes.")
        return np.frombuffer(sections[0], wanted.stored)
