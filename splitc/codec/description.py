"""The tensor table: what a packet's tensors are, for decoders that do not know it yet (FORMAT.md section 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from splitc.codec.byte_fields import FieldReader, varint
from splitc.codec.entropy.base import TABLES_HASH_BYTES
from splitc.errors import CodecError

MAX_TENSORS = 16
MAX_RANK = 8
MAX_BITS = 16
MAX_ELEMENTS = 1 << 28
MAX_QUANTIZER_BYTES = 1 << 20
MAX_SIDE_COUNT = 16
MAX_DESCRIPTION_BYTES = 1 << 24
NO_CHANNEL_AXIS = 255


@dataclass(frozen=True)
class TensorDescription:
    """One entry of the tensor table.

    Attributes:
        shape: Sizes; None where the packet says.
        channel_axis: Axis of the channels; the rank or above if there is none.
        bits: Bits per symbol.
        entropy_id: Wire id of the entropy coder.
        tables_hash: First eight bytes of the SHA-256 of the coder's tables; zeros if it has none.
        quantizer: Opaque to this layer.
        side_count: float32 values that the packet carries for each index of axis 0.
    """

    shape: tuple[int | None, ...]
    channel_axis: int
    bits: int
    entropy_id: int
    tables_hash: bytes
    quantizer: bytes
    side_count: int = 0

    @property
    def has_channels(self) -> bool:
        return self.channel_axis < len(self.shape)

    @property
    def channels(self) -> int:
        if not self.has_channels:
            return 1
        size = self.shape[self.channel_axis]
        assert size is not None  # check() has seen to it
        return size

    def check(self) -> None:
        """Refuse what the format cannot say.

        Raises:
            CodecError: A field out of range.
        """
        rank = len(self.shape)
        if not 1 <= rank <= MAX_RANK:
            raise CodecError(f"a tensor of rank {rank} cannot be coded, must be 1..{MAX_RANK}.")
        if self.channel_axis < 0:
            raise CodecError(f"channel axis {self.channel_axis} is negative.")
        if self.has_channels and self.shape[self.channel_axis] is None:
            raise CodecError(f"channel axis {self.channel_axis} has no fixed size.")
        if not 1 <= self.bits <= MAX_BITS:
            raise CodecError(f"{self.bits} bits per symbol, must be 1..{MAX_BITS}.")
        if not 0 < self.entropy_id <= 255:
            raise CodecError(f"entropy id {self.entropy_id} must be 1..255.")
        if not 0 <= self.side_count <= MAX_SIDE_COUNT:
            raise CodecError(f"{self.side_count} side values a sample, must be 0..{MAX_SIDE_COUNT}.")
        if len(self.quantizer) > MAX_QUANTIZER_BYTES:
            raise CodecError(f"quantizer parameters take {len(self.quantizer)} bytes, at most {MAX_QUANTIZER_BYTES}.")
        self.check_size([1 if size is None else size for size in self.shape])

    def check_size(self, shape: Sequence[int]) -> None:
        """Refuse an empty tensor and one too large for the format."""
        if not 1 <= math.prod(shape) <= MAX_ELEMENTS or min(shape) < 1:
            raise CodecError(f"shape {list(shape)} must hold 1..{MAX_ELEMENTS} elements.")


def write_description(tensors: Sequence[TensorDescription]) -> bytes:
    """The tensor table as bytes.

    Raises:
        CodecError: Too many tensors, or a table too large.
    """
    if not 1 <= len(tensors) <= MAX_TENSORS:
        raise CodecError(f"{len(tensors)} tensors, must be 1..{MAX_TENSORS}.")
    table = bytes([len(tensors)]) + b"".join(_entry(tensor) for tensor in tensors)
    if len(table) > MAX_DESCRIPTION_BYTES:
        raise CodecError(f"the tensor table takes {len(table)} bytes, at most {MAX_DESCRIPTION_BYTES}.")
    return table


def _entry(tensor: TensorDescription) -> bytes:
    axis = tensor.channel_axis if tensor.has_channels else NO_CHANNEL_AXIS
    sizes = b"".join(varint(size or 0) for size in tensor.shape)
    head = bytes([len(tensor.shape)]) + sizes + bytes([axis, tensor.bits, tensor.entropy_id, tensor.side_count])
    return head + tensor.tables_hash + varint(len(tensor.quantizer)) + tensor.quantizer


def read_description(reader: FieldReader) -> tuple[TensorDescription, ...]:
    """The tensor table at the reader's offset.

    Raises:
        BitstreamError: A field is out of range or missing.
    """
    count = reader.u8("Tensor_Count")
    if not 1 <= count <= MAX_TENSORS:
        reader.refuse("Tensor_Count", f"is {count}, must be 1..{MAX_TENSORS}")
    return tuple(_read_entry(reader) for _ in range(count))


def _read_entry(reader: FieldReader) -> TensorDescription:
    rank = reader.u8("Rank")
    if not 1 <= rank <= MAX_RANK:
        reader.refuse("Rank", f"is {rank}, must be 1..{MAX_RANK}")
    shape = tuple(reader.varint("Size", 0, MAX_ELEMENTS) or None for _ in range(rank))
    axis = reader.u8("Channel_Axis")
    bits, entropy_id, side_count = reader.u8("Bits"), reader.u8("Entropy_Id"), reader.u8("Side_Count")
    tables_hash = bytes(reader.take("Tables_Hash", TABLES_HASH_BYTES))
    quantizer = bytes(reader.take("Quantizer", reader.varint("Quantizer_Size", 0, MAX_QUANTIZER_BYTES)))
    if axis != NO_CHANNEL_AXIS and axis >= rank:
        reader.refuse("Channel_Axis", f"is {axis}, must be below {rank}, or {NO_CHANNEL_AXIS}")
    tensor = TensorDescription(shape, axis, bits, entropy_id, tables_hash, quantizer, side_count)
    try:
        tensor.check()
    except CodecError as error:
        reader.refuse("Tensor entry", f"is not valid: {error}".rstrip("."))
    return tensor
