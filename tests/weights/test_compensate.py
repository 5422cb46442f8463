"""Compensation: grids and masks are kept, and outputs move less than without it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from reference.weight_samples import rng

from splitc.errors import CodecError
from splitc.types import F32, F64
from splitc.weights import (
    factor_of,
    keep_largest,
    keep_largest_of_runs,
    keep_n_of_m,
    keep_share,
    pruned,
    rounded,
    shrunk,
)


@pytest.fixture
def layer() -> tuple[F32, F32]:
    """Weights ``[30, 200]`` and the factor of correlated inputs."""
    source = rng(3)
    inputs = source.standard_normal((200, 40)) @ source.standard_normal((40, 3000))
    inputs += 0.3 * source.standard_normal(inputs.shape)
    return source.standard_normal((30, 200)).astype(np.float32), factor_of(inputs @ inputs.T / 3000)


def moved(weights: F32, changed: F32, factor: F32) -> float:
    return float(np.square((weights - changed) @ factor.T).sum())


def test_factor(layer: tuple[F32, F32]) -> None:
    _, factor = layer
    assert np.array_equal(factor, np.triu(factor))
    assert (np.diag(factor) > 0).all()


def test_rounding(layer: tuple[F32, F32]) -> None:
    weights, factor = layer
    step = np.float32(0.25)

    def to_grid(column: F32, index: int) -> F32:
        return np.rint(column / step) * step

    changed = rounded(weights, factor, to_grid)
    assert np.array_equal(np.rint(changed / step) * step, changed)
    assert moved(weights, changed, factor) < 0.4 * moved(weights, to_grid(weights, 0), factor)


def test_half_of_the_weights(layer: tuple[F32, F32]) -> None:
    weights, factor = layer
    changed = pruned(weights, factor, keep_share(0.5))
    assert np.count_nonzero(changed) == weights.size // 2
    assert moved(weights, changed, factor) < 0.5 * moved(weights, weights * keep_largest(weights, 0.5), factor)


def test_two_of_four(layer: tuple[F32, F32]) -> None:
    weights, factor = layer
    changed = pruned(weights, factor, keep_n_of_m(2, 4))
    assert (np.count_nonzero(changed.reshape(-1, 4), axis=1) <= 2).all()
    plain = weights * keep_largest_of_runs(weights, 2, 4)
    assert moved(weights, changed, factor) < 0.5 * moved(weights, plain, factor)


def test_the_last_column_is_what_rounding_alone_makes_of_it(layer: tuple[F32, F32]) -> None:
    """Nothing comes before it."""
    weights, factor = layer
    assert np.array_equal(
        rounded(weights, factor, lambda column, index: np.rint(column))[:, -1], np.rint(weights[:, -1])
    )


def test_zeros_stay_zero(layer: tuple[F32, F32]) -> None:
    weights, factor = layer
    runs = pruned(weights, factor, keep_n_of_m(2, 4))
    for changed in (
        rounded(runs, factor, lambda column, index: np.rint(column / np.float32(0.1)) * np.float32(0.1)),
        pruned(runs, factor, keep_share(0.6)),
    ):
        assert not changed[runs == 0].any()
        assert (np.count_nonzero(changed.reshape(-1, 4), axis=1) <= 2).all()
    assert np.count_nonzero(pruned(runs, factor, keep_share(0.5))) == weights.size // 2, "zeros go first"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keep_share(1.5), "the share to prune is 1.5"),
        (lambda: keep_n_of_m(4, 4), "4:4 sparsity keeps 4 of 4"),
        (lambda: keep_n_of_m(2, 5), "runs of 5 do not fill the blocks of 64"),
    ],
)
def test_what_is_no_sparsity_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(CodecError, match=message):
        make()


def of_product(source: np.random.Generator, taps: int, channels: int) -> tuple[F64, F64]:
    """A covariance that is a product, and its root, ``[taps * channels] * 2``."""
    sides = [source.standard_normal((size, size)) for size in (taps, channels)]
    root = np.kron(*sides)
    return root @ root.T, root


def test_shrinking_keeps_a_product() -> None:
    covariance, _ = of_product(rng(5), 9, 8)
    assert np.allclose(shrunk(covariance.astype(np.float32), 9), covariance, rtol=1e-3, atol=1e-3 * covariance.max())


@pytest.mark.parametrize("taps", [1, 72])
def test_one_tap_or_one_channel_is_left_alone(taps: int) -> None:
    covariance = np.cov(rng(5).standard_normal((72, 200))).astype(np.float32)
    assert shrunk(covariance, taps) is covariance


def test_shrinking_is_nearer_to_the_truth_where_samples_are_few() -> None:
    """Fewer samples than columns; the truth is near a product, not one."""
    source = rng(6)
    truth, root = of_product(source, 9, 8)
    other = source.standard_normal(root.shape) * 0.2 * np.sqrt(np.mean(root**2))
    truth = truth + other @ other.T
    samples = root @ source.standard_normal((72, 40)) + other @ source.standard_normal((72, 40))
    seen = (samples @ samples.T / 40).astype(np.float32)
    assert np.linalg.norm(shrunk(seen, 9) - truth) < 0.7 * np.linalg.norm(seen - truth)
