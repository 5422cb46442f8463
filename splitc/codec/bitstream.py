"""Packets: symbols of one inference as bytes, checked. Obeys FORMAT.md sections 2 to 4.

    packet = header, then for every chunk of every tensor: size, checksum, payload

A decoder knows the tensor table (:class:`StreamLayout`) from its bundle's contract, or reads it from a packet that
carries it. Nothing is allocated before the sizes that ask for it have been checked.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splitc.codec.byte_fields import FieldReader, varint
from splitc.codec.chunks import checksum, code_chunks, decode_chunks
from splitc.codec.description import TensorDescription, write_description
from splitc.codec.entropy import ENTROPY_CODERS, ChunkCoder
from splitc.codec.entropy.base import hash_of_tables
from splitc.codec.packet_header import (
    INLINE,
    KEYFRAME,
    MAGIC,
    MAX_SEQUENCE,
    NO_PAIR,
    TAG_BYTES,
    VERSION,
    Header,
    header_from,
)
from splitc.codec.planes import PlaneView, as_planes, tensor_of
from splitc.errors import BitstreamError, CapabilityError, CodecError
from splitc.files import require_memory
from splitc.native import _core
from splitc.types import F32, Symbols

CHECKSUM_BYTES = 4
DECODE_BYTES = 16
"""Of memory for each element while a packet is decoded: symbols, a stream's memory of them, and features."""
DEFAULT_MAX_ELEMENTS = 1 << 26
"""Most elements of one tensor that :func:`read_packet` decodes unless told otherwise."""


@dataclass(frozen=True)
class TensorLayout:
    """What both ends know of one tensor.

    Attributes:
        shape: Sizes; None where the packet says.
        bits: Bits per symbol, 1..16.
        coder: The prepared entropy coder.
        channel_axis: Axis of the channels; a tensor without that axis is one plane.
        quantizer: Quantizer and its parameters as the codec wrote them; only carried.
        side_count: float32 values beside the symbols, for each index of axis 0.
        is_whole: The coder takes the tensor as one chunk.
    """

    shape: tuple[int | None, ...]
    bits: int
    coder: ChunkCoder
    channel_axis: int = 1
    quantizer: bytes = b""
    side_count: int = 0
    is_whole: bool = False

    def __post_init__(self) -> None:
        self.description.check()

    def view(self, shape: Sequence[int]) -> PlaneView:
        """A tensor of ``shape`` as planes and chunks."""
        return PlaneView.of(shape, self.channel_axis, is_whole=self.is_whole)

    @cached_property
    def description(self) -> TensorDescription:
        """The tensor's entry in the tensor table."""
        coder = self.coder
        return TensorDescription(
            self.shape,
            self.channel_axis,
            self.bits,
            coder.wire_id,
            coder.tables_hash,
            self.quantizer,
            self.side_count,
        )


@dataclass(frozen=True)
class StreamLayout:
    """Tensors in packet order, and the pair they belong to.

    Attributes:
        tensors: 1..16 tensors.
        pair_tag: First four bytes of the pair id. Zeros outside a bundle: then the layout itself makes the tag.
        rung: Which of a codec's steps its packets are of, 0..255, which they then say; None: it has one.
    """

    tensors: tuple[TensorLayout, ...]
    pair_tag: bytes = NO_PAIR
    rung: int | None = None

    def __post_init__(self) -> None:
        if len(self.pair_tag) != TAG_BYTES:
            raise CodecError(f"pair_tag has {len(self.pair_tag)} bytes, must have {TAG_BYTES}.")

    @cached_property
    def description(self) -> bytes:
        """The tensor table, FORMAT.md section 3."""
        return write_description([tensor.description for tensor in self.tensors])

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the tensor table: every checksum starts from it."""
        return hashlib.sha256(self.description).digest()

    @property
    def tag(self) -> bytes:
        """Pair_Tag of this layout's packets."""
        return self.digest[:TAG_BYTES] if self.pair_tag == NO_PAIR else self.pair_tag


@dataclass(frozen=True)
class Packet:
    """A decoded packet, in layout order: symbols with their tensor's shape, side values ``[axis 0, side_count]``."""

    symbols: tuple[Symbols, ...]
    side: tuple[F32, ...]
    sequence: int
    is_keyframe: bool
    pair_tag: bytes


