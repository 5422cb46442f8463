"""The chunks that ``replay.cpp`` recodes: those of the golden streams, and fixed ones for every number of lanes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from reference.streams import smooth, two_tensor_stream

from splitc.codec.bitstream import read_packet
from splitc.codec.entropy import ENTROPY_CODERS, ChunkCoder
from splitc.codec.entropy.mix import Mix
from splitc.codec.entropy.rans import Rans
from splitc.native import _core
from splitc.types import Symbols
from splitc.weights.level_tables import CONTEXTS, TOKENS, fit_classes, frequencies_of

RANS, RANGE, PACKED, RANS_ALONE, LEVELS, MIX = 1, 2, 3, 4, 5, 6
SHAPES = [(1, 1, 1), (3, 5, 7), (64, 9, 9), (96, 14, 14), (40, 28, 28), (24, 56, 56), (577, 7, 7), (20000, 1, 1)]
"""One lane to 32, rows that do not divide into lanes, planes of one symbol."""
MIX_SHAPES = [(1, 1, 1), (13, 5, 7), (5, 1, 40), (11, 31, 33)]
"""Samples cut through, planes of a row, and wider than any vector."""
LEVEL_SIDES = [(5, 3, 9), (64, 33, 9), (700, 131, 1)]
"""Two lanes, 32 of them, and more than one block of a chunk."""


KINDS = {"rans": RANS, "range": RANGE, "mix": MIX}
"""Coders whose golden streams are replayed."""
GOLDEN = Path(__file__).parents[1] / "golden" / "v1"


def case(
    kind: int,
    bits: int,
    shape: tuple[int, ...],
    payload: bytes,
    tables: bytes = b"",
    previous: Symbols | None = None,
    first_plane: int = 3,
) -> bytes:
    """One case as ``replay.cpp`` reads it."""
    past = b"" if previous is None else previous.tobytes()
    head = struct.pack("<9I", kind, bits, *shape, first_plane, len(tables), len(past), len(payload))
    return head + tables + past + payload


def cases() -> Iterator[bytes]:
    for stream in sorted(GOLDEN.glob("*.bin")):
        yield from _of_golden_stream(stream)
    for bits in (1, 4, 8, 12):
        for shape in SHAPES:
            yield from _of_shape(bits, shape)
        for shape in MIX_SHAPES:
            yield from _of_mix(bits, shape)
    for sides in LEVEL_SIDES:
        yield _of_levels(sides)


def _of_shape(bits: int, shape: tuple[int, int, int]) -> Iterator[bytes]:
    x, past = varied(shape, bits, 4), varied(shape, bits, 5)
    samples = [varied((5, 12, 12), bits, seed) for seed in (1, 2)]
    tables = Rans().fit(samples[:1], bits, samples[1:])
    coder = Rans().open(bits, 5, tables)
    yield case(RANS, bits, shape, coder.encode(x, 3), tables)
    yield case(RANS, bits, shape, _core.RansModel(tables).encode(x, 3, past), tables, past)
    yield case(RANS_ALONE, bits, shape, _core.rans_encode_alone(x, bits))
    yield case(RANGE, bits, shape, ENTROPY_CODERS.make("range", {}).open(bits, 5, b"").encode(x))
    yield case(PACKED, bits, shape, _core.pack_bits(x, bits))


def _of_mix(bits: int, shape: tuple[int, int, int]) -> Iterator[bytes]:
    """By itself, and as a predicted frame."""
    x, past = varied(shape, bits, 4), varied(shape, bits, 5)
    samples = [varied((5, 12, 12), bits, seed) for seed in (1, 2)]
    alone = Mix().fit(samples, bits)
    yield case(MIX, bits, shape, _core.MixModel(alone).encode(x, 3), alone)
    predicted = Mix().fit_predicted(samples[:1], samples[1:], bits)
    yield case(MIX, bits, shape, _core.MixModel(predicted).encode(x, 3, past), predicted, past)


def _of_levels(sides: tuple[int, int, int]) -> bytes:
    """The end of a tensor of weights, some of its levels too large for a token."""
    source = np.random.default_rng(6)
    levels = np.rint(source.laplace(0, 1 + 8 * source.random((sides[0], 1, 1)), sides)).astype(np.int32)
    levels[::5, 0, 0] = 1000
    classes, first = fit_classes(levels), sides[1] * sides[2] + 1
    counts = _core.scw_count(levels.ravel(), *classes, 0, CONTEXTS).reshape(CONTEXTS, TOKENS)
    frequencies = frequencies_of(counts)
    payload = _core.ScwTables(frequencies).encode(levels.ravel()[first:], *classes, first)
    beside = np.concatenate(classes)
    return case(LEVELS, 0, sides, payload, frequencies.astype("<u2").tobytes(), beside, first)


@dataclass(frozen=True)
class _Listening:
    """A coder that keeps what it is asked to decode: (payload, shape, first plane)."""

    coder: ChunkCoder
    heard: list[tuple[bytes, tuple[int, int, int], int]]

    @property
    def wire_id(self) -> int:
        return self.coder.wire_id

    @property
    def tables_hash(self) -> bytes:
        return self.coder.tables_hash

    def decode(self, payload: bytes, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        self.heard.append((bytes(payload), shape, first_plane))
        return self.coder.decode(payload, shape, first_plane)


def _of_golden_stream(stream: Path) -> Iterator[bytes]:
    """The chunks of a stream of a native coder with a golden stream; others are not replayed."""
    name = stream.stem.removesuffix("_inline")
    if name not in KINDS:
        return
    tables = b"" if name == "range" else (GOLDEN / f"{name}_tables.bin").read_bytes()
    layout, _, _ = two_tensor_stream(name, tables)
    heard: list[tuple[bytes, tuple[int, int, int], int]] = []
    tensors = tuple(replace(tensor, coder=_Listening(tensor.coder, heard)) for tensor in layout.tensors)
    read_packet(replace(layout, tensors=tensors), stream.read_bytes())
    for payload, shape, first in heard:
        yield case(KINDS[name], 4, shape, payload, tables, first_plane=first)


def varied(shape: tuple[int, int, int], bits: int, seed: int) -> Symbols:
    """Smooth symbols with a flat plane here and there."""
    x = smooth((min(shape[0], 32), *shape[1:]), bits, seed)
    repeated = np.resize(x, shape).copy()
    repeated[::7] = seed % 2**bits
    return repeated
