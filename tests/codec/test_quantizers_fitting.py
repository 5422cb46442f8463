"""What calibration finds: error bounds, clip ranges, steps, thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from quantizer_cases import features, round_trip, squared_error

from splitc.codec import QUANTIZERS
from splitc.codec.quantizers.binary import Binary
from splitc.codec.quantizers.lloyd_max import LloydMax
from splitc.codec.quantizers.step import Step
from splitc.codec.quantizers.uniform import Uniform
from splitc.errors import UsageError
from splitc.types import F32

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
