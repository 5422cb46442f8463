"""Containers of weights: written whole, read one tensor at a time (FORMAT.md).

header: tensor table, level tables, hash ── sections of tensor 0 ── sections of tensor 1 ── ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

import numpy as np

from splitc import files
from splitc.codec import FieldReader
from splitc.errors import BitstreamError, CodecError, UsageError
from splitc.native import _core
from splitc.weights.encodings import ENCODINGS, Coded, Context, Encoding, Wanted
from splitc.weights.encodings.levels import LevelPlan, Levels
from splitc.weights.encodings.planes import Planes
from splitc.weights.encodings.raw import Raw
from splitc.weights.header import ContainerHeader, Entry, read_header, write_header
from splitc.weights.ledger import SectionSize, ledger
from splitc.weights.level_tables import frequencies_of, read_tables, write_tables
from splitc.weights.tensor import MAX_ELEMENTS, WeightTensor, digest_of

SMALL_BYTES = 64
"""Tensors up to this size are stored as they are: coding them costs more than it saves."""


class Item(NamedTuple):
    """A tensor and how to code it."""

    tensor: WeightTensor
    encoding: Encoding


def lossless_items(tensors: Iterable[WeightTensor]) -> list[Item]:
    """Every tensor as byte planes, short ones raw."""
    return [Item(tensor, Planes() if tensor.nbytes > SMALL_BYTES else Raw()) for tensor in tensors]


# -- writing -------------------------------------------------------------------------------------------------------


def container_bytes(items: Sequence[Item]) -> bytes:
    """The container of ``items``: the same items give the same bytes.

    Raises:
        CodecError: A tensor that its encoding cannot represent, or two of one name.
    """
    return assemble(items, {})


def assemble(
    items: Sequence[Item], bases: Mapping[str, WeightTensor], hashes: tuple[bytes, bytes] = (b"", b"")
) -> bytes:
    """A container, or a delta where ``hashes`` names its base and its target."""
    names = [item.tensor.name for item in items]
    if len(set(names)) != len(names):
        raise CodecError("weights: two tensors have the same name.")
    plans = {one.tensor.name: one.encoding.plan(one.tensor) for one in items if isinstance(one.encoding, Levels)}
    table_bytes, tables = _tables(list(plans.values()))
    coded = [_code(item, plans, Context(tables, bases.get(item.tensor.name))) for item in items]
    entries = tuple(_entry(item, one) for item, one in zip(items, coded, strict=True))
    header = ContainerHeader(table_bytes, entries, *hashes)
    return b"".join([write_header(header), *(section.payload for one in coded for section in one.sections)])


def _tables(plans: Sequence[LevelPlan]) -> tuple[bytes, _core.ScwTables | None]:
    """One set of tables for every tensor that has levels."""
    if not plans:
        return b"", None
    frequencies = frequencies_of(np.sum([plan.counts() for plan in plans], axis=0))
    return write_tables(frequencies), _core.ScwTables(frequencies)


def _code(item: Item, plans: Mapping[str, LevelPlan], context: Context) -> Coded:
    plan = plans.get(item.tensor.name)
    if plan is not None and isinstance(item.encoding, Levels) and context.tables is not None:
        return item.encoding.encode_plan(plan, context.tables)
    return item.encoding.encode(item.tensor, context)


def _entry(item: Item, coded: Coded) -> Entry:
    tensor = item.tensor
    wanted = Wanted(tensor.name, tensor.dtype, tensor.shape)
    sizes = tuple(SectionSize(section.part, len(section.payload)) for section in coded.sections)
    return Entry(wanted, item.encoding.name, tensor.digest, coded.parameters, sizes)


# -- reading -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Container:
    """An open container: its header is checked, its tensors are read when asked for.

    Holds the bytes of one tensor at a time. Every tensor is compared with its hash before it is returned.
    ``label`` names the file at the beginning of every message.
    """

    header: ContainerHeader
    header_bytes: int
    file: BinaryIO
    tables: _core.ScwTables | None
    max_elements: int
    label: str = ""

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    @property
    def ledger(self) -> dict[str, int]:
        """Bytes by part; they sum to the file."""
        return ledger(self.header_bytes, (one for entry in self.header.entries for one in entry.sections))

    def tensors(self, bases: Mapping[str, WeightTensor] | None = None) -> Iterator[WeightTensor]:
        """Every tensor in file order.

        Args:
            bases: Tensors of a delta's base by name.

        Raises:
            BitstreamError: The file is damaged; the message names the tensor. No wrong values are yielded.
        """
        self.file.seek(self.header_bytes)
        for entry in self.header.entries:
            sections = [self.file.read(section.bytes) for section in entry.sections]
            base = bases.get(entry.wanted.name) if bases else None
            try:
                yield self._decoded(entry, sections, Context(self.tables, base))
            except BitstreamError as error:
                raise BitstreamError(f"{self.label}{error}") from error

    def _decoded(self, entry: Entry, sections: Sequence[bytes], context: Context) -> WeightTensor:
        wanted = entry.wanted
        if wanted.count > self.max_elements:
            raise BitstreamError(
                f"weights: tensor {wanted.name!r} has {wanted.count} elements, at most {self.max_elements} are allowed."
            )
        encoding, held = ENCODINGS.load(entry.encoding), sum(map(len, sections))
        files.require_memory(encoding.memory(wanted), held, f"weights: tensor {wanted.name!r}", BitstreamError)
        parameters = FieldReader(entry.parameters, "weights")
        try:
            values = encoding.decode(wanted, parameters, sections, context)
        except (BitstreamError, CodecError) as error:
            raise BitstreamError(f"weights: tensor {wanted.name!r} ({entry.encoding}): {error}") from error
        if parameters.left or digest_of(values) != entry.digest:
            raise BitstreamError(f"weights: tensor {wanted.name!r} does not match its hash; copy the file again.")
        return WeightTensor(wanted.name, wanted.dtype, values.reshape(wanted.shape))


def open_container(source: Path | BinaryIO, max_elements: int = MAX_ELEMENTS) -> Container:
    """Open a container or a delta and check its header.

    Args:
        source: A file, or bytes that can be read and sought.
        max_elements: Refuse a tensor of more elements before allocating it.

    Raises:
        UsageError: The file is absent.
        BitstreamError: It is not a container of this version, or damaged.
    """
    try:
        file = files.open_plain(source) if isinstance(source, Path) else source
    except OSError as error:
        raise UsageError(f"{source}: cannot be read ({error.strerror}).") from error
    label = f"{source}: " if isinstance(source, Path) else ""
    try:
        file.seek(0, 2)
        size = file.tell()
        file.seek(0)
        header, header_bytes = read_header(file, size)
        tables = read_tables(header.tables) if header.tables else None
    except BitstreamError as error:
        file.close()
        raise BitstreamError(f"{label}{error}") from error
    except BaseException:
        file.close()
        raise
    return Container(header, header_bytes, file, tables, max_elements, label)
