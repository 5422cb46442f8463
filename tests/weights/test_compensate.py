"""Compensation: grids and masks are kept, and outputs move less than without it."""

from __future__ import annotations

import numpy as np
import pytest
from reference.weight_samples import rng

from splitc.types import F32
from splitc.weights import factor_of, keep_largest, keep_largest_of_runs, keep_n_of_m, keep_share, pruned, rounded


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
