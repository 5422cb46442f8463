"""Quantizers: the papers' vectors, edge cases, and what every entry of the registry owes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitc.codec import QUANTIZERS, Codec, CodecSpec, Quantizer
from splitc.codec.quantizers.log import Log
from splitc.codec.quantizers.uniform import Uniform
from splitc.errors import BitstreamError, CodecError, UsageError
from splitc.types import F32, TensorSpec

FORMAT = Path(__file__).parents[2] / "splitc" / "codec" / "FORMAT.md"


def f32(*values: float) -> F32:
    return np.array([values], np.float32)


def features(seed: int, shape: tuple[int, ...] = (6, 5, 4, 3)) -> F32:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("x", "symbols", "restored"),
    [
        pytest.param(f32(0, 1, 3, 255), [0, 32, 64, 255], [0, 1.00544, 3.02181, 255], id="not-negative"),
        pytest.param(f32(-2, -1, 0.5, 6), [0, 80, 145, 255], [-2, -1.00763, 0.48826, 6], id="signed"),
    ],
)
def test_log_is_chen_2019_eq_5_and_6(x: F32, symbols: list[int], restored: list[float]) -> None:
    quantizer = Log(bits=8, scope="tensor", reconstruction="midpoint")
    params = quantizer.fit(x)
    got = quantizer.quantize(x, params)
    assert got[0].tolist() == symbols
    # the paper's values are printed to five decimals
    np.testing.assert_allclose(quantizer.dequantize(got, params)[0], restored, atol=6e-6)


@pytest.mark.parametrize(
    ("bits", "symbols"),
    [(1, [0, 0, 0, 1, 1]), (2, [0, 1, 2, 2, 3]), (3, [0, 2, 4, 5, 7])],
)
def test_log_is_xing_2020_with_ties_to_even(bits: int, symbols: list[int]) -> None:
    """V = 3 lies on a tie at 1 and at 2 bits."""
    x = f32(0, 1, 3, 7, 15)
    quantizer = Log(bits=bits, scope="tensor")
    assert quantizer.quantize(x, quantizer.fit(x))[0].tolist() == symbols


@given(st.floats(0.5, 1e4), st.lists(st.floats(0, 2e4, width=32), min_size=1, max_size=40))
def test_one_bit_log_is_a_threshold(top: float, values: list[float]) -> None:
    """Xing et al. 2020: k = 1 is V > sqrt(max + 1) - 1."""
    largest = float(np.float32(top))
    quantizer = Log(bits=1, scope="tensor", reconstruction="midpoint")
    params = quantizer.fit(f32(0, largest))
    x = np.array([values], np.float32)
    assert (quantizer.quantize(x, params) == (x.astype(np.float64) > np.sqrt(largest + 1) - 1)).all()


@pytest.mark.parametrize("scope", ["tensor", "channel"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_uniform_error_is_at_most_half_a_step_inside_the_range(bits: int, scope: str) -> None:
    x = features(bits)
    quantizer = Uniform.model_validate({"bits": bits, "scope": scope, "reconstruction": "midpoint"})
    params = quantizer.fit(x)
    restored = quantizer.dequantize(quantizer.quantize(x, params), params)
    step = np.broadcast_to((1 / params.scale).reshape(1, -1, 1, 1), x.shape)
    lo = np.broadcast_to(params.lo.reshape(1, -1, 1, 1), x.shape)
    inside = (x >= lo) & (x <= lo + step * (quantizer.count - 1))
    assert inside.mean() > 0.3
    # one part in 10^5 for the float32 arithmetic of the step itself
    assert (np.abs(restored - x)[inside] <= 0.50001 * step[inside] + 1e-6).all()


@pytest.mark.parametrize("name", list(QUANTIZERS))
@pytest.mark.parametrize("bits", [1, 3, 8])
def test_centroids_never_raise_the_squared_error_on_the_calibration_features(name: str, bits: int) -> None:
    x = np.abs(features(1, (20, 4, 6, 6)))
    errors = {}
    for how in ("midpoint", "centroid"):
        quantizer = QUANTIZERS.make(name, {"bits": bits, "reconstruction": how})
        params = quantizer.fit(x)
        errors[how] = np.square(quantizer.dequantize(quantizer.quantize(x, params), params) - x).mean()
    assert errors["centroid"] <= errors["midpoint"] * (1 + 1e-6)  # rounding of the means to float32


@pytest.mark.parametrize("name", list(QUANTIZERS))
@pytest.mark.parametrize(
    "x",
    [
        pytest.param(np.zeros((2, 3, 2, 2), np.float32), id="all-zero"),
        pytest.param(np.full((2, 3, 2, 2), 7.5, np.float32), id="constant"),
        pytest.param(np.full((2, 3, 2, 2), -1e30, np.float32), id="huge-constant"),
        pytest.param(features(2, (1, 1)), id="one-value"),
        pytest.param(features(3, (4,)), id="rank-1"),
        pytest.param(features(4, (3, 2, 2, 2, 2)), id="rank-5"),
        pytest.param(features(5) * np.float32(1e-38), id="tiny"),
    ],
)
def test_edge_features_stay_finite_and_in_range(name: str, x: F32) -> None:
    for bits in (1, 4, 8, 16):
        for scope in ("tensor", "channel"):
            quantizer = QUANTIZERS.make(name, {"bits": bits, "scope": scope})
            params = quantizer.fit(x)
            symbols = quantizer.quantize(x, params)
            assert symbols.dtype == quantizer.symbol_dtype
            assert symbols.shape == x.shape
            assert int(symbols.max()) < quantizer.count
            assert np.isfinite(quantizer.dequantize(symbols, params)).all()


@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_values_beyond_calibration_clip(name: str) -> None:
    quantizer = QUANTIZERS.make(name, {"bits": 4, "scope": "tensor"})
    params, top = quantizer.fit(f32(0, 1, 2, 3)), quantizer.count - 1
    assert quantizer.quantize(f32(-1e9, -np.inf, 1e9, np.inf), params)[0].tolist() == [0, 0, top, top]


@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_nan_and_foreign_channels_are_refused(name: str) -> None:
    quantizer = QUANTIZERS.make(name, {"bits": 4, "scope": "channel"})
    params = quantizer.fit(features(6))
    with pytest.raises(CodecError, match="feature holds NaN, which has no symbol"):
        quantizer.quantize(np.full((1, 5, 4, 3), np.nan, np.float32), params)
    with pytest.raises(CodecError, match="fitted on 5 channels"):
        quantizer.quantize(features(7, (1, 6, 4, 3)), params)
    with pytest.raises(CodecError, match="calibration features hold infinities"):
        quantizer.fit(np.full((1, 5, 1, 1), np.inf, np.float32))
    with pytest.raises(CodecError, match="no calibration features"):
        quantizer.fit(np.empty((0, 5, 4, 3), np.float32))


@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_every_entry_keeps_the_registrys_promises(name: str) -> None:
    cls = QUANTIZERS.load(name)
    assert cls.name == name
    assert f"| {cls.wire_id} | `{name}` |" in FORMAT.read_text("utf-8"), "FORMAT.md lists every quantizer's wire id"


def test_the_layouts_checksum_binds_the_quantizers_parameters() -> None:
    """A decoder with other levels refuses the packet instead of restoring other features."""
    x = features(9, (8, 5, 4, 3))
    spec = TensorSpec(name="feature", dtype="float32", shape=("N", 5, 4, 3))
    codec = Codec.fit(CodecSpec(entropy="range"), [spec], [x])
    other = Codec.fit(CodecSpec(entropy="range"), [spec], [x * np.float32(1.01)])
    packet = codec.encode([x[:1]])
    np.testing.assert_array_equal(codec.decode_symbols(packet).symbols[0], codec.quantize([x[:1]]).symbols[0])
    with pytest.raises(BitstreamError):
        other.decode_symbols(packet)


def test_wire_ids_are_unique() -> None:
    ids = [QUANTIZERS.load(name).wire_id for name in QUANTIZERS]
    assert len(set(ids)) == len(ids)


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"unknown quantizer 'unifrom'. Did you mean 'uniform'\? Known: clipped, log, uniform"
    ):
        QUANTIZERS.load("unifrom")
    with pytest.raises(UsageError, match="quantizer 'log': bits: Input should be less than or equal to 16"):
        QUANTIZERS.make("log", {"bits": 17})


def test_more_levels_never_hurt() -> None:
    x = features(8, (10, 3, 8, 8))

    def error(quantizer: Quantizer) -> float:
        params = quantizer.fit(x)
        return float(np.square(quantizer.dequantize(quantizer.quantize(x, params), params) - x).mean())

    errors = [error(Uniform(bits=bits)) for bits in range(1, 9)]
    assert errors == sorted(errors, reverse=True)
