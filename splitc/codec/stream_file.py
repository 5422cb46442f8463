"""A stream in a file: what decodes it, then its packets, each with its length (FORMAT.md section 12)."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass

from splitc.codec.byte_fields import FieldReader, varint
from splitc.codec.codec import Codec
from splitc.errors import BundleError
from splitc.native import _core

MAGIC = b"SCST"
VERSION = 1
WITH_CODEC = 0
OF_PAIR = 1
PAIR_ID_BYTES = 32
MAX_CODEC_BYTES = 1 << 26
MAX_PACKET_BYTES = 1 << 30
MAX_PACKETS = 1 << 24
LEAST_PACKET_BYTES = 12
"""In the file: a size, and a packet of fixed sizes whose payload is empty."""
MAX_CODEC_LISTS = 1 << 14
_WHAT = "stream file"


@dataclass(frozen=True)
class StreamFile:
    """What a stream file holds.

    Attributes:
        packets: In order.
        codec: What decodes them; None where that is a bundle's.
        pair_id: Of that bundle, 32 bytes; empty where the codec is inside.
    """

    packets: tuple[bytes, ...]
    codec: Codec | None = None
    pair_id: bytes = b""

    def to_bytes(self) -> bytes:
        """The file."""
        head = MAGIC + bytes([VERSION])
        if self.codec is None:
            head += bytes([OF_PAIR]) + self.pair_id
        else:
            packed = zlib.compress(json.dumps(self.codec.to_json(), sort_keys=True, allow_nan=False).encode(), 9)
            head += bytes([WITH_CODEC]) + varint(len(packed)) + packed
        head += varint(len(self.packets))
        head += _core.crc32c(head).to_bytes(4, "little")
        return head + b"".join(varint(len(packet)) + packet for packet in self.packets)

    @classmethod
    def from_bytes(cls, data: bytes) -> StreamFile:
        """Read a file that may come from a stranger.

        Raises:
            BitstreamError: Not a stream file of this version, damaged, or cut off.
        """
        reader = FieldReader(data, _WHAT)
        if reader.take("Magic", len(MAGIC)) != MAGIC:
            reader.refuse("Magic", f"is not {MAGIC.decode()}: not a splitc stream file")
        version = reader.u8("Version")
        if version != VERSION:
            reader.refuse("Version", f"is {version}, this splitc reads {VERSION}")
        kind = reader.u8("Kind")
        if kind not in (WITH_CODEC, OF_PAIR):
            reader.refuse("Kind", f"is {kind}, must be {WITH_CODEC} or {OF_PAIR}")
        start = reader.offset
        size = PAIR_ID_BYTES if kind == OF_PAIR else reader.varint("Codec_Size", 1, MAX_CODEC_BYTES)
        inside = bytes(reader.take("Pair_Id" if kind == OF_PAIR else "Codec", size))
        count = reader.varint("Packet_Count", 0, MAX_PACKETS)
        head = reader.read_so_far()
        if reader.u32("Checksum") != _core.crc32c(head):
            reader.refuse("Checksum", "does not match (damaged or truncated)")
        packets = _read_packets(reader, count)
        if kind == OF_PAIR:
            return cls(packets, pair_id=inside)
        return cls(packets, codec=_read_codec(reader, inside, start))


def _read_packets(reader: FieldReader, count: int) -> tuple[bytes, ...]:
    if count * LEAST_PACKET_BYTES > reader.left:
        reader.refuse("Packet_Count", f"is {count}, {reader.left} bytes are left (truncated)", reader.offset)
    packets = [bytes(reader.take("Packet", reader.varint("Packet_Size", 1, MAX_PACKET_BYTES))) for _ in range(count)]
    if reader.left:
        reader.refuse("Packet", f"is the last one, {reader.left} bytes follow", reader.offset)
    return tuple(packets)


def _read_codec(reader: FieldReader, packed: bytes, offset: int) -> Codec:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, MAX_CODEC_BYTES)
        if not unpacker.eof or unpacker.unused_data:
            reader.refuse("Codec", f"is not one zlib stream of at most {MAX_CODEC_BYTES} bytes", offset)
        if text.count(b"[") + text.count(b"{") > MAX_CODEC_LISTS:  # each would cost more memory than the file has bytes
            reader.refuse("Codec", f"holds more than {MAX_CODEC_LISTS} lists and objects", offset)
        return Codec.from_json(json.loads(text))
    except (zlib.error, ValueError, RecursionError, BundleError) as error:
        reader.refuse("Codec", f"cannot be read ({error})".rstrip("."), offset)
