"""Rankings and how alike two are. Pure functions."""

from __future__ import annotations

import numpy as np

from splitc.tasks.geometry import Indices
from splitc.types import F64, Array


def rank_similarity(pristine: Array, reconstructed: Array) -> float:
    """Share of the pairs of items whose order both rankings have: 1 for equal ones, 0 for reversed ones.

    ``1 - swaps / (n (n - 1) / 2)``, where ``swaps`` are those of a bubble sort of one into the other: its inversions,
    counted in ``O(n log n)``.

    Args:
        pristine: Items in their order, ``[n]``; each once.
        reconstructed: The same items in another order.

    Raises:
        ValueError: Not the same items.

    Source: Chen et al. 2019, eq. 3 and algorithm 1, which prints ``swaps / total``; its table has the complement.
    """
    first, second = np.asarray(pristine), np.asarray(reconstructed)
    order = np.argsort(first, kind="stable")
    places = order[np.clip(np.searchsorted(first[order], second), 0, max(len(first) - 1, 0))]
    if len(first) != len(second) or len(np.unique(first)) < len(first) or not np.array_equal(first[places], second):
        raise ValueError("both rankings must hold the same items, each once")
    if len(np.unique(places)) < len(places):
        raise ValueError("both rankings must hold the same items, each once")
    total = len(first) * (len(first) - 1) // 2
    return 1.0 if total == 0 else 1 - inversions(places) / total


def inversions(places: Indices) -> int:
    """Pairs ``i < j`` with ``places[i] > places[j]``, by merging sorted runs of doubling length.

    Each round sorts pairs of neighbouring runs at once; what a run's element passes over are the larger ones on its
    left.
    """
    count, width = 0, 1
    values = np.asarray(places, np.int64)
    size = 1 << max(len(values) - 1, 0).bit_length()
    padded = np.concatenate([values, np.full(size - len(values), np.iinfo(np.int64).max)])
    while width < size:
        runs = padded.reshape(-1, 2 * width)
        order = np.argsort(runs, axis=1, kind="stable")
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(2 * width)[None], axis=1)
        # an element of the right run ends at its own place among the right ones, plus the left ones not above it
        not_above = rank[:, width:] - np.arange(width)
        count += int((width - not_above).sum())
        padded, width = np.take_along_axis(runs, order, axis=1).ravel(), 2 * width
    return count


def ranking(query: F64, gallery: F64, *, is_cosine: bool) -> Indices:
    """Gallery rows from the nearest to the farthest, int64 ``[n]``; of equal ones the first is first.

    Args:
        query: ``[D]``.
        gallery: ``[n, D]``.
        is_cosine: By cosine similarity, else by Euclidean distance.
    """
    if is_cosine:
        lengths = np.linalg.norm(gallery, axis=1) * max(float(np.linalg.norm(query)), 1e-300)
        distances = -(gallery @ query) / np.maximum(lengths, 1e-300)
    else:
        distances = np.square(gallery - query).sum(1)
    return np.asarray(np.argsort(distances, kind="stable"), np.int64)


def average_precision(is_relevant: Array) -> float:
    """Mean of the precisions at the relevant places of a ranking, bool ``[n]``; 0 where none is relevant."""
    hits = np.flatnonzero(is_relevant)
    return float(np.mean(np.arange(1, len(hits) + 1) / (hits + 1))) if len(hits) else 0.0