# -- writing -------------------------------------------------------------------------------------------------------


def write_packet(
    layout: StreamLayout,
    symbols: Sequence[Symbols],
    side: Sequence[F32] | None = None,
    *,
    sequence: int = 0,
    is_keyframe: bool = True,
    inline: bool = False,
    reference: bytes = b"",
) -> bytes:
    """Code one packet.

    Args:
        layout: The tensors.
        symbols: One array a tensor; uint8 up to 8 bits, uint16 above, every value below ``2**bits``.
        side: One array a tensor, finite float32 ``[axis 0, side_count]``; None where no tensor has any.
        sequence: Number of this packet in its stream.
        is_keyframe: It decodes without earlier packets.
        inline: Put the tensor table into the packet, so that it describes itself.
        reference: The packet that this one is predicted from; empty for a keyframe.

    Raises:
        CodecError: The symbols do not fit the layout.
    """
    if len(symbols) != len(layout.tensors):
        raise CodecError(f"packet has {len(symbols)} tensors, the layout {len(layout.tensors)}.")
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise CodecError(f"sequence {sequence} is outside 0..{MAX_SEQUENCE}.")
    for index, (tensor, array) in enumerate(zip(layout.tensors, symbols, strict=True)):
        _check_symbols(index, tensor, array)
    header = _header_bytes(layout, symbols, sequence, (KEYFRAME if is_keyframe else 0) | (INLINE if inline else 0))
    header += _side_bytes(layout, symbols, side)
    seed = _seed(layout, reference, header)
    chunks = [chunk for index in range(len(symbols)) for chunk in _coded_chunks(layout, symbols, index, seed)]
    sized = [varint(len(payload)) + check + payload for check, payload in chunks[:-1]]
    return b"".join([header, *sized, *chunks[-1]])


def _check_symbols(index: int, tensor: TensorLayout, array: Symbols) -> None:
    wanted = np.uint8 if tensor.bits <= 8 else np.uint16
    if array.dtype != wanted:
        raise CodecError(
            f"tensor {index}: symbols are {array.dtype}, must be {np.dtype(wanted)} at {tensor.bits} bits."
        )
    sizes_fit = len(array.shape) == len(tensor.shape) and all(
        want is None or got == want for got, want in zip(array.shape, tensor.shape, strict=True)
    )
    if not sizes_fit or array.size == 0:
        raise CodecError(
            f"tensor {index}: symbols have shape {list(array.shape)}, must be {_shape_text(tensor.shape)}."
        )
    tensor.description.check_size(array.shape)


