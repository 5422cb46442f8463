"""What both ends of a picture-coded stream know beforehand (FORMAT.md, "Picture tables")."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from splitc.codec.byte_fields import FieldReader, varint
from splitc.codec.tilings import TILINGS, Tiling
from splitc.errors import BitstreamError, CodecError
from splitc.native import _core

MAGIC = b"SPIC"
VERSION = 1
MAX_RANK = 8
MAX_SIDE = 1 << 28
MAX_PARAMETER_SETS = 4096


@dataclass(frozen=True)
class PictureTables:
    """Tiling, shape and parameter sets of a tensor's pictures.

    Attributes:
        tiling: Name.
        shape: Of one sample: channels, then the inner axes.
        parameter_sets: Of the codec; as FORMAT.md says.
    """

    tiling: str
    shape: tuple[int, ...]
    parameter_sets: bytes

    @property
    def arrangement(self) -> Tiling:
        """The tiling itself."""
        return TILINGS.make(self.tiling, {})

    def to_bytes(self) -> bytes:
        """As FORMAT.md has them."""
        head = MAGIC + bytes([VERSION, TILINGS.load(self.tiling).wire_id, len(self.shape)])
        sizes = b"".join(varint(size) for size in self.shape)
        tables = head + sizes + varint(len(self.parameter_sets)) + self.parameter_sets
        return tables + struct.pack("<I", _core.crc32c(tables))

    @classmethod
    def from_bytes(cls, data: bytes) -> PictureTables:
        """Raises: CodecError: not what :meth:`to_bytes` writes; names field and offset."""
        try:
            return _read(FieldReader(data, "picture tables"))
        except BitstreamError as error:
            raise CodecError(str(error)) from error


def _read(reader: FieldReader) -> PictureTables:
    if reader.take("Magic", len(MAGIC)) != MAGIC:
        reader.refuse("Magic", f"is not {MAGIC.decode()!r}")
    if (version := reader.u8("Version")) != VERSION:
        reader.refuse("Version", f"is {version}, must be {VERSION}")
    tiling = _tiling_name(reader)
    rank = reader.u8("Rank")
    if not 1 <= rank <= MAX_RANK:
        reader.refuse("Rank", f"is {rank}, must be 1..{MAX_RANK}")
    shape = tuple(reader.varint("Size", 1, MAX_SIDE) for _ in range(rank))
    size = reader.varint("Parameter_Sets_Size", 1, MAX_PARAMETER_SETS)
    parameter_sets = bytes(reader.take("Parameter_Sets", size))
    before = reader.read_so_far()
    if reader.u32("Checksum") != _core.crc32c(before):
        reader.refuse("Checksum", "does not match")
    if reader.left:
        reader.refuse("Checksum", "is followed by extra bytes")
    return PictureTables(tiling, shape, parameter_sets)


def _tiling_name(reader: FieldReader) -> str:
    wire_id = reader.u8("Tiling_Id")
    names: Sequence[str] = [name for name in TILINGS if TILINGS.load(name).wire_id == wire_id]
    if not names:
        reader.refuse("Tiling_Id", f"is {wire_id}, which is no tiling")
    return names[0]
