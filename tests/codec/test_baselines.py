"""The papers' lossless coders: what each paper promises of it, and bad payloads."""

from __future__ import annotations

import numpy as np
import pytest

from splitc.codec import Codec, CodecSpec
from splitc.codec.entropy import ENTROPY_CODERS, ChunkCoder
from splitc.errors import BitstreamError, CodecError
from splitc.native import _core
from splitc.types import TensorSpec


def opened(name: str, bits: int, options: dict[str, object] | None = None, tables: bytes = b"") -> ChunkCoder:
    return ENTROPY_CODERS.make(name, options or {}).open(bits, 1, tables)


def packed_bytes(count: int, bits: int) -> int:
    return -(-count * bits // 8)


# -- N-run-length --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8, 9, 16])
def test_ri6_a_frame_of_nothing_but_n_takes_less_than_16_bytes(bits: int) -> None:
    """The IFMDC feature: 256 maps of 52 x 52, 692,224 symbols, in one chunk."""
    x = np.full((256, 52, 52), 2**bits // 2, np.uint8 if bits <= 8 else np.uint16)
    payload = opened("nrle", bits).encode(x)
    assert x.size == 692_224
    assert len(payload) < 16
    assert np.array_equal(opened("nrle", bits).decode(payload, x.shape), x)


def test_ri6_so_does_its_packet_but_for_the_packet_s_own_fields() -> None:
    tensor = TensorSpec(name="x", dtype="float32", shape=("N", 256, 52, 52))
    values = np.zeros((1, 256, 52, 52), np.float32)
    values[0, 0, 0, 0] = 1
    codec = Codec.fit(CodecSpec(quantizer="clipped", levels=15, entropy="nrle"), [tensor], [values])
    packet = codec.encode([np.zeros_like(values)])
    assert len(packet) < 16 + 12
    assert not codec.decode(packet)[0].any()


@pytest.mark.parametrize("kind", ["all-n", "no-runs", "random", "sparse", "alternating"])
@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8, 12])
@pytest.mark.parametrize("count", [1, 2, 7, 100, 20_000])
def test_ri6_never_larger_than_packed_symbols(kind: str, bits: int, count: int) -> None:
    rng, top = np.random.default_rng(0), 2**bits - 1
    values = {
        "all-n": np.full(count, top),
        "no-runs": np.arange(count) % (top + 1),
        "random": rng.integers(0, top + 1, count),
        "sparse": np.where(rng.random(count) < 0.02, rng.integers(0, top + 1, count), top // 2),
        "alternating": np.arange(count) % 2,
    }[kind]
    x = values.reshape(1, 1, -1).astype(np.uint8 if bits <= 8 else np.uint16)
    payload = opened("nrle", bits).encode(x)
    assert len(payload) <= packed_bytes(count, bits)
    assert np.array_equal(opened("nrle", bits).decode(payload, x.shape), x)


def test_ri6_sparse_residuals_cost_less_than_half_their_packed_size() -> None:
    rng = np.random.default_rng(1)
    x = np.where(rng.random((8, 52, 52)) < 0.05, rng.integers(0, 5, (8, 52, 52)), 2).astype(np.uint8)
    assert len(opened("nrle", 3).encode(x)) < 0.4 * packed_bytes(x.size, 3)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        pytest.param("0011 0011 1", "the payload ends before its last symbol|Run before bit", id="cut"),
        pytest.param("0011 0011 1 0011 1", r"Symbol before bit 13 goes on with a run that has ended", id="two-runs"),
        pytest.param("0011 0011 000000 1111111", r"Run before bit 21 is larger than the 64 that are left", id="long"),
        pytest.param("0011 0011 0000001000000 00000000", "bytes left over after the last symbol", id="left-over"),
        pytest.param("0011 0011 0000001000000 1", "unused bits of the last byte are not zero", id="filling"),
    ],
)
def test_ri6_bad_runs_are_refused(payload: str, message: str) -> None:
    text = payload.replace(" ", "")
    data = bytes(int(text[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(text), 8))
    with pytest.raises(BitstreamError, match=f"nrle: ({message})"):
        opened("nrle", 4).decode(data, (1, 8, 8))


# -- Huffman -------------------------------------------------------------------------------------------------------


def entropy_bits(x: np.ndarray) -> float:
    counts = np.bincount(x.ravel())
    share = counts[counts > 0] / x.size
    return float(-(share * np.log2(share)).sum())


@pytest.mark.parametrize("table", ["packet", "calibration"])
@pytest.mark.parametrize("bits", [1, 3, 5, 8])
@pytest.mark.parametrize("spread", [0.3, 1.0, 6.0])
def test_rt15_length_is_within_a_bit_of_the_entropy(table: str, bits: int, spread: float) -> None:
    rng = np.random.default_rng(2)
    x = np.clip(np.rint(2**bits / 2 + spread * rng.standard_normal((40, 25, 25))), 0, 2**bits - 1).astype(np.uint8)
    coder = ENTROPY_CODERS.make("huffman", {"huffman_table": table})
    tables = coder.fit([x], bits)
    assert bool(tables) == (table == "calibration")
    prepared = coder.open(bits, 40, tables)
    payload = prepared.encode(x)
    sent = 0 if tables else 2**bits * 4 / 8 + 2
    assert len(payload) - sent <= (entropy_bits(x) + 1) / 8 * x.size
    assert np.array_equal(prepared.decode(payload, x.shape), x)


def test_rt15_one_symbol_takes_its_table_alone() -> None:
    x = np.full((64, 8, 8), 200, np.uint8)
    payload = opened("huffman", 8).encode(x)
    assert len(payload) <= 6
    assert np.array_equal(opened("huffman", 8).decode(payload, x.shape), x)


def test_rt15_empty_streams_have_no_code() -> None:
    assert list(_core.huffman_lengths([0, 0, 0])) == [0, 0, 0]
    with pytest.raises(CodecError, match="an empty chunk cannot be coded"):
        opened("huffman", 4).encode(np.empty((0, 1, 1), np.uint8))


def test_rt15_kraft_equality_holds_and_no_code_is_longer_than_15() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 40:  # without a limit the longest code would have 39 bits
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = list(_core.huffman_lengths(fibonacci))
    assert max(lengths) == 15
    assert sum(2.0**-length for length in lengths) == 1


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        pytest.param("0000 001000", "the code lengths do not make a complete code", id="no-code"),
        pytest.param("0001 0001 0001 0001", "do not make a complete code", id="over-full"),
        pytest.param("0010 0010 0010 0000 1", "do not make a complete code", id="under-full"),
        pytest.param("0000 1 0000 1 0001 0001", "Length before bit 9 goes on with a run of zeros", id="zeros-twice"),
        pytest.param("0000 0001111", "Zeros before bit 11 is larger than the 4 that are left", id="many-zeros"),
        pytest.param("0001 0010 0011 0011 00", "the payload ends before its last symbol", id="cut"),
        pytest.param("0010" * 4 + "00" * 16 + "0" * 8, "bytes left over", id="left-over"),
    ],
)
def test_rt15_bad_codes_are_refused(payload: str, message: str) -> None:
    text = payload.replace(" ", "")
    data = bytes(int(text[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(text), 8))
    with pytest.raises(BitstreamError, match=f"huffman: .*{message}"):
        opened("huffman", 2).decode(data, (1, 4, 4))


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        pytest.param(0, 0, "Magic at offset 0 is not 'SHUF'", id="magic"),
        pytest.param(4, 2, "Version at offset 4 is 2, must be 1..1", id="version"),
        pytest.param(5, 9, "Bits at offset 5 is 9, must be 1..8", id="bits"),
        pytest.param(6, 0, r"Lengths at offset 6 has a value outside 1\.\.15", id="length"),
        pytest.param(6, 15, "Lengths at offset 6 does not make a complete code", id="kraft"),
        pytest.param(10, 0, "Checksum at offset 10 does not match", id="checksum"),
        pytest.param(13, None, r"Checksum needs 4 bytes|Checksum at offset 10", id="cut"),
    ],
)
def test_rt15_damaged_tables_are_refused(offset: int, value: int | None, message: str) -> None:
    coder = ENTROPY_CODERS.make("huffman", {"huffman_table": "calibration"})
    tables = bytearray(coder.fit([np.array([[[0, 1, 2, 3, 0, 0]]], np.uint8)], 2))
    damaged = bytes(tables[:offset]) + (bytes([value]) + bytes(tables[offset + 1 :]) if value is not None else b"")
    with pytest.raises(CodecError, match=f"huffman tables: {message}"):
        coder.open(2, 1, damaged)
    with pytest.raises(CodecError, match="extra bytes"):
        coder.open(2, 1, bytes(tables) + b"x")
    with pytest.raises(CodecError, match="tables are for 2 bits, the tensor has 3 bits"):
        coder.open(3, 1, bytes(tables))


