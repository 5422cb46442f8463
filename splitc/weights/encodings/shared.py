"""Sparse and shared weights: relative indices, a codebook, and a coder for both (FORMAT.md, "shared").

Deep Compression as T-C3D uses it (RT12 to RT15): zeros are left out, the others are codes of a codebook, and codes and
indices are Huffman-coded. Every part can be left out, so that each row of the paper's Table VIII is an option here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from splitc.codec import FieldReader, varint
from splitc.errors import BitstreamError, CodecError
from splitc.types import Array
from splitc.weights.encodings.base import Coded, Context, Encoding, Wanted
from splitc.weights.encodings.relative import Entries, entries_of, positions_of
from splitc.weights.ledger import CodedSection
from splitc.weights.streams import CODERS as STREAMS
from splitc.weights.streams import NAMES, CoderName, coder_for, decode_stream, encode_stream
from splitc.weights.tensor import MAX_ELEMENTS, WeightTensor

Basis = Literal["dense", "csr", "csc"]
BASES: tuple[Basis, ...] = ("dense", "csr", "csc")
"""By wire id."""
INDEX_BITS = 8
"""Of a relative index, unless another number is asked for."""
LENGTH_BITS = 16
MAX_LINE = (1 << LENGTH_BITS) - 1


class Shared(Encoding):
    """Zeros by relative index, values by codebook."""

    name: ClassVar[str] = "shared"
    wire_id: ClassVar[int] = 2

    basis: Basis = Field("csr", description="lines that indices run along: rows, columns; dense stores zeros too")
    index_bits: int = Field(INDEX_BITS, ge=1, le=16, description="bits a relative index")
    code_bits: int = Field(8, ge=0, le=16, description="bits a code; 0 stores the values themselves")
    coder: CoderName = Field("huffman", description="of codes and indices")

    def encode(self, tensor: WeightTensor, context: Context) -> Coded:
        bits = _bit_view(_lines(tensor.values, self.basis))
        entries = _all_entries(bits) if self.basis == "dense" else entries_of(bits != 0, self.index_bits)
        if len(entries.lengths) and int(entries.lengths.max()) > MAX_LINE and self.basis != "dense":
            raise CodecError(f"weights: tensor {tensor.name!r} stores more than {MAX_LINE} entries in one line.")
        stored = np.where(entries.sources < 0, 0, bits.reshape(-1)[entries.sources])
        codebook, values = self._values(tensor.name, stored)
        sections = [CodedSection("codebooks", codebook), CodedSection("values", values)]
        if self.basis != "dense":
            coder = coder_for(self.coder, self.index_bits)
            sections.append(CodedSection("indices", encode_stream(coder, entries.gaps, self.index_bits)))
            sections.append(CodedSection("indices", self._lengths(entries)))
        head = bytes([BASES.index(self.basis), self.index_bits, self.code_bits, STREAMS[self.coder].wire_id])
        return Coded(head + varint(len(entries.gaps)), tuple(sections))

    def _values(self, name: str, stored: Array) -> tuple[bytes, bytes]:
        if self.code_bits == 0:
            return b"", stored.tobytes()
        codebook, codes = np.unique(stored, return_inverse=True)  # by bits: zero, if there, comes first
        if len(codebook) > 1 << self.code_bits:
            raise CodecError(
                f"weights: tensor {name!r} has {len(codebook)} distinct values, {self.code_bits} bits hold "
                f"{1 << self.code_bits}; share its weights first, or give more bits."
            )
        return codebook.tobytes(), encode_stream(coder_for(self.coder, self.code_bits), codes, self.code_bits)

    def _lengths(self, entries: Entries) -> bytes:
        """Pointers of m + 1 numbers in the fixed coder, as the paper counts them; else the lengths of the lines."""
        if self.coder == "fixed":
            return np.concatenate([[0], np.cumsum(entries.lengths)]).astype("<u4").tobytes()
        return encode_stream("rans", entries.lengths, LENGTH_BITS)

    @classmethod
    def memory(cls, wanted: Wanted) -> int:
        """Lines are counted in 64 bits, and there may be one a value."""
        return super().memory(wanted) + 48 * max(_sizes(wanted.shape, "csr"), default=0)

    @classmethod
    def decode(cls, wanted: Wanted, parameters: FieldReader, sections: Sequence[bytes], context: Context) -> Array:
        head = _read_head(parameters)
        if len(sections) != (2 if head.basis == "dense" else 4):
            raise BitstreamError(f"has {len(sections)} sections, which is wrong for basis {head.basis!r}.")
        lines, length = _sizes(wanted.shape, head.basis)
        values = _stored_values(wanted, head, sections)
        if head.basis == "dense":
            if head.stored != wanted.count:
                raise BitstreamError(f"stores {head.stored} values, must store {wanted.count}.")
            return values.view(wanted.stored)
        coder = coder_for(head.coder, head.index_bits)
        gaps = decode_stream(coder, sections[2], head.index_bits, head.stored)
        lengths = _line_lengths(head, sections[3], lines)
        out = np.zeros(wanted.count, values.dtype)
        out[positions_of(gaps, lengths, length)] = values
        return _from_lines(out, wanted.shape, head.basis).view(wanted.stored)


class _Head(NamedTuple):
    basis: Basis
    index_bits: int
    code_bits: int
    coder: CoderName
    stored: int


def _read_head(parameters: FieldReader) -> _Head:
    basis, index_bits, code_bits, coder = (
        parameters.u8(field) for field in ("Basis", "Index_Bits", "Code_Bits", "Coder")
    )
    if basis >= len(BASES) or not 1 <= index_bits <= 16 or code_bits > 16 or coder not in NAMES:
        raise BitstreamError("has parameters outside their range.")
    stored = parameters.varint("Stored", 0, MAX_ELEMENTS)
    return _Head(BASES[basis], index_bits, code_bits, NAMES[coder], stored)  # type: ignore[arg-type]  # a known name


def _stored_values(wanted: Wanted, head: _Head, sections: Sequence[bytes]) -> Array:
    """Bits of every entry, ``[stored]``."""
    kind = f"<u{wanted.itemsize}"
    if head.stored > wanted.count:
        raise BitstreamError(f"stores {head.stored} values of {wanted.count}.")
    if head.code_bits == 0:
        if len(sections[1]) != head.stored * wanted.itemsize:
            raise BitstreamError("stores another number of values than it says.")
        return np.frombuffer(sections[1], kind)
    if len(sections[0]) % wanted.itemsize or len(sections[0]) > wanted.itemsize << head.code_bits:
        raise BitstreamError("has a codebook of a wrong size.")
    codebook = np.frombuffer(sections[0], kind)
    codes = decode_stream(coder_for(head.coder, head.code_bits), sections[1], head.code_bits, head.stored)
    if codes.size and int(codes.max()) >= len(codebook):
        raise BitstreamError("has a code beyond its codebook.")
    return codebook[codes]


def _line_lengths(head: _Head, payload: bytes, lines: int) -> Array:
    if head.coder == "fixed":
        pointers = np.frombuffer(payload, "<u4") if len(payload) == 4 * (lines + 1) else np.empty(0, "<u4")
        if not len(pointers) or pointers[0] != 0:
            raise BitstreamError("has pointers of a wrong size.")
        lengths = np.diff(pointers.astype(np.int64))
    else:
        lengths = decode_stream("rans", payload, LENGTH_BITS, lines).astype(np.int64)
    if (lengths.size and int(lengths.min()) < 0) or int(lengths.sum()) != head.stored:
        raise BitstreamError("has lines whose lengths are not those of its entries.")
    return lengths


def _sizes(shape: Sequence[int], basis: Basis) -> tuple[int, int]:
    """Lines and their length: the tensor is seen as ``[axis 0, all others]``."""
    rows = shape[0] if shape else 1
    columns = int(np.prod(shape[1:], dtype=np.int64))
    return (columns, rows) if basis == "csc" else (rows, columns)


def _lines(values: Array, basis: Basis) -> Array:
    lines, length = _sizes(values.shape, basis)
    return values.reshape(length, lines).T if basis == "csc" else values.reshape(lines, length)


def _from_lines(flat: Array, shape: tuple[int, ...], basis: Basis) -> Array:
    if basis != "csc":
        return flat
    return np.ascontiguousarray(flat.reshape(_sizes(shape, basis)).T).reshape(-1)


def _bit_view(values: Array) -> Array:
    """Bits of the values: -0.0 is not zero, and a NaN equals itself."""
    whole = np.ascontiguousarray(values)
    return whole.view(f"<u{whole.itemsize}")


def _all_entries(bits: Array) -> Entries:
    """Every value, without indices."""
    every = np.arange(bits.size)
    return Entries(every, every, np.full(len(bits), bits.shape[1], np.int64))
