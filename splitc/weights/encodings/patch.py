"""The base's tensor with some values replaced (FORMAT.md, "patch"); in deltas only.

Distances between changed positions by rANS. Where few values are distinct, as after rounding to steps or sharing, a new
one is told by how many of them it is away from the old one: an update moves most weights to a neighbour. Otherwise new
values stand as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from splitc.codec import FieldReader, varint
from splitc.errors import BitstreamError, CodecError
from splitc.types import Array
from splitc.weights.encodings.base import Coded, Context, Encoding, Wanted
from splitc.weights.encodings.keep import base_of
from splitc.weights.encodings.relative import entries_of, positions_of
from splitc.weights.ledger import CodedSection
from splitc.weights.streams import decode_stream, encode_stream
from splitc.weights.tensor import MAX_ELEMENTS, WeightTensor

GAP_BITS = 16
MOST_DISTINCT = 1 << 15
"""So that a move, in either direction, fits 16 bits."""


class Patch(Encoding):
    """Changed positions and their new values."""

    name: ClassVar[str] = "patch"
    wire_id: ClassVar[int] = 17
    in_delta: ClassVar[bool] = True

    def encode(self, tensor: WeightTensor, context: Context) -> Coded:
        base = context.base
        if base is None or (base.dtype, base.shape) != (tensor.dtype, tensor.shape):
            raise CodecError(f"weights: tensor {tensor.name!r} is not in the base with this type and shape.")
        bits, before = (one.flat.view(f"<u{one.flat.itemsize}") for one in (tensor, base))
        changed = (bits != before).reshape(1, -1)
        entries = entries_of(changed, GAP_BITS)
        places = positions_of(entries.gaps, entries.lengths, bits.size)  # a filler repeats the base's value
        alphabet = _alphabet(before, bits[places])
        if len(alphabet.values) > MOST_DISTINCT:
            move_bits, values, extra = 0, bits[places].tobytes(), b""
        else:
            moves = _rank(alphabet.values, bits[places]) - _rank(alphabet.values, before[places])
            codes = np.where(moves < 0, -2 * moves - 1, 2 * moves)
            move_bits = max(1, int(codes.max(initial=0)).bit_length())
            values, extra = encode_stream("rans", codes, move_bits), alphabet.extra.tobytes()
        head = bytes([move_bits]) + varint(len(entries.gaps))
        indices = encode_stream("rans", entries.gaps, GAP_BITS)
        parts = (("codebooks", extra), ("values", values), ("indices", indices))
        return Coded(head, tuple(CodedSection(part, payload) for part, payload in parts))

    @classmethod
    def decode(cls, wanted: Wanted, parameters: FieldReader, sections: Sequence[bytes], context: Context) -> Array:
        move_bits = parameters.u8("Move_Bits")
        entries = parameters.varint("Entries", 0, MAX_ELEMENTS)
        if len(sections) != 3 or move_bits > 16 or entries > wanted.count:
            raise BitstreamError("has parameters outside their range.")
        base = base_of(wanted, context).view(f"<u{wanted.itemsize}")
        gaps = decode_stream("rans", sections[2], GAP_BITS, entries)
        places = positions_of(gaps, np.array([entries]), wanted.count)
        patched = base.copy()
        patched[places] = _new_values(base, places, move_bits, sections)
        restored: Array = patched.view(wanted.stored)
        return restored


class _Alphabet(NamedTuple):
    """Distinct values in order, those of the base and ``extra`` that it lacks."""

    values: Array
    extra: Array


def _alphabet(base: Array, new: Array) -> _Alphabet:
    extra = np.setdiff1d(new, base)
    return _Alphabet(_ordered(np.union1d(base, extra)), extra)


def _ordered(distinct: Array) -> Array:
    """Bit patterns in the order of the numbers, were they floats: the sign bit turns the order round."""
    return distinct[np.argsort(_sortable(distinct), kind="stable")]


def _sortable(bits: Array) -> Array:
    top = np.array(1 << (8 * bits.itemsize - 1), bits.dtype)
    return np.where(bits & top, ~bits, bits | top)


def _rank(ordered: Array, bits: Array) -> Array:
    return np.searchsorted(_sortable(ordered), _sortable(bits))


def _new_values(base: Array, places: Array, move_bits: int, sections: Sequence[bytes]) -> Array:
    """New bits at ``places``."""
    extra, values, _ = sections
    if len(extra) % base.itemsize or (move_bits == 0 and len(values) != len(places) * base.itemsize):
        raise BitstreamError("has another number of new values than it says.")
    if move_bits == 0:
        return np.frombuffer(values, base.dtype)
    alphabet = _ordered(np.union1d(base, np.frombuffer(extra, base.dtype)))
    codes = decode_stream("rans", values, move_bits, len(places)).astype(np.int64)
    ranks = _rank(alphabet, base[places]) + np.where(codes & 1, -(codes + 1) // 2, codes // 2)
    if len(ranks) and not 0 <= int(ranks.min()) <= int(ranks.max()) < len(alphabet):
        raise BitstreamError("moves a value beyond its alphabet.")
    moved: Array = alphabet[ranks]
    return moved
