"""The papers' log quantizers on their own numbers, and the exact logarithm behind them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantizer_cases import TENSOR, f32, features, round_trip

from splitc.codec import Codec, CodecSpec
from splitc.codec.quantizers import exact_log
from splitc.codec.quantizers.log import Log
from splitc.codec.quantizers.operators import NumpyOperators
from splitc.types import F32

FORMAT = Path(__file__).parents[2] / "splitc" / "codec" / "FORMAT.md"

CHEN = [
    pytest.param(f32(0, 1, 3, 255), [0, 32, 64, 255], [0, 1.00544, 3.02181, 255], id="not-negative"),
    pytest.param(f32(-2, -1, 0.5, 6), [0, 80, 145, 255], [-2, -1.00763, 0.48826, 6], id="signed"),
]
"""Chen et al. 2019, eq. 5 and 6 with 8 bits; the values are printed to five decimals."""


@pytest.mark.parametrize("scope", ["tensor", "sample"])
@pytest.mark.parametrize(("x", "symbols", "restored"), CHEN)
def test_rc1_rc2_log_is_chen_2019(scope: str, x: F32, symbols: list[int], restored: list[float]) -> None:
    quantizer = Log.model_validate({"bits": 8, "scope": scope, "reconstruction": "midpoint"})
    got, back = round_trip(quantizer, quantizer.fit(x), x)
    assert got[0].tolist() == symbols
    np.testing.assert_allclose(back[0], restored, atol=6e-6)


def test_rc2_side_information_is_two_floats_a_sample() -> None:
    quantizer = Log(bits=8, scope="sample")
    assert quantizer.side_count == 2
    x = np.concatenate([f32(0, 1, 3, 255), f32(-2, -1, 0.5, 6), f32(4, 4, 4, 4)])
    np.testing.assert_allclose(quantizer.side(x), [[0, 8], [-2, np.log2(9)], [4, 0]], rtol=1e-7)
    assert quantizer.side(x).dtype == np.float32


@pytest.mark.parametrize("bits", range(1, 17))
def test_rc3_any_number_of_bits(bits: int) -> None:
    """Against eq. 5 and 6 in binary64; a value within 10^-4 of a half may round either way."""
    x = np.abs(features(bits, (3, 500))) * np.float32(20)
    quantizer = Log(bits=bits, scope="sample")
    symbols, back = round_trip(quantizer, quantizer.fit(x), x)
    low, top = x.min(1, keepdims=True).astype(np.float64), 2**bits - 1
    log = np.log2(x - low + 1)
    high = log.max(1, keepdims=True)
    exact = log / high * top
    is_half = np.abs(exact - np.floor(exact) - 0.5) < 1e-6 * top + 1e-4
    assert is_half.mean() < 0.3
    np.testing.assert_array_equal(symbols[~is_half], np.rint(exact)[~is_half])
    # float32 logarithms and powers of values up to 2**6
    np.testing.assert_allclose(back, np.exp2(symbols * high / top) + low - 1, atol=6e-5)


def test_rc2_a_constant_sample_comes_back() -> None:
    quantizer = Log(bits=8, scope="sample")
    x = np.stack([np.full((3, 4), value, np.float32) for value in (0, 7.5, -3, 1e-30)])
    symbols, back = round_trip(quantizer, quantizer.fit(x), x)
    assert not symbols.any()
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize(
    ("bits", "symbols"),
    [(1, [0, 0, 0, 1, 1]), (2, [0, 1, 2, 2, 3]), (3, [0, 2, 4, 5, 7])],
)
def test_rx1_log_is_xing_2020_with_ties_to_even(bits: int, symbols: list[int]) -> None:
    """V = 3 lies on a tie at 1 and at 2 bits. The maximum is fixed in advance; what is above it clips."""
    x = f32(0, 1, 3, 7, 15)
    quantizer = Log(bits=bits, scope="tensor", maximum=15)
    params = quantizer.fit(features(0))
    assert quantizer.side_count == 0
    assert quantizer.quantize(x, params)[0].tolist() == symbols
    assert quantizer.quantize(f32(1000, -5), params)[0].tolist() == [2**bits - 1, 0]
    calibrated = Log(bits=bits, scope="tensor")
    assert calibrated.quantize(x, calibrated.fit(x))[0].tolist() == symbols


@settings(deadline=None)  # other work on this machine must not fail it
@given(st.floats(0.5, 1e4), st.lists(st.floats(0, 2e4, width=32), min_size=1, max_size=40))
def test_rx2_one_bit_log_is_a_threshold(top: float, values: list[float]) -> None:
    largest = float(np.float32(top))
    quantizer = Log(bits=1, scope="tensor", reconstruction="midpoint", maximum=largest)
    params = quantizer.fit(f32(0, 1))
    x = np.array([values], np.float32)
    assert (quantizer.quantize(x, params) == (x.astype(np.float64) > np.sqrt(largest + 1) - 1)).all()


def test_rx3_inverse_and_centroids() -> None:
    x = f32(*[0.1] * 5, *[14.0] * 5)
    inverse = Log(bits=1, scope="tensor", maximum=15, reconstruction="midpoint")
    np.testing.assert_allclose(round_trip(inverse, inverse.fit(x), x)[1][0, [0, -1]], [0, 15], atol=1e-6)
    centroids = Log(bits=1, scope="tensor", maximum=15)
    np.testing.assert_array_equal(round_trip(centroids, centroids.fit(x), x)[1], x)


def test_rc2_side_information_is_counted_in_the_packet() -> None:
    """Eight bytes a sample, before the first chunk: its values stand there as they are."""
    x = features(9, (8, 5, 4, 3))
    codec = Codec.fit(CodecSpec(quantizer="log", scope="sample", entropy="zstd"), [TENSOR], [x])
    side = codec.quantize([x[:2]]).side[0]
    assert side.astype("<f4").tobytes() in codec.encode([x[:2]])
    assert side.nbytes == 16


# -- the exact logarithm -------------------------------------------------------------------------------------------


def test_the_exact_logarithm_is_formats() -> None:
    text = FORMAT.read_text("utf-8")
    for letter, coefficients in (("L", exact_log.LOG2), ("E", exact_log.EXP2)):
        assert f"| {letter} | {', '.join(map(repr, coefficients))} |" in text
        assert all(float(np.float32(value)) == value for value in coefficients)
    assert f"0..{exact_log.LARGEST}" in text


def test_the_exact_logarithm_is_close_ascends_and_keeps_powers_of_two() -> None:
    ops = NumpyOperators(1)
    x = np.exp2(np.random.default_rng(0).uniform(0, 127.9, 200_000)).astype(np.float32)
    got = exact_log.log2(ops, x)
    assert got.dtype == np.float32
    # 2.1e-7, and half a unit of the last place of numbers up to 128
    assert np.abs(got - np.log2(x.astype(np.float64))).max() < 2.1e-7 + 2.0**-18
    near = np.linspace(1, 2, 200_000, dtype=np.float32)
    assert np.abs(exact_log.log2(ops, near) - np.log2(near.astype(np.float64))).max() < 2.2e-7
    assert (np.diff(exact_log.log2(ops, near)) >= 0).all()
    powers = np.ldexp(np.float32(1), np.arange(128))
    np.testing.assert_array_equal(exact_log.log2(ops, powers), np.arange(128))
    np.testing.assert_array_equal(exact_log.exp2(ops, np.arange(128, dtype=np.float32)), powers)
    y = np.linspace(0, 127.99, 200_000, dtype=np.float32)
    np.testing.assert_allclose(exact_log.exp2(ops, y), np.exp2(y.astype(np.float64)), rtol=1.6e-7)


def test_the_exact_logarithm_never_overflows() -> None:
    ops = NumpyOperators(1)
    assert exact_log.log2(ops, np.float32([np.finfo(np.float32).max]))[0] <= 128
    assert np.isfinite(exact_log.exp2(ops, np.float32([128, 1e30, -1]))).all()
