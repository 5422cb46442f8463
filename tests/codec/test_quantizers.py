"""Quantizers: the papers' vectors, edge cases, and what every entry of the registry owes."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitc.codec import QUANTIZERS, Codec, CodecSpec, Quantizer, QuantParams
from splitc.codec.quantizers import exact_log
from splitc.codec.quantizers.binary import Binary
from splitc.codec.quantizers.lloyd_max import LloydMax
from splitc.codec.quantizers.log import Log
from splitc.codec.quantizers.operators import NumpyOperators
from splitc.codec.quantizers.step import Step
from splitc.codec.quantizers.uniform import Uniform
from splitc.errors import BitstreamError, CodecError, UsageError
from splitc.types import F32, Symbols, TensorSpec

FORMAT = Path(__file__).parents[2] / "splitc" / "codec" / "FORMAT.md"
TENSOR = TensorSpec(name="feature", dtype="float32", shape=("N", 5, 4, 3))


def f32(*values: float) -> F32:
    return np.array([values], np.float32)


def features(seed: int, shape: tuple[int, ...] = (6, 5, 4, 3)) -> F32:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def options(name: str) -> list[dict[str, object]]:
    """Every form of a quantizer: its scopes, few and many bits, each way to decode and to clip."""
    fields = QUANTIZERS.load(name).model_fields
    tried = {
        "bits": (1, 2, 4, 8, 12, 16),
        "scope": ("tensor", "channel", "sample"),
        "reconstruction": ("centroid", "midpoint"),
        "clip": ("mse", "percentile", "kl", "minmax"),
        "step": (0.1, 1.0),
        "maximum": (None, 3.0),
    }
    known = {key: values for key, values in tried.items() if key in fields}
    every = [dict(zip(known, values, strict=True)) for values in product(*known.values())]
    return [one for one in every if is_allowed(name, one)]


def is_allowed(name: str, asked: dict[str, object]) -> bool:
    try:
        QUANTIZERS.make(name, asked)
    except UsageError:
        return False
    return True


EVERY = [pytest.param(name, asked, id=f"{name}-{asked}") for name in QUANTIZERS for asked in options(name)]


def round_trip(quantizer: Quantizer, params: QuantParams, x: F32) -> tuple[Symbols, F32]:
    side = quantizer.side(x)
    symbols = quantizer.quantize(x, params, side)
    return symbols, quantizer.dequantize(symbols, params, side)


def squared_error(quantizer: Quantizer, x: F32) -> float:
    return float(np.square(round_trip(quantizer, quantizer.fit(x), x)[1] - x).mean())


# -- the papers ----------------------------------------------------------------------------------------------------

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


# -- error bounds and reconstruction -------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", ["mse", "percentile", "kl", "minmax"])
@pytest.mark.parametrize("scope", ["tensor", "channel"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_uniform_error_is_at_most_half_a_step_inside_the_range(bits: int, scope: str, clip: str) -> None:
    x = features(bits)
    quantizer = Uniform.model_validate({"bits": bits, "scope": scope, "reconstruction": "midpoint", "clip": clip})
    params = quantizer.fit(x)
    restored = quantizer.dequantize(quantizer.quantize(x, params), params)
    step = np.broadcast_to((1 / params.scale).reshape(1, -1, 1, 1), x.shape)
    lo = np.broadcast_to(params.lo.reshape(1, -1, 1, 1), x.shape)
    inside = (x >= lo) & (x <= lo + step * (params.count - 1))
    assert inside.mean() > 0.3
    # one part in 10^5 for the float32 arithmetic of the step itself
    assert (np.abs(restored - x)[inside] <= 0.50001 * step[inside] + 1e-6).all()


@pytest.mark.parametrize(
    "name", [name for name in QUANTIZERS if "reconstruction" in QUANTIZERS.load(name).model_fields]
)
@pytest.mark.parametrize("bits", [1, 3, 8])
def test_centroids_never_raise_the_squared_error_on_the_calibration_features(name: str, bits: int) -> None:
    x = np.abs(features(1, (20, 4, 6, 6)))
    errors = [
        squared_error(QUANTIZERS.make(name, {"bits": bits, "reconstruction": how}), x)
        for how in ("centroid", "midpoint")
    ]
    assert errors[0] <= errors[1] * (1 + 1e-6)  # rounding of the means to float32


@pytest.mark.parametrize("name", ["uniform", "log", "lloyd_max"])
def test_more_levels_never_hurt(name: str) -> None:
    x = features(8, (10, 3, 8, 8))
    errors = [squared_error(QUANTIZERS.make(name, {"bits": bits}), x) for bits in range(1, 9)]
    assert errors == sorted(errors, reverse=True)


def test_smaller_steps_never_hurt() -> None:
    x = features(8, (10, 3, 8, 8))
    errors = [squared_error(Step(step=step), x) for step in (2, 1, 0.5, 0.25, 0.125)]
    assert errors == sorted(errors, reverse=True)


# -- clip ranges ---------------------------------------------------------------------------------------------------


def clip_of(x: F32, **asked: object) -> tuple[float, float]:
    params = Uniform.model_validate({"scope": "tensor", **asked}).fit(x)
    return float(params.lo[0]), float(params.lo[0] + (params.count - 1) / params.scale[0])


def test_minmax_takes_the_extremes_and_percentile_what_it_says() -> None:
    x = features(3, (4, 5000))
    np.testing.assert_allclose(clip_of(x, clip="minmax"), (x.min(), x.max()), rtol=1e-5)
    np.testing.assert_allclose(clip_of(x, clip="percentile", percentile=99), np.percentile(x, [1, 99]), rtol=1e-5)
    np.testing.assert_allclose(clip_of(x, clip="percentile"), np.percentile(x, [0.1, 99.9]), rtol=1e-5)


@pytest.mark.parametrize("clip", ["kl", "percentile"])
def test_an_outlier_does_not_take_the_range(clip: str) -> None:
    x = np.maximum(features(4, (4, 5000)), 0)
    x[0, 0] = 1000
    lo, hi = clip_of(x, clip=clip, bits=4)
    assert lo == 0
    assert 2 < hi < 100


def test_kl_search_finds_the_least_divergence_of_all_shares() -> None:
    """Against the definition, written out for one row."""
    x = np.random.default_rng(0).laplace(size=(1, 20000)).astype(np.float32)
    low, high = float(x.min()), float(x.max())
    edges = np.linspace(low, high, 2049)
    counts = np.histogram(x, edges)[0].astype(float)
    middles = (edges[1:] + edges[:-1]) / 2
    centre = float(x.mean(dtype=np.float64))
    best = min(
        (one_divergence(counts, middles, centre + s * (low - centre), centre + s * (high - centre), 8), s)
        for s in np.linspace(0.05, 1, 39)
    )[1]
    np.testing.assert_allclose(
        clip_of(x, clip="kl", bits=3), (centre + best * (low - centre), centre + best * (high - centre)), rtol=1e-4
    )
    assert best < 1


def one_divergence(counts: np.ndarray, middles: np.ndarray, lo: float, hi: float, levels: int) -> float:
    step = (hi - lo) / (levels - 1)
    inside = np.flatnonzero((middles >= lo - step / 2) & (middles <= hi + step / 2))
    clipped = counts[inside].copy()
    clipped[0] += counts[: inside[0]].sum()
    clipped[-1] += counts[inside[-1] + 1 :].sum()
    level = np.clip(np.rint((middles[inside] - lo) / step), 0, levels - 1)
    spread = np.zeros(len(inside))
    for k in range(levels):
        filled = (level == k) & (clipped > 0)
        spread[filled] = counts[inside][level == k].sum() / max(filled.sum(), 1)
    p, q = clipped / clipped.sum(), np.maximum(spread / spread.sum(), 1e-9)
    return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())


def test_percentile_goes_with_its_clip_only() -> None:
    with pytest.raises(UsageError, match='percentile goes with clip = "percentile"'):
        QUANTIZERS.make("uniform", {"percentile": 99.0})


# -- step ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["tensor", "channel"])
@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_step_is_relative_to_the_spread_and_covers_calibration(factor: float, bits: int, scope: str) -> None:
    x = features(5, (8, 3, 9, 9)) * np.float32(factor)
    quantizer = Step.model_validate({"bits": bits, "scope": scope, "step": 0.25, "reconstruction": "midpoint"})
    params = quantizer.fit(x)
    spread = x.std() if scope == "tensor" else x.std((0, 2, 3))
    np.testing.assert_allclose(1 / params.scale, 0.25 * spread, rtol=1e-5)
    assert params.bits == min(bits, 5)  # 26 to 29 steps from end to end
    error = np.abs(round_trip(quantizer, params, x)[1] - x) * (params.scale.reshape(1, -1, 1, 1))
    if bits >= 5:
        assert error.max() <= 0.5001


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("step", [0.003, 0.05, 0.5])
@pytest.mark.parametrize("scope", ["tensor", "channel"])
def test_steps_zero_is_an_exact_level(scope: str, step: float, bits: int) -> None:
    x = features(6, (8, 3, 9, 9)) + np.float32([[[[0.1]], [[-0.2]], [[0.3]]]])
    quantizer = Step.model_validate({"bits": bits, "scope": scope, "step": step})
    params = quantizer.fit(x)
    _, back = round_trip(quantizer, params, np.zeros_like(x))
    if params.bits > 4 or step == 0.5:
        assert not back.any()


def test_step_behind_a_relu_spends_no_symbol_below_zero() -> None:
    x = np.maximum(features(7, (8, 3, 9, 9)), 0)
    params = Step().fit(x)
    assert params.lo[0] == 0
    assert params.levels[0, 0] == 0


def test_step_takes_the_least_alphabet_and_clips_the_least_beyond_the_widest() -> None:
    x = np.arange(-100, 156, dtype=np.float32).reshape(1, 1, -1)
    share = float(1 / x.std())
    assert Step(step=share, bits=16).fit(x).bits == 9  # 256 values and a margin
    assert Step(step=share, bits=8).fit(x).bits == 8
    assert Step(step=share, bits=8).fit(x).lo[0] == pytest.approx(-100, rel=1e-6)
    x = np.concatenate([x.ravel(), np.full(50, 400, np.float32), np.float32([-150])]).reshape(1, 1, -1)
    share = float(1 / x.std())
    quantizer = Step(step=share, bits=8)
    params = quantizer.fit(x)

    def clipped(first: float) -> float:
        return float(np.square(x - np.clip(x, first, first + 255)).sum())

    assert clipped(float(params.lo[0])) == pytest.approx(min(clipped(k) for k in range(-150, 150)), rel=0.01)


@pytest.mark.parametrize("share", [1 / 1024, 0.5, 16])
def test_step_far_from_zero_counts_from_the_mean(share: float) -> None:
    x = features(8, (8, 2, 9, 9)) + np.float32([[[[1000]], [[-50]]]])
    quantizer = Step(step=share, scope="channel", bits=16, reconstruction="midpoint")
    params = quantizer.fit(x)
    _, back = round_trip(quantizer, params, x)
    assert (np.abs(back - x) <= (0.5001 / params.scale + 1e-4).reshape(1, -1, 1, 1)).all()


# -- binary and Lloyd-Max ------------------------------------------------------------------------------------------


def test_binary_finds_the_best_threshold() -> None:
    x = features(9, (1, 60)) ** 3
    quantizer = Binary(scope="tensor")
    best = min(
        np.square(np.where(x >= t, x[x >= t].mean(), x[x < t].mean()) - x).mean() for t in np.sort(x.ravel())[1:]
    )
    assert squared_error(quantizer, x) == pytest.approx(best, rel=1e-5)
    params = quantizer.fit(x)
    assert (params.bits, params.thresholds.shape, params.levels.shape) == (1, (1, 1), (1, 2))


def test_binary_is_lloyd_max_of_one_bit_or_better() -> None:
    for seed in range(5):
        x = features(seed, (1, 500)) ** 3
        assert squared_error(Binary(scope="tensor"), x) <= squared_error(LloydMax(bits=1, scope="tensor"), x) + 1e-6


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
def test_lloyd_max_is_a_fixed_point_and_no_worse_than_uniform(bits: int) -> None:
    """Gaussian, 10^5 values; at 2 bits Max's table has the error 0.1175."""
    x = features(1, (1, 100_000))
    quantizer = LloydMax(bits=bits, scope="tensor")
    params = quantizer.fit(x)
    levels = params.levels[0].astype(np.float64)
    if bits <= 2:
        np.testing.assert_allclose(params.thresholds[0], (levels[1:] + levels[:-1]) / 2, atol=1e-3)
        assert squared_error(quantizer, x) == pytest.approx({1: 0.3634, 2: 0.1175}[bits], rel=0.02)
    assert (np.diff(levels) > 0).all()
    assert squared_error(quantizer, x) <= squared_error(Uniform(bits=bits, scope="tensor"), x)


