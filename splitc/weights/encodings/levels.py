"""Even steps, coded by context (FORMAT.md, "levels"): our own way for weights that were rounded to a step.

Whoever rounds chooses the steps (``splitc/passes/round_to_steps.py``); here a tensor lies on its grid or is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from splitc.codec import FieldReader, in_order
from splitc.errors import BitstreamError, CodecError
from splitc.native import _core
from splitc.types import F32, U8, Array
from splitc.weights.encodings.base import Coded, Context, Encoding, Wanted
from splitc.weights.ledger import CodedSection
from splitc.weights.level_tables import CLASS_BITS, CONTEXTS, TOKENS, Classes, fit_classes
from splitc.weights.tensor import WeightTensor, outer_middle_inner

CHUNK = 1 << 18
"""Levels that decode by themselves."""
MAX_SHIFT = 16
EXPONENT_BITS = 6
PER_OCTAVE = 4
ROOTS = np.array([1.0, 2**0.25, 2**0.5, 2**0.75], np.float32)
MOST_ESCAPES = 1000
"""A level in so many may be too large for its token before low bits are split off."""
LARGEST = 2.0**30


class LevelPlan(NamedTuple):
    """A tensor as levels, before the tables are known.

    Attributes:
        levels: int32 ``[n]``, low bits split off.
        classes: Of its axes.
        low: Low ``shift`` bits of each level, or nothing.
        shift: How many they are.
    """

    levels: Array
    classes: Classes
    low: Array
    shift: int

    def chunks(self) -> list[int]:
        """First level of every chunk."""
        return list(range(0, len(self.levels), CHUNK))

    def counts(self) -> Array:
        """How often each token occurs in each context, ``[CONTEXTS, 256]``."""
        return _core.scw_count(self.levels, *self.classes, 0, CONTEXTS).reshape(CONTEXTS, TOKENS).astype(np.int64)


class Levels(Encoding):
    """Integers times a step; rows may have steps of their own."""

    name: ClassVar[str] = "levels"
    wire_id: ClassVar[int] = 3

    step: float = Field(1.0, gt=0, description="distance of two values; 1 for integers")
    row_exponents: tuple[int, ...] | None = Field(
        None, description="quarter octaves by which each index of axis 0 has a larger step; absent: none"
    )

    def encode(self, tensor: WeightTensor, context: Context) -> Coded:
        if context.tables is None:
            raise CodecError(f"weights: tensor {tensor.name!r} needs level tables.")
        return self.encode_plan(self.plan(tensor), context.tables)

    def plan(self, tensor: WeightTensor) -> LevelPlan:
        """Levels of ``tensor``.

        Raises:
            CodecError: It does not lie on the grid of these steps, ranges too far on it, or is of a type that has none.
        """
        if tensor.dtype not in ("float32", "float16", "int8") or tensor.flat.size == 0:
            raise CodecError(
                f"weights: tensor {tensor.name!r} is {tensor.dtype} {list(tensor.shape)}; it has no levels."
            )
        levels = self._levels(tensor)
        shift = _shift_of(levels)
        if shift > MAX_SHIFT:
            raise CodecError(
                f"weights: tensor {tensor.name!r} has levels of too wide a range for step {self.step:.6g}."
            )
        low = levels & ((1 << shift) - 1) if shift else np.empty(0, np.int32)
        high = levels >> shift
        return LevelPlan(high, fit_classes(high.reshape(outer_middle_inner(tensor.shape))), low, shift)

    def _levels(self, tensor: WeightTensor) -> Array:
        if tensor.dtype == "int8":
            return tensor.flat.astype(np.int32)
        rows = outer_middle_inner(tensor.shape)[0]
        steps = row_steps(self.step, self._exponents(rows))
        values = tensor.flat.reshape(rows, -1)
        with np.errstate(invalid="ignore", over="ignore"):
            ratio = np.rint(values.astype(np.float32) / steps[:, None])
            is_within = bool((np.abs(ratio) < LARGEST).all())  # NaN is not
            levels = ratio.astype(np.int32) if is_within else np.zeros_like(ratio, np.int32)
        again = (levels.astype(np.float32) * steps[:, None]).astype(tensor.flat.dtype)
        if not is_within or again.tobytes() != values.tobytes():
            raise CodecError(f"weights: tensor {tensor.name!r} does not lie on the grid of step {self.step:.6g}.")
        return levels.reshape(-1)

    def _exponents(self, rows: int) -> U8:
        if self.row_exponents is None:
            return np.zeros(rows, np.uint8)
        if len(self.row_exponents) != rows or not all(0 <= e < 1 << EXPONENT_BITS for e in self.row_exponents):
            raise CodecError(f"weights: row_exponents must be {rows} numbers of 0..{(1 << EXPONENT_BITS) - 1}.")
        return np.array(self.row_exponents, np.uint8)

    def encode_plan(self, plan: LevelPlan, tables: _core.ScwTables) -> Coded:
        """Code a plan with the container's tables."""

        def code(first: int) -> bytes:
            return tables.encode(plan.levels[first : first + CHUNK], *plan.classes, first)

        has_exponents = self.row_exponents is not None
        parameters = struct.pack("<BBf", plan.shift, int(has_exponents), self.step)
        classes = np.concatenate(plan.classes)
        sections = [CodedSection("tables", _core.range_encode(classes.reshape(1, 1, -1), CLASS_BITS))]
        if has_exponents:
            exponents = self._exponents(len(plan.classes.outer)).reshape(1, 1, -1)
            sections.append(CodedSection("tables", _core.range_encode(exponents, EXPONENT_BITS)))
        if plan.shift:
            low = plan.low.astype(np.uint8 if plan.shift <= 8 else np.uint16).reshape(1, 1, -1)
            sections.append(CodedSection("values", _core.pack_bits(low, plan.shift)))
        sections += [CodedSection("values", payload) for payload in in_order(code, plan.chunks(), len(plan.levels))]
        return Coded(parameters, tuple(sections))

    @classmethod
    def decode(cls, wanted: Wanted, parameters: FieldReader, sections: Sequence[bytes], context: Context) -> Array:
        head = _read_head(wanted, parameters, sections, context)
        if wanted.dtype != "int8" and head.shift == 0:
            return _values(wanted, head).astype(wanted.stored, copy=False)
        levels = _levels(wanted, head)
        if wanted.dtype != "int8":
            products = levels.astype(np.float32).reshape(len(head.steps), -1) * head.steps[:, None]
            return products.reshape(-1).astype(wanted.stored, copy=False)
        if levels.size and not -128 <= int(levels.min()) <= int(levels.max()) <= 127:
            raise BitstreamError("has levels that int8 does not hold.")
        return levels.astype(np.int8)