def test_rt15_a_symbol_calibration_never_saw_has_a_code() -> None:
    coder = ENTROPY_CODERS.make("huffman", {"huffman_table": "calibration"})
    prepared = coder.open(4, 1, coder.fit([np.zeros((1, 50, 50), np.uint8)], 4))
    x = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    assert np.array_equal(prepared.decode(prepared.encode(x), x.shape), x)
    assert len(prepared.encode(np.zeros((1, 100, 80), np.uint8))) == 1000


# -- truncated unary with adaptive bits ----------------------------------------------------------------------------


def test_ri11_sparse_features_at_two_bits_take_less_than_a_bit() -> None:
    """Cohen et al. report 0.6 to 0.8 bits an element for few levels behind a leaky ReLU."""
    rng = np.random.default_rng(4)
    x = np.minimum(rng.exponential(0.5, (32, 28, 28)).astype(int), 3).astype(np.uint8)
    payload = opened("cohen", 2).encode(x)
    rate = 8 * len(payload) / x.size
    assert rate < 0.8
    assert rate < entropy_bits(x) * 1.02
    assert np.array_equal(opened("cohen", 2).decode(payload, x.shape), x)


def test_ri11_the_top_symbol_needs_no_zero() -> None:
    """At one bit a symbol is one bin; at two bits three bins say 3."""
    ones = np.ones((1, 1, 1000), np.uint8)
    assert len(opened("cohen", 1).encode(ones)) <= 6
    assert len(opened("cohen", 2).encode(3 * ones)) <= 18
