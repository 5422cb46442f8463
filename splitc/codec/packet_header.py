"""The head of a packet: FORMAT.md section 2."""

from __future__ import annotations

from dataclasses import dataclass

from splitc.codec.byte_fields import FieldReader
from splitc.codec.description import MAX_DESCRIPTION_BYTES, TensorDescription, read_description

MAGIC = b"\x9d"
VERSION = 1
VERSION_MASK = 0x0F
KEYFRAME = 0x10
INLINE = 0x20
TAG_BYTES = 4
NO_PAIR = bytes(TAG_BYTES)
"""Pair tag of packets that belong to no bundle."""
MAX_SEQUENCE = 2**32 - 1


@dataclass(frozen=True)
class Header:
    """A packet's header as read, before it is compared with any layout.

    Attributes:
        pair_tag: Four bytes.
        sequence: 0..2**32 - 1.
        is_keyframe: Decodes without earlier packets.
        tensors: The tensor table, if the packet carries it.
        description: Its bytes; empty if the packet carries none.
    """

    pair_tag: bytes
    sequence: int
    is_keyframe: bool
    tensors: tuple[TensorDescription, ...] | None
    description: bytes


def read_header(data: bytes) -> Header:
    """Read a packet's header, knowing nothing.

    Raises:
        BitstreamError: Not a packet of this version.
    """
    return header_from(FieldReader(data, "bitstream"))


def header_from(reader: FieldReader) -> Header:
    """The header that ``reader`` stands at; it stands behind it afterwards.

    Raises:
        BitstreamError: As :func:`read_header`.
    """
    if reader.take("Magic", len(MAGIC)) != MAGIC:
        reader.refuse("Magic", f"is not {MAGIC.hex()}: not a splitc packet")
    flags = reader.u8("Version_Flags")
    if flags & VERSION_MASK != VERSION:
        reader.refuse("Version_Flags", f"is of version {flags & VERSION_MASK}, this splitc reads {VERSION}")
    if flags & ~(VERSION_MASK | KEYFRAME | INLINE):
        reader.refuse("Version_Flags", f"is 0x{flags:02x}; bits 6 and 7 must be zero")
    tag = bytes(reader.take("Pair_Tag", TAG_BYTES))
    sequence = reader.varint("Sequence", 0, MAX_SEQUENCE)
    if not flags & INLINE:
        return Header(tag, sequence, bool(flags & KEYFRAME), None, b"")
    size_offset, size = reader.offset, reader.varint("Description_Size", 1, MAX_DESCRIPTION_BYTES)
    start = reader.offset
    tensors = read_description(reader)
    if reader.offset != start + size:
        reader.refuse("Description_Size", f"is {size}, the tensor table has {reader.offset - start} bytes", size_offset)
    return Header(tag, sequence, bool(flags & KEYFRAME), tensors, reader.read_so_far()[start:])
