"""Masks with exact counts, and shared weights that are the best of their kind."""

from __future__ import annotations

import numpy as np
import pytest
from reference.weight_samples import dense, rng, sparse

from splitc.errors import CodecError
from splitc.weights import keep_largest, keep_largest_of_all, keep_largest_of_runs, share, share_rate


@pytest.mark.parametrize(("size", "removed", "count"), [(1000, 0.9, 900), (1001, 0.95, 950), (7, 0.5, 3), (10, 0.7, 7)])
def test_counts_are_exact(size: int, removed: float, count: int) -> None:
    assert int((~keep_largest(dense((size, 1)), removed)).sum()) == count


def test_ties_go_by_index() -> None:
    assert keep_largest(np.array([1, -1, 1, 2, -1], np.float32), 0.4).tolist() == [False, False, True, True, True]


def test_one_threshold_over_all_layers() -> None:
    layers = {"a": dense((30, 40), 1), "b": 100 * dense((50, 60), 2)}
    kept = keep_largest_of_all(layers, 0.6)
    assert sum(int((~mask).sum()) for mask in kept.values()) == 0.6 * (1200 + 3000)
    assert all(mask.any() and not mask.all() for mask in kept.values()), "scale alone must not decide"


def test_two_of_four() -> None:
    weights = dense((6, 10), 3)
    kept = keep_largest_of_runs(weights, 2, 4)
    assert (kept[:, :8].reshape(6, 2, 4).sum(2) == 2).all()
    assert kept[:, 8:].all(), "what is no whole run stays"
    runs = np.abs(weights[:, :8]).reshape(-1, 4)
    assert (np.where(kept[:, :8].reshape(-1, 4), runs, np.inf).min(1) >= np.median(runs, axis=1)).all()


@pytest.mark.parametrize("bad", [-0.1, 1.0])
def test_shares_out_of_range(bad: float) -> None:
    with pytest.raises(CodecError, match="must be at least 0 and below 1"):
        keep_largest(dense((3, 3)), bad)


@pytest.mark.parametrize("init", ["linear", "density", "kmeans++"])
@pytest.mark.parametrize("bits", [1, 5, 8])
def test_zeros_stay_and_codes_fit(init: str, bits: int) -> None:
    weights = np.where(rng(1).random((60, 70)) < 0.3, dense((60, 70)), 0).astype(np.float32)
    shared = share(weights, bits, init)
    assert ((shared == 0) == (weights == 0)).all()
    assert len(np.unique(shared[shared != 0])) <= 2**bits - 1
    assert share(weights, bits, init).tobytes() == shared.tobytes(), "deterministic"


def test_centroids_are_the_means_of_what_is_nearest() -> None:
    weights = dense((90, 100), 4)
    shared = share(weights, 4, "density")
    centroids = np.unique(shared).astype(np.float64)
    nearest = np.abs(weights.reshape(-1, 1) - centroids).argmin(1)
    means = np.array([weights.reshape(-1)[nearest == k].mean(dtype=np.float64) for k in range(len(centroids))])
    assert np.abs(means - centroids).max() < 1e-4 * np.abs(centroids).max()  # float32 centroids, and rounds are limited


def test_important_weights_are_met_better() -> None:
    weights = dense((50, 60), 5)
    importance = np.where(np.abs(weights) > np.quantile(np.abs(weights), 0.8), 100.0, 1.0)
    plain, weighted = share(weights, 3, "density"), share(weights, 3, "density", importance)
    assert (importance * (weighted - weights) ** 2).sum() < 0.9 * (importance * (plain - weights) ** 2).sum()


def test_few_distinct_values_stay() -> None:
    weights = sparse((20, 30), 0.5, 7)
    assert share(weights, 3).tobytes() == weights.tobytes()
    with pytest.raises(CodecError, match=r"codes of 1\.\.16 bits, not 17"):
        share(weights, 17)


@pytest.mark.parametrize(("codes", "rate"), [(256, 3.9988), (32, 6.3996)])
def test_the_rate_of_equation_6(codes: int, rate: float) -> None:
    assert share_rate(3_300_000, codes) == pytest.approx(rate, abs=5e-5)  # as the paper's numbers are rounded


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(CodecError, match="have no rate; there must be one of each"):
        share_rate(0, 256)