@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_fitting_is_deterministic(name: str) -> None:
    one, two = (QUANTIZERS.make(name, {}).fit(features(3)) for _ in range(2))
    for key in ("lo", "scale", "thresholds", "levels"):
        assert getattr(one, key).tobytes() == getattr(two, key).tobytes()


# -- what every quantizer owes -------------------------------------------------------------------------------------

HARD = [
    np.zeros((2, 3, 2, 2), np.float32),
    np.full((2, 3, 2, 2), 7.5, np.float32),
    np.full((2, 3, 2, 2), -1e30, np.float32),
    features(2, (1, 1)),
    features(3, (4,)),
    features(4, (3, 2, 2, 2, 2)),
    features(5) * np.float32(1e-38),
    features(6) * np.float32(1e30),
    features(7) + np.float32(1e6),
]
"""All zero, constant, one value, rank 1, rank 5, tiny, huge, far from zero."""


@pytest.mark.parametrize(("name", "asked"), EVERY)
def test_edge_features_stay_finite_and_in_range(name: str, asked: dict[str, object]) -> None:
    quantizer = QUANTIZERS.make(name, asked)
    for x in HARD:
        params = quantizer.fit(x)
        quantizer.check(params)
        symbols, back = round_trip(quantizer, params, x)
        assert symbols.dtype == (np.uint8 if params.bits <= 8 else np.uint16)
        assert (symbols.shape, back.shape, back.dtype) == (x.shape, x.shape, np.float32)
        assert int(symbols.max()) < params.count
        assert params.bits <= quantizer.bits
        assert np.isfinite(back).all()


@pytest.mark.parametrize("name", [*QUANTIZERS])
def test_a_constant_feature_comes_back(name: str) -> None:
    """Calibrated quantizers keep a constant through centroids."""
    x = np.full((4, 3, 2, 2), 7.5, np.float32)
    quantizer = QUANTIZERS.make(name, {})
    np.testing.assert_array_equal(round_trip(quantizer, quantizer.fit(x), x)[1], x)


@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_values_beyond_calibration_clip(name: str) -> None:
    quantizer = QUANTIZERS.make(name, {"scope": "tensor"})
    params = quantizer.fit(f32(0, 1, 2, 3))
    top = params.count - 1
    assert quantizer.quantize(f32(-1e9, -np.inf, 1e9, np.inf), params)[0].tolist() == [0, 0, top, top]


@pytest.mark.parametrize("bits", [1, 8, 16])
@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_nan_and_foreign_channels_are_refused(name: str, bits: int) -> None:
    if not is_allowed(name, {"bits": bits}):
        pytest.skip(f"{name} has no {bits} bits")
    quantizer = QUANTIZERS.make(name, {"bits": bits, "scope": "channel"})
    params = quantizer.fit(features(6))
    with pytest.raises(CodecError, match="feature holds NaN, which has no symbol"):
        quantizer.quantize(np.full((1, 5, 4, 3), np.nan, np.float32), params)
    with pytest.raises(CodecError, match="fitted on 5 channels"):
        quantizer.quantize(features(7, (1, 6, 4, 3)), params)
    with pytest.raises(CodecError, match="fitted on 5 channels"):
        quantizer.dequantize(quantizer.quantize(features(7), params)[:, :4], params)
    with pytest.raises(CodecError, match="calibration features hold infinities"):
        quantizer.fit(np.full((1, 5, 1, 1), np.inf, np.float32))
    with pytest.raises(CodecError, match="no calibration features"):
        quantizer.fit(np.empty((0, 5, 4, 3), np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_without_a_range_is_refused(bad: float) -> None:
    quantizer = Log(scope="sample")
    with pytest.raises(CodecError, match="feature holds NaN or infinities, or a range beyond float32"):
        quantizer.side(f32(0, 1, bad))
    with pytest.raises(CodecError, match="range beyond float32"):
        quantizer.side(f32(-3e38, 3e38))


@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_every_entry_keeps_the_registrys_promises(name: str) -> None:
    cls = QUANTIZERS.load(name)
    assert cls.name == name
    assert f"| {cls.wire_id} | `{name}` |" in FORMAT.read_text("utf-8"), "FORMAT.md lists every quantizer's wire id"


def test_wire_ids_are_unique() -> None:
    ids = [QUANTIZERS.load(name).wire_id for name in QUANTIZERS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("log", {"bits": 17}, "quantizer 'log': bits: Input should be less than or equal to 16"),
        ("binary", {"bits": 2}, "quantizer 'binary': bits: Input should be less than or equal to 1"),
        ("lloyd_max", {"bits": 9}, "quantizer 'lloyd_max': bits: Input should be less than or equal to 8"),
        ("uniform", {"scope": "sample"}, "quantizer 'uniform': scope: Input should be 'tensor' or 'channel'"),
        ("log", {"scope": "sample", "maximum": 3.0}, "takes each sample's own maximum; leave maximum out"),
        ("log", {"scope": "sample", "reconstruction": "centroid"}, 'reconstruction must be "midpoint"'),
        ("step", {"step": 0.0}, "quantizer 'step': step: Input should be greater than or equal to 0.0009765625"),
    ],
)
def test_options_out_of_range_are_refused(name: str, asked: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        QUANTIZERS.make(name, asked)
    assert message in str(caught.value)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown quantizer 'unifrom'. Did you mean 'uniform'\? Known: binary, "):
        QUANTIZERS.load("unifrom")


# -- specs and packets ---------------------------------------------------------------------------------------------


def test_a_spec_resolves_to_its_components_defaults() -> None:
    spec = CodecSpec(quantizer="step", entropy="range").resolved()
    assert (spec.bits, spec.scope, spec.step, spec.reconstruction) == (8, "tensor", 0.5, "midpoint")
    assert (spec.clip, spec.maximum) == (None, None)
    assert spec.resolved() == spec
    spec = CodecSpec(quantizer="uniform", clip="percentile").resolved()
    assert (spec.bits, spec.percentile) == (4, 99.9)


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        (CodecSpec(quantizer="log", clip="kl"), "clip"),
        (CodecSpec(quantizer="uniform", maximum=3.0), "maximum"),
        (CodecSpec(quantizer="binary", reconstruction="centroid"), "reconstruction"),
    ],
)
def test_an_option_that_no_component_has_is_refused(spec: CodecSpec, key: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec.resolved()
    assert str(caught.value) == (
        f"codec.{key}: neither quantizer {spec.quantizer!r}, temporal 'none' nor entropy coder 'rans' has such an "
        "option; leave it out."
    )


@pytest.mark.parametrize(("name", "asked"), EVERY[:: max(1, len(EVERY) // 40)])
def test_packets_and_contracts_of_every_quantizer(name: str, asked: dict[str, object]) -> None:
    x = features(9, (8, 5, 4, 3))
    codec = Codec.fit(CodecSpec.model_validate({"quantizer": name, "entropy": "range", **asked}), [TENSOR], [x])
    other = Codec.from_json(codec.to_json())
    quantized = codec.quantize([x])
    packet = codec.encode_symbols(quantized)
    np.testing.assert_array_equal(other.decode(packet)[0], codec.dequantize(quantized)[0])
    assert other.encode([x]) == packet


def test_rc2_side_information_is_counted_in_the_packet() -> None:
    """Eight bytes a sample, before the first chunk: its values stand there as they are."""
    x = features(9, (8, 5, 4, 3))
    codec = Codec.fit(CodecSpec(quantizer="log", scope="sample", entropy="zstd"), [TENSOR], [x])
    side = codec.quantize([x[:2]]).side[0]
    assert side.astype("<f4").tobytes() in codec.encode([x[:2]])
    assert side.nbytes == 16


def test_the_layouts_checksum_binds_the_quantizers_parameters() -> None:
    """A decoder with other levels refuses the packet instead of restoring other features."""
    x = features(9, (8, 5, 4, 3))
    codec = Codec.fit(CodecSpec(entropy="range"), [TENSOR], [x])
    other = Codec.fit(CodecSpec(entropy="range"), [TENSOR], [x * np.float32(1.01)])
    packet = codec.encode([x[:1]])
    np.testing.assert_array_equal(codec.decode_symbols(packet).symbols[0], codec.quantize([x[:1]]).symbols[0])
    with pytest.raises(BitstreamError):
        other.decode_symbols(packet)


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