def row_steps(step: float, exponents: U8) -> F32:
    """Step of every row: ``step * ROOTS[e % 4] * 2**(e // 4)``, rounded to binary32 once."""
    products: F32 = np.float32(step) * ROOTS[exponents % PER_OCTAVE]
    return np.ldexp(products, exponents // PER_OCTAVE).astype(np.float32)


class _Head(NamedTuple):
    shift: int
    steps: F32
    classes: Classes
    low: bytes
    chunks: Sequence[bytes]
    tables: _core.ScwTables


def _read_head(wanted: Wanted, parameters: FieldReader, sections: Sequence[bytes], context: Context) -> _Head:
    shift, has_exponents = parameters.u8("Shift"), parameters.u8("Has_Exponents")
    (step,) = struct.unpack("<f", parameters.take("Step", 4))
    if wanted.dtype not in ("float32", "float16", "int8") or wanted.count == 0:
        raise BitstreamError(f"is {wanted.dtype} {list(wanted.shape)}, which has no levels.")
    if shift > MAX_SHIFT or has_exponents > 1 or not (step > 0 and np.isfinite(step)):
        raise BitstreamError("has parameters outside their range.")
    chunks = -(-wanted.count // CHUNK)
    if len(sections) != 1 + has_exponents + (shift > 0) + chunks or context.tables is None:
        raise BitstreamError("has a wrong number of sections, or there are no level tables.")
    rest = list(sections)
    axes = outer_middle_inner(wanted.shape)
    packed = _core.range_decode_u8(rest.pop(0), CLASS_BITS, 1, 1, sum(axes)).reshape(-1)
    outer, middle, inner = np.split(packed, np.cumsum(axes)[:2])
    exponents = np.zeros(axes[0], np.uint8)
    if has_exponents:
        exponents = _core.range_decode_u8(rest.pop(0), EXPONENT_BITS, 1, 1, axes[0]).reshape(-1)
    low = rest.pop(0) if shift else b""
    return _Head(shift, row_steps(step, exponents), Classes(outer, middle, inner), low, rest, context.tables)


def _values(wanted: Wanted, head: _Head) -> F32:
    """Chunks decoded side by side, each into its own part of the tensor."""
    out = np.empty(wanted.count, np.float32)

    def decode(chunk: int) -> None:
        part = out[chunk * CHUNK : (chunk + 1) * CHUNK]
        head.tables.decode_values(head.chunks[chunk], *head.classes, chunk * CHUNK, head.steps, part)

    in_order(decode, range(len(head.chunks)), wanted.count)
    return out


def _levels(wanted: Wanted, head: _Head) -> Array:
    def decode(chunk: int) -> Array:
        first = chunk * CHUNK
        return head.tables.decode_levels(head.chunks[chunk], *head.classes, first, min(CHUNK, wanted.count - first))

    levels: Array = np.concatenate(in_order(decode, range(len(head.chunks)), wanted.count))
    if not head.shift:
        return levels
    unpack = _core.unpack_bits_u8 if head.shift <= 8 else _core.unpack_bits_u16
    low = unpack(head.low, head.shift, 1, 1, wanted.count).reshape(-1)
    with np.errstate(over="ignore"):
        return (levels << head.shift) | low.astype(np.int32)


def _shift_of(levels: Array) -> int:
    """Low bits to split off, so that nearly all levels have tokens of their own."""
    allowed = levels.size // MOST_ESCAPES
    shift = 0
    sizes = np.abs(levels) if int(np.abs(levels).max()) > 127 else None
    while sizes is not None and int((sizes >> shift > 126).sum()) > allowed:
        shift += 1
    return shift
