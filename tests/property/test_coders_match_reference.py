"""The native coders and the readable ones of ``tests/reference`` write the same bytes and read each other's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import cohen, huffman, mix, nrle, packet, range_coder, rans
from reference.streams import LOSSLESS

from splitc.codec.bitstream import StreamLayout, TensorLayout, read_packet, write_packet
from splitc.codec.entropy import ENTROPY_CODERS
from splitc.codec.entropy.mix import Mix
from splitc.codec.entropy.rans import Rans
from splitc.native import _core
from splitc.types import Symbols

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 8), st.integers(1, 8))


def draw_symbols(shape: tuple[int, ...], bits: int, seed: int) -> Symbols:
    """Between constant and uniform, by ``seed``."""
    rng = np.random.default_rng(seed)
    spread = rng.choice([0.0, 0.02, 0.2, 10.0])
    values = np.clip(np.rint((rng.random() + spread * rng.standard_normal(shape)) * 2**bits), 0, 2**bits - 1)
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


def lists(symbols: Symbols) -> list[list[int]]:
    return [[int(v) for v in plane.ravel()] for plane in symbols]


def check_rans(shape: tuple[int, int, int], bits: int, seed: int, first: int, is_temporal: bool = False) -> int:
    """Same bytes, same symbols; returns the lanes."""
    x, past = draw_symbols(shape, bits, seed), draw_symbols(shape, bits, seed + 2)
    samples = [draw_symbols((5, 9, 9), bits, seed + k) for k in (1, 3)]
    tables = Rans().fit(samples[:1], bits, samples[1:] if is_temporal else None)
    coder, readable = Rans().open(bits, 5, tables), rans.Tables.read(tables)
    if is_temporal:
        whole = np.concatenate([np.zeros((first, *shape[1:]), past.dtype), past])
        coder = Rans().following(coder, whole)
    listed = {"previous": lists(past)} if is_temporal else {}
    payload = coder.encode(x, first)
    fields = rans.Fields.read(rans.Bits(payload))  # the encoder's choice
    assert payload == rans.encode(readable, lists(x), shape[2], first, fields=fields, **listed)
    assert rans.decode(readable, payload, *shape, first, **listed) == lists(x)
    assert np.array_equal(coder.decode(payload, shape, first), x)
    return fields.lanes


@settings(max_examples=80, deadline=None)
@given(
    shape=SHAPES,
    bits=st.sampled_from([1, 2, 3, 4, 5, 8, 9, 12, 16]),
    seed=st.integers(0, 2**32),
    first=st.integers(0, 99),
    is_temporal=st.booleans(),
)
def test_rans_bits_are_identical(
    shape: tuple[int, int, int], bits: int, seed: int, first: int, is_temporal: bool
) -> None:
    check_rans(shape, bits, seed, first, is_temporal)


@pytest.mark.parametrize("is_temporal", [False, True], ids=["alone", "previous"])
@pytest.mark.parametrize(
    ("shape", "bits"),
    [((33, 25, 24), 3), ((16500, 1, 1), 4), ((11, 1777, 1), 3), ((40, 30, 30), 4), ((5, 70, 60), 8)],
    ids=str,
)
def test_rans_bits_are_identical_with_many_lanes(shape: tuple[int, int, int], bits: int, is_temporal: bool) -> None:
    assert check_rans(shape, bits, 7, 2, is_temporal) > 1


def test_rans_previous_frame_changes_nothing_where_tables_do_not_know_it() -> None:
    x = draw_symbols((4, 6, 7), 4, 1)
    coder = Rans().open(4, 4, Rans().fit([x], 4))
    after = Rans().following(coder, x)
    assert after.encode(x) == coder.encode(x)
    assert np.array_equal(after.decode(coder.encode(x), x.shape), x)


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, bits=st.sampled_from([1, 2, 4, 7, 8, 9, 12, 16]), seed=st.integers(0, 2**32))
def test_rans_without_tables_is_identical(shape: tuple[int, int, int], bits: int, seed: int) -> None:
    x = draw_symbols(shape, bits, seed)
    coder = Rans().open(bits, shape[0], b"")
    payload = coder.encode(x)
    head = rans.Bits(payload)
    tables = rans.read_alone(head, bits)
    fields = rans.Fields.read(head)
    assert payload == rans.encode(tables, lists(x), shape[2], fields=fields, alone=True)
    assert rans.decode(bits, payload, *shape) == lists(x)
    assert np.array_equal(coder.decode(payload, shape), x)


@settings(max_examples=80, deadline=None)
@given(shape=SHAPES, bits=st.integers(1, 16), seed=st.integers(0, 2**32))
def test_range_bits_are_identical(shape: tuple[int, int, int], bits: int, seed: int) -> None:
    x = draw_symbols(shape, bits, seed)
    payload = _core.range_encode(x, bits)
    assert payload == range_coder.encode(bits, lists(x), shape[2])
    assert range_coder.decode(bits, payload, *shape) == lists(x)
    decode = _core.range_decode_u8 if bits <= 8 else _core.range_decode_u16
    assert np.array_equal(decode(payload, bits, *shape), x)


@settings(max_examples=60, deadline=None)
@given(
    shape=SHAPES,
    bits=st.sampled_from([1, 2, 4, 7, 8, 9, 12, 16]),
    seed=st.integers(0, 2**32),
    first=st.integers(0, 9),
    references=st.sampled_from([0, 1, 24]),
    is_predicted=st.booleans(),
)
def test_mix_bits_are_identical(
    shape: tuple[int, int, int], bits: int, seed: int, first: int, references: int, is_predicted: bool
) -> None:
    """Symbols that look like the calibration set's or not at all, in chunks that begin in the middle of a sample."""
    x, past = draw_symbols(shape, bits, seed), draw_symbols(shape, bits, seed + 2)
    samples = [draw_symbols((4, 9, 9), bits, seed + k) for k in range(4)]
    it = Mix(references=references)
    fitted = it.fit_predicted(samples[:2], samples[2:], bits) if is_predicted else it.fit(samples, bits)
    coder, readable = it.open(bits, 4, fitted), mix.Tables.read(fitted)
    if is_predicted:
        coder = it.following(coder, np.concatenate([np.zeros((first, *shape[1:]), past.dtype), past]))
    before = lists(past) if is_predicted else None
    payload = coder.encode(x, first)
    assert payload == mix.encode(readable, lists(x), shape[1:], first, before)
    assert mix.decode(readable, payload, shape[0], shape[1:], first, before) == lists(x)
    assert np.array_equal(coder.decode(payload, shape, first), x)