def _shape_text(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def _header_bytes(layout: StreamLayout, symbols: Sequence[Symbols], sequence: int, flags: int) -> bytes:
    header = struct.pack("<sB4s", MAGIC, VERSION | flags, layout.tag) + varint(sequence)
    if flags & INLINE:
        header += varint(len(layout.description)) + layout.description
    if layout.rung is not None:
        header += bytes([layout.rung])
    for tensor, array in zip(layout.tensors, symbols, strict=True):
        dynamic = [size for size, want in zip(array.shape, tensor.shape, strict=True) if want is None]
        header += b"".join(varint(size) for size in dynamic)
    return header


def _side_bytes(layout: StreamLayout, symbols: Sequence[Symbols], side: Sequence[F32] | None) -> bytes:
    wanted = [(len(array), tensor.side_count) for tensor, array in zip(layout.tensors, symbols, strict=True)]
    values = [np.empty(shape, np.float32) for shape in wanted] if side is None else side
    if [value.shape for value in values] != wanted or not all(np.isfinite(value).all() for value in values):
        raise CodecError(f"side values must be finite and of shapes {wanted}.")
    return b"".join(np.ascontiguousarray(value, "<f4").tobytes() for value in values)


def _coded_chunks(layout: StreamLayout, symbols: Sequence[Symbols], index: int, seed: int) -> list[tuple[bytes, bytes]]:
    """(Checksum, Payload) of every chunk of tensor ``index``."""
    tensor = layout.tensors[index]
    planes = as_planes(symbols[index], tensor.channel_axis)
    return code_chunks(tensor.coder, planes, tensor.view(symbols[index].shape), index, seed)


def _seed(layout: StreamLayout, reference: bytes, header: bytes) -> int:
    """What every checksum of a packet starts from."""
    before = struct.pack("<I", _core.crc32c(reference)) if reference else b""
    return _core.crc32c(header, _core.crc32c(before, _core.crc32c(layout.digest)))


# -- reading -------------------------------------------------------------------------------------------------------


def layout_from_header(header: Header, tables: Mapping[bytes, bytes]) -> StreamLayout:
    """The layout that a self-describing packet declares.

    Args:
        header: Of a packet that carries its tensor table.
        tables: Tables at hand, by :func:`splitc.codec.entropy.base.hash_of_tables`.

    Raises:
        BitstreamError: No tensor table, an unknown coder, or tables that are not at hand; the message names the hash.
    """
    if header.tensors is None:
        raise BitstreamError("bitstream: the packet carries no tensor table; decode it with its bundle's codec.")
    return StreamLayout(tuple(_described_layout(tensor, tables) for tensor in header.tensors), header.pair_tag)


def _described_layout(tensor: TensorDescription, tables: Mapping[bytes, bytes]) -> TensorLayout:
    name = _coder_name(tensor.entropy_id)
    found = tables.get(tensor.tables_hash, b"") if any(tensor.tables_hash) else b""
    if hash_of_tables(found) != tensor.tables_hash:
        raise BitstreamError(
            f"bitstream: the packet needs {name} tables {tensor.tables_hash.hex()}, which are not here; "
            "use the bundle that wrote it."
        )
    component = ENTROPY_CODERS.make(name, {})
    try:
        coder = component.open(tensor.bits, tensor.channels, found)
    except CodecError as error:
        raise BitstreamError(f"bitstream: the tensor table cannot be followed: {error}") from error
    axis, quantizer, side_count = tensor.channel_axis, tensor.quantizer, tensor.side_count
    return TensorLayout(tensor.shape, tensor.bits, coder, axis, quantizer, side_count, component.is_whole)


def _coder_name(entropy_id: int) -> str:
    """Of the coder with that wire id; those whose extra is not installed are not looked at."""
    missing = []
    for name in ENTROPY_CODERS:
        try:
            if ENTROPY_CODERS.load(name).wire_id == entropy_id:
                return name
        except CapabilityError as error:
            missing.append(str(error))
    hint = f" Not looked at: {missing[0]}" if missing else ""
    raise BitstreamError(f"bitstream: Entropy_Id {entropy_id} is not one this splitc knows.{hint}")


def read_packet(
    layout: StreamLayout, data: bytes, *, max_elements: int = DEFAULT_MAX_ELEMENTS, reference: bytes = b""
) -> Packet:
    """Decode one packet.

    Args:
        layout: What the packet must be of.
        data: The whole packet and nothing else.
        max_elements: Refuse a tensor with more elements than this before allocating it.
        reference: The packet that this one is predicted from; empty for a keyframe.

    Raises:
        BitstreamError: The bytes are not a packet that ``write_packet`` made with this layout.
    """
    reader = FieldReader(data, "bitstream")
    header = header_from(reader)
    _check_same_layout(layout, header)
    if layout.rung is not None and (rung := reader.u8("Rung")) != layout.rung:
        reader.refuse("Rung", f"is {rung}, the packet was to be read as one of {layout.rung}")
    shapes = [_read_shape(reader, index, tensor, max_elements) for index, tensor in enumerate(layout.tensors)]
    elements = sum(math.prod(shape) for shape in shapes)
    require_memory(DECODE_BYTES * elements, len(data), f"bitstream: a packet of {elements:,} elements", BitstreamError)
    side = tuple(_read_side(reader, index, tensor, shapes[index]) for index, tensor in enumerate(layout.tensors))
    views = [tensor.view(shape) for shape, tensor in zip(shapes, layout.tensors, strict=True)]
    seed = _seed(layout, reference, reader.read_so_far())
    payloads = _read_payloads(reader, views, seed)
    symbols = tuple(
        tensor_of(decode_chunks(tensor.coder, payloads[index], view, index), shape, tensor.channel_axis)
        for index, (tensor, view, shape) in enumerate(zip(layout.tensors, views, shapes, strict=True))
    )
    return Packet(symbols, side, header.sequence, header.is_keyframe, header.pair_tag)


def packet_rung(data: bytes, count: int) -> int:
    """Which of ``count`` steps a packet is of; what follows is not read.

    Raises:
        BitstreamError: No packet of so many steps, as far as its header says.
    """
    reader = FieldReader(data, "bitstream")
    header_from(reader)
    rung = 0 if count == 1 else reader.u8("Rung")
    if rung >= count:
        reader.refuse("Rung", f"is {rung}, must be 0..{count - 1}")
    return rung


def packet_shapes(
    layout: StreamLayout, data: bytes, *, max_elements: int = DEFAULT_MAX_ELEMENTS
) -> list[tuple[int, ...]]:
    """Shapes of a packet's tensors, from its header alone: whoever has little memory may refuse it before decoding.

    Args:
        layout: What the packet must be of.
        data: The packet.
        max_elements: Refuse a tensor with more elements than this.

    Raises:
        BitstreamError: No packet of this layout, as far as the header says.
    """
    reader = FieldReader(data, "bitstream")
    _check_same_pair(layout, header_from(reader))
    if layout.rung is not None:
        reader.u8("Rung")
    return [_read_shape(reader, index, tensor, max_elements) for index, tensor in enumerate(layout.tensors)]


def _check_same_pair(layout: StreamLayout, header: Header) -> None:
    if header.pair_tag != layout.tag:
        whose = "this codec's" if layout.pair_tag == NO_PAIR else "this pair's"
        raise BitstreamError(
            f"bitstream: Pair_Tag at offset 2 is {header.pair_tag.hex()}, {whose} is {layout.tag.hex()}: "
            "the packet belongs to another build; use the two halves of one bundle."
        )


def _check_same_layout(layout: StreamLayout, header: Header) -> None:
    _check_same_pair(layout, header)
    if header.tensors is not None and header.description != layout.description:
        raise BitstreamError("bitstream: the packet's tensor table differs from this decoder's layout.")


def _read_side(reader: FieldReader, index: int, tensor: TensorLayout, shape: tuple[int, ...]) -> F32:
    raw = reader.take(f"Side of tensor {index}", 4 * tensor.side_count * shape[0])
    values = np.frombuffer(raw, "<f4").astype(np.float32).reshape(shape[0], tensor.side_count)
    if not np.isfinite(values).all():
        reader.refuse(f"Side of tensor {index}", "holds a value that is not finite")
    return values


def _read_shape(reader: FieldReader, index: int, tensor: TensorLayout, max_elements: int) -> tuple[int, ...]:
    shape = tuple(
        reader.varint(f"Size of axis {axis} of tensor {index}", 1, max_elements) if size is None else size
        for axis, size in enumerate(tensor.shape)
    )
    elements = 1
    for size in shape:
        elements *= size
    if elements > max_elements:
        reader.refuse(f"Shape of tensor {index}", f"has {elements} elements, at most {max_elements} are allowed")
    return shape


def _read_payloads(reader: FieldReader, views: Sequence[PlaneView], seed: int) -> list[list[memoryview]]:
    """Payloads by tensor and chunk, every checksum verified."""
    counts = [view.chunks for view in views]
    if sum(counts) * CHECKSUM_BYTES > reader.left:
        needs = f"of {sum(counts)} chunks needs {sum(counts) * CHECKSUM_BYTES} bytes"
        reader.refuse("Checksum", f"{needs}, {reader.left} left (truncated)", reader.offset)
    places = [(tensor, chunk) for tensor, count in enumerate(counts) for chunk in range(count)]
    payloads: list[list[memoryview]] = [[] for _ in views]
    for tensor, chunk in places:
        is_last = (tensor, chunk) == places[-1]
        size = reader.left - CHECKSUM_BYTES if is_last else reader.varint("Payload_Size", 0, reader.left)
        start, stored = reader.offset, reader.u32("Checksum")
        payload = reader.take("Payload", size)
        if stored != checksum(seed, tensor, chunk, payload):
            why = "damaged or truncated, or written with another layout or other tables"
            reader.refuse(f"Checksum of chunk {chunk} of tensor {tensor}", f"does not match ({why})", start)
        payloads[tensor].append(payload)
    return payloads
