"""The interface of every encoding: a tensor to parameters and sections, and back, bit for bit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from splitc.codec import FieldReader
from splitc.native import _core
from splitc.registry import Component
from splitc.types import Array
from splitc.weights.ledger import CodedSection
from splitc.weights.tensor import TYPES, WeightTensor


class Coded(NamedTuple):
    """An encoded tensor."""

    parameters: bytes
    sections: tuple[CodedSection, ...]


@dataclass(frozen=True)
class Context:
    """What a decoder has in addition to the tensor's own bytes.

    Attributes:
        tables: Level tables of the container; None where it has none.
        base: The tensor of the same name in a delta's base; None in a container.
    """

    tables: _core.ScwTables | None = None
    base: WeightTensor | None = None


NOTHING = Context()


@dataclass(frozen=True)
class Wanted:
    """Type and shape of the tensor to decode, from the header and within the limits."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def stored(self) -> str:
        """numpy's name of the type the values are held in."""
        return TYPES[self.dtype].stored

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return int(self.stored[-1]) if self.stored[-1].isdigit() else 1

    @property
    def count(self) -> int:
        """Elements."""
        size = 1
        for side in self.shape:
            size *= side
        return size


class Encoding(Component):
    """A lossless representation of a tensor; its fields are the encoder's options.

    Decoders need nothing but the parameters, so they are class methods.
    """

    name: ClassVar[str]
    wire_id: ClassVar[int]
    in_delta: ClassVar[bool] = False
    """Only legal in a delta: it needs the base's tensor."""

    @abstractmethod
    def encode(self, tensor: WeightTensor, context: Context) -> Coded:
        """Code ``tensor``.

        Raises:
            CodecError: The tensor cannot be represented exactly this way; says why.
        """

    @classmethod
    def memory(cls, wanted: Wanted) -> int:
        """Bytes that decoding takes at most beside the sections: the values and the copies that are made of them."""
        return 4 * wanted.count * wanted.itemsize

    @classmethod
    @abstractmethod
    def decode(cls, wanted: Wanted, parameters: FieldReader, sections: Sequence[bytes], context: Context) -> Array:
        """The flat values ``[n]`` of ``wanted``.

        Raises:
            BitstreamError: Parameters or sections that no encoder writes.
        """