@settings(max_examples=80, deadline=None)
@given(shape=SHAPES, bits=st.integers(1, 16), seed=st.integers(0, 2**32))
def test_nrle_bits_are_identical(shape: tuple[int, int, int], bits: int, seed: int) -> None:
    x = draw_symbols(shape, bits, seed)
    payload = _core.nrle_encode(x, bits)
    assert payload == nrle.encode(bits, x.ravel().tolist())
    assert nrle.decode(bits, payload, x.size) == x.ravel().tolist()
    decode = _core.nrle_decode_u8 if bits <= 8 else _core.nrle_decode_u16
    assert np.array_equal(decode(payload, bits, *shape), x)


@settings(max_examples=80, deadline=None)
@given(shape=SHAPES, bits=st.integers(1, 8), seed=st.integers(0, 2**32))
def test_huffman_bits_are_identical(shape: tuple[int, int, int], bits: int, seed: int) -> None:
    x = draw_symbols(shape, bits, seed)
    payload = _core.huffman_encode(x, bits)
    assert payload == huffman.encode(bits, x.ravel().tolist())
    assert huffman.decode(bits, payload, x.size) == x.ravel().tolist()
    assert np.array_equal(_core.huffman_decode(payload, bits, *shape), x)
    tables = ENTROPY_CODERS.make("huffman", {"huffman_table": "calibration"}).fit([x], bits)
    fixed, lengths = _core.HuffmanModel(tables).encode(x), huffman.lengths_of_tables(tables)
    assert fixed == huffman.encode(bits, x.ravel().tolist(), lengths)
    assert huffman.decode(bits, fixed, x.size, lengths) == x.ravel().tolist()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**40)), min_size=1, max_size=256))
def test_huffman_lengths_are_the_reference_s(counts: list[int]) -> None:
    assert list(_core.huffman_lengths(counts)) == huffman.code_lengths(counts)


@settings(max_examples=80, deadline=None)
@given(shape=SHAPES, bits=st.integers(1, 8), seed=st.integers(0, 2**32))
def test_cohen_bits_are_identical(shape: tuple[int, int, int], bits: int, seed: int) -> None:
    x = draw_symbols(shape, bits, seed)
    payload = _core.cohen_encode(x, bits)
    assert payload == cohen.encode(bits, x.ravel().tolist())
    assert cohen.decode(bits, payload, x.size) == x.ravel().tolist()
    assert np.array_equal(_core.cohen_decode(payload, bits, *shape), x)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(LOSSLESS),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    axis=st.integers(0, 4),
    bits=st.integers(1, 8),
    seed=st.integers(0, 2**32),
    dynamic=st.booleans(),
    inline=st.booleans(),
)
def test_packets_are_read_by_the_reference(
    name: str, shape: list[int], axis: int, bits: int, seed: int, dynamic: bool, inline: bool
) -> None:
    x = draw_symbols(tuple(shape), bits, seed)
    sizes: tuple[int | None, ...] = tuple(None if dynamic and k == 0 and axis != 0 else d for k, d in enumerate(shape))
    channels = shape[axis] if axis < len(shape) else 1
    coder = ENTROPY_CODERS.make(name, {})
    tables = coder.fit([draw_symbols((channels, 6, 6), bits, seed + 1)], bits)
    layout = StreamLayout((TensorLayout(sizes, bits, coder.open(bits, channels, tables), axis, b"q"),))
    data = write_packet(layout, [x], sequence=seed % 1000, inline=inline)
    shape_on_wire = tuple(size or 0 for size in sizes)
    written = packet.Tensor(shape_on_wire, axis if axis < len(shape) else 255, bits, coder.wire_id, tables, b"q")
    assert packet.tensor_table([written]) == layout.description
    assert np.array_equal(packet.read([written], data)[0], x)
    assert np.array_equal(read_packet(layout, data).symbols[0], x)


def test_crc_is_the_reference_one() -> None:
    data = bytes(range(256)) * 3
    for size in (0, 1, 7, 8, 9, 255, 768):
        assert _core.crc32c(data[:size]) == packet.crc32c(data[:size])
        assert _core.crc32c(data[size:], _core.crc32c(data[:size])) == packet.crc32c(data)
