"""Shared weights: k-means of one layer's nonzero weights (RT14; Han et al. 2016), zero kept zero, deterministic.

In one dimension clusters are intervals of the sorted weights, so a round of Lloyd's algorithm is a binary search of
the boundaries and a difference of running sums: ten million weights take about a second, nearly all of it the sorting.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from splitc.errors import CodecError
from splitc.types import F32, F64, Array

Init = Literal["linear", "density", "kmeans++"]
ROUNDS = 300
SEED = 20190


def share(weights: Array, bits: int, init: Init = "linear", importance: Array | None = None) -> F32:
    """``weights`` with at most ``2**bits - 1`` distinct nonzero values, and its zeros.

    Args:
        weights: Any shape. Fewer distinct values than clusters stay as they are.
        bits: 1..16. One code is left for zero, which fillers of the relative index need too.
        init: Where centroids begin: evenly between least and largest weight (as in T-C3D), evenly over the sorted
            weights, or by k-means++ with a fixed seed.
        importance: Weight of every weight's squared error, such as its Fisher information; same shape.

    Raises:
        CodecError: ``bits`` is out of range.
    """
    if not 1 <= bits <= 16:
        raise CodecError(f"weights: shared weights have codes of 1..16 bits, not {bits}.")
    flat = weights.reshape(-1).astype(np.float32)
    places = np.flatnonzero(flat)
    distinct = np.unique(flat[places])
    clusters = (1 << bits) - 1
    if len(distinct) <= clusters:
        return flat.reshape(weights.shape)
    order = np.argsort(flat[places], kind="stable")
    values = flat[places][order].astype(np.float64)
    costs = np.ones(len(values)) if importance is None else importance.reshape(-1)[places][order].astype(np.float64)
    centroids = _lloyd(values, np.maximum(costs, 1e-30), _start(values, distinct, clusters, init))
    shared = np.zeros_like(flat)
    codes = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
    shared[places[order]] = centroids.astype(np.float32)[codes]
    return shared.reshape(weights.shape)


def share_rate(count: int, codes: int, bits: int = 32) -> float:
    """How many times fewer bits ``count`` weights of ``bits`` bits take as codes of one width beside their codebook.

    ``r = n b / (n log2 k + k b)`` (RT13; T-C3D equation 6, from Han et al. 2016). Zeros are counted as all others, and
    nothing is entropy-coded.

    Raises:
        CodecError: Fewer than one weight or one code.
    """
    if count < 1 or codes < 1:
        raise CodecError(f"weights: {count} weights with {codes} codes have no rate; there must be one of each.")
    return count * bits / (count * math.log2(codes) + codes * bits)


def _start(values: F64, distinct: Array, clusters: int, init: Init) -> F64:
    """First centroids, ascending."""
    if init == "linear":
        return np.linspace(values[0], values[-1], clusters)
    if init == "density":
        return np.asarray(values[((np.arange(clusters) + 0.5) * len(values) / clusters).astype(int)])
    return np.sort(_seeded(distinct.astype(np.float64), clusters))


def _seeded(distinct: F64, clusters: int) -> F64:
    """k-means++ over distinct values: each next one far from those before (Arthur & Vassilvitskii 2007)."""
    source = np.random.default_rng(SEED)
    chosen = [float(distinct[source.integers(len(distinct))])]
    distance = np.square(distinct - chosen[0])
    for _ in range(clusters - 1):
        running = np.cumsum(distance)
        chosen.append(float(distinct[np.searchsorted(running, source.random() * running[-1])]))
        distance = np.minimum(distance, np.square(distinct - chosen[-1]))
    return np.array(chosen)


def _lloyd(values: F64, costs: F64, centroids: F64) -> F64:
    """Centroids after at most :data:`ROUNDS` rounds; an empty cluster stays where it is."""
    mass = np.concatenate([[0.0], np.cumsum(costs)])
    moment = np.concatenate([[0.0], np.cumsum(costs * values)])
    for _ in range(ROUNDS):
        edges = np.searchsorted(values, (centroids[1:] + centroids[:-1]) / 2)
        ends = np.concatenate([[0], edges, [len(values)]])
        weight, total = np.diff(mass[ends]), np.diff(moment[ends])
        moved = np.where(weight > 0, total / np.maximum(weight, 1e-300), centroids)
        moved = np.maximum.accumulate(moved)  # an empty cluster must not be overtaken
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids
