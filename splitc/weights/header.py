"""The head of a container: what every tensor is and how many bytes its sections have (FORMAT.md, sections 2 and 3)."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import BinaryIO

from splitc.codec import FieldReader, varint
from splitc.errors import BitstreamError, CapabilityError
from splitc.weights.encodings import ENCODINGS, Wanted
from splitc.weights.ledger import PARTS, SectionSize
from splitc.weights.tensor import MAX_ELEMENTS, MAX_NAME_BYTES, MAX_RANK, TYPES

MAGIC = b"SCWT"
VERSION = 1
CONTAINER, DELTA = 0, 1
"""Kinds."""
HASH_BYTES = 32
MAX_TENSORS = 65_536
MAX_HEADER_BYTES = 1 << 26
MAX_SECTIONS = 4096
MAX_SECTION_BYTES = (1 << 32) - 1
MAX_PARAMETER_BYTES = 64
PREFIX_BYTES = 10
TYPE_NAMES = {kind.wire_id: name for name, kind in TYPES.items()}
WHAT = "weights"


@dataclass(frozen=True)
class Entry:
    """One tensor of a container.

    Attributes:
        wanted: Name, type and shape.
        encoding: Name of its encoding.
        digest: SHA-256 of its values.
        parameters: Of the encoding.
        sections: Sizes, in file order.
    """

    wanted: Wanted
    encoding: str
    digest: bytes
    parameters: bytes
    sections: tuple[SectionSize, ...]


@dataclass(frozen=True)
class ContainerHeader:
    """Everything before the first section.

    Attributes:
        tables: Level tables as written; empty where no tensor has levels.
        entries: Tensors, in file order.
        base, target: Content hashes that a delta leads from and to; empty in a container.
    """

    tables: bytes
    entries: tuple[Entry, ...]
    base: bytes = b""
    target: bytes = b""

    @property
    def is_delta(self) -> bool:
        """Whether tensors may refer to a base."""
        return bool(self.base)

    @property
    def section_bytes(self) -> int:
        """Bytes of all sections together."""
        return sum(section.bytes for entry in self.entries for section in entry.sections)

    @property
    def content(self) -> bytes:
        """The content hash: of what the tensors are, however they are coded."""
        return content_hash([(entry.wanted, entry.digest) for entry in self.entries])


def content_hash(tensors: list[tuple[Wanted, bytes]]) -> bytes:
    """SHA-256 over name, type, shape and hash of every tensor, in the order of their names."""
    whole = hashlib.sha256()
    for wanted, digest in sorted(tensors, key=lambda one: one[0].name):
        whole.update(_identity(wanted) + digest)
    return whole.digest()


def _identity(wanted: Wanted) -> bytes:
    name = wanted.name.encode()
    shape = b"".join(varint(side) for side in wanted.shape)
    return varint(len(name)) + name + bytes([TYPES[wanted.dtype].wire_id, len(wanted.shape)]) + shape


# -- writing -------------------------------------------------------------------------------------------------------


def write_header(header: ContainerHeader) -> bytes:
    """The bytes before the first section, hash included."""
    body = header.base + header.target + varint(len(header.tables)) + header.tables + varint(len(header.entries))
    body += b"".join(_entry_bytes(entry) for entry in header.entries)
    kind = DELTA if header.is_delta else CONTAINER
    data = MAGIC + bytes([VERSION, kind]) + len(body).to_bytes(4, "little") + body
    return data + hashlib.sha256(data).digest()


def _entry_bytes(entry: Entry) -> bytes:
    sections = b"".join(bytes([PARTS.index(one.part)]) + varint(one.bytes) for one in entry.sections)
    return b"".join(
        (
            _identity(entry.wanted),
            entry.digest,
            bytes([ENCODINGS.load(entry.encoding).wire_id]),
            varint(len(entry.parameters)),
            entry.parameters,
            varint(len(entry.sections)),
            sections,
        )
    )


# -- reading -------------------------------------------------------------------------------------------------------


def read_header(file: BinaryIO, size: int) -> tuple[ContainerHeader, int]:
    """Read and check the head of a file of ``size`` bytes that stands at its beginning.

    Returns:
        The header and how many bytes it has.

    Raises:
        BitstreamError: Not a container of this version, damaged, truncated or followed by other bytes.
    """
    prefix = FieldReader(file.read(PREFIX_BYTES), WHAT)
    if bytes(prefix.take("Magic", 4)) != MAGIC:
        prefix.refuse("Magic", "is not 'SCWT'; this is no weight container")
    version, kind, length = prefix.u8("Version"), prefix.u8("Kind"), prefix.u32("Header_Size")
    if version != VERSION:
        prefix.refuse("Version", f"is {version}, this splitc reads {VERSION}", 4)
    if kind not in (CONTAINER, DELTA):
        prefix.refuse("Kind", f"is {kind}, must be {CONTAINER} or {DELTA}", 5)
    whole = PREFIX_BYTES + length + HASH_BYTES
    if length > MAX_HEADER_BYTES or whole > size:
        prefix.refuse("Header_Size", f"is {length}, the file has {size} bytes (truncated)", 6)
    body, found = file.read(length), file.read(HASH_BYTES)
    if hashlib.sha256(prefix.read_so_far() + body).digest() != found:
        raise BitstreamError(
            f"{WHAT}: Header_Hash at offset {PREFIX_BYTES + length} does not match; copy the file again."
        )
    header = _read_body(FieldReader(body, WHAT), kind)
    if whole + header.section_bytes != size:
        raise BitstreamError(
            f"{WHAT}: the sections end at offset {whole + header.section_bytes}, the file at {size}; copy it again."
        )
    return header, whole


def _read_body(reader: FieldReader, kind: int) -> ContainerHeader:
    hashes = [bytes(reader.take(field, HASH_BYTES)) for field in ("Base_Hash", "Target_Hash") if kind == DELTA]
    tables = bytes(reader.take("Level_Tables", reader.varint("Tables_Size", 0, MAX_HEADER_BYTES)))
    count = reader.varint("Tensor_Count", 0, MAX_TENSORS)
    names = _encoding_names(is_delta=kind == DELTA)
    entries = tuple(_read_entry(reader, names) for _ in range(count))
    if reader.left:
        reader.refuse("Tensor_Count", f"is followed by {reader.left} bytes that belong to no tensor")
    if len({entry.wanted.name for entry in entries}) != count:
        raise BitstreamError(f"{WHAT}: two tensors have the same name.")
    return ContainerHeader(tables, entries, *hashes)


def _encoding_names(*, is_delta: bool) -> dict[int, str]:
    """Name of every encoding that may stand here, by wire id."""
    try:
        loaded = {name: ENCODINGS.load(name) for name in ENCODINGS}
    except CapabilityError as error:  # no encoding has an extra today
        raise BitstreamError(f"{WHAT}: {error}") from error
    return {one.wire_id: name for name, one in loaded.items() if is_delta or not one.in_delta}


def _read_entry(reader: FieldReader, names: dict[int, str]) -> Entry:
    raw = bytes(reader.take("Name", reader.varint("Name_Size", 1, MAX_NAME_BYTES)))
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        reader.refuse("Name", "is not UTF-8")
    kind = reader.u8("Type")
    if kind not in TYPE_NAMES:
        reader.refuse("Type", f"of {name!r} is {kind}, which is none this splitc packs")
    rank = reader.u8("Rank")
    if rank > MAX_RANK:
        reader.refuse("Rank", f"of {name!r} is {rank}, must be at most {MAX_RANK}")
    shape = tuple(reader.varint("Size", 0, MAX_ELEMENTS) for _ in range(rank))
    if math.prod(shape) > MAX_ELEMENTS:
        reader.refuse("Size", f"of {name!r} makes {math.prod(shape)} elements, at most {MAX_ELEMENTS}")
    digest = bytes(reader.take("Hash", HASH_BYTES))
    encoding = reader.u8("Encoding")
    if encoding not in names:
        reader.refuse("Encoding", f"of {name!r} is {encoding}, which does not stand here")
    parameters = bytes(reader.take("Parameters", reader.varint("Parameters_Size", 0, MAX_PARAMETER_BYTES)))
    sections = tuple(_read_section(reader) for _ in range(reader.varint("Section_Count", 0, MAX_SECTIONS)))
    return Entry(Wanted(name, TYPE_NAMES[kind], shape), names[encoding], digest, parameters, sections)


def _read_section(reader: FieldReader) -> SectionSize:
    part = reader.u8("Part")
    if part >= len(PARTS):
        reader.refuse("Part", f"is {part}, must be below {len(PARTS)}")
    return SectionSize(PARTS[part], reader.varint("Section_Size", 0, MAX_SECTION_BYTES))
