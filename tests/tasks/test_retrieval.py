"""Rankings by embeddings."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from task_cases import bound, spec

from splitc.errors import UsageError
from splitc.tasks import BoundTask
from splitc.types import Array, Feeds

RNG = np.random.default_rng(0)
EMBEDDINGS = RNG.standard_normal((20, 8)).astype(np.float32)


def retriever(**options: object) -> BoundTask:
    return bound("retrieval", [spec("e", "N", 8)], **options)


def outputs(row: Array) -> Feeds:
    return {"e": row[None]}


def verdict(others: Array, identities: list[int] | None = None, **options: object):  # type: ignore[no-untyped-def]
    comparison = retriever(**options).comparison()
    for number, (one, other) in enumerate(zip(EMBEDDINGS, others, strict=True)):
        comparison.add(outputs(one), outputs(other), None if identities is None else identities[number])
    return comparison.result()


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_fidelity_is_that_of_all_pairs(distance: str) -> None:
    """Against a loop over all pairs of the gallery, written from the definition."""
    others = EMBEDDINGS + 0.3 * RNG.standard_normal(EMBEDDINGS.shape).astype(np.float32)

    def distances(query: Array, gallery: Array) -> Array:
        query, gallery = query.astype(np.float64), gallery.astype(np.float64)
        if distance == "euclidean":
            return np.asarray(np.linalg.norm(gallery - query, axis=1))
        return np.asarray(1 - gallery @ query / np.linalg.norm(gallery, axis=1) / np.linalg.norm(query))

    kept = pairs = 0
    for row in range(20):
        gallery = np.delete(EMBEDDINGS, row, 0)
        first, second = distances(EMBEDDINGS[row], gallery), distances(others[row], gallery)
        for one in range(19):
            for two in range(one):
                kept += (first[one] < first[two]) == (second[one] < second[two])
                pairs += 1
    assert verdict(others, distance=distance).fidelity.value == pytest.approx(kept / pairs, abs=1e-12)


def test_same_and_reversed() -> None:
    same = verdict(EMBEDDINGS)
    assert (same.fidelity.value, same.divergence) == (1.0, pytest.approx(0, abs=1e-7))
    turned = verdict(-EMBEDDINGS)
    assert turned.fidelity.value == 0
    assert turned.divergence == pytest.approx(2)


def test_length_is_nothing_to_a_cosine() -> None:
    assert verdict(EMBEDDINGS * 7).fidelity.value == 1


def test_identities() -> None:
    identities = [number // 2 for number in range(20)]
    pairs = np.repeat(RNG.standard_normal((10, 8)), 2, axis=0)
    close = (pairs + 0.01 * RNG.standard_normal((20, 8))).astype(np.float32)
    comparison = retriever().comparison()
    for number in range(20):
        comparison.add(outputs(close[number]), outputs(-close[number]), identities[number])
    accuracy = {one.name: one for one in comparison.result().accuracy}
    assert (accuracy["top1"].reference, accuracy["top1"].other) == (1.0, 0.0)
    assert (accuracy["map"].reference, accuracy["map"].other) == (1.0, pytest.approx(1 / 19))
    assert comparison.result().gates["max_top1_drop"] == 1


def test_memory_is_bounded_by_the_gallery() -> None:
    comparison = retriever(gallery=16).comparison()
    for _ in range(100):
        row = RNG.standard_normal(8).astype(np.float32)
        comparison.add(outputs(row), outputs(row))
    result = comparison.result()
    assert result.samples == 100
    assert 8 <= result.details["ranked_samples"] <= 16  # type: ignore[operator]
    assert result.fidelity.value == 1


def test_nan_ranks_nothing() -> None:
    others = EMBEDDINGS.copy()
    others[3, 0] = np.nan
    result = verdict(others)
    assert result.fidelity.value == pytest.approx(19 / 20)
    assert result.divergence == np.inf
    assert "NaN or infinities in 1 of 20 (1 of the other path)." in result.headline


def test_refusals_and_descriptions() -> None:
    with pytest.raises(UsageError, match="identities, whole numbers"):
        retriever().comparison().add(outputs(EMBEDDINGS[0]), outputs(EMBEDDINGS[0]), frozenset({1}))
    described = retriever().answer(outputs(EMBEDDINGS[0])).describe()
    assert described["dimensions"] == 8


def test_one_sample_has_nothing_to_rank() -> None:
    comparison = retriever().comparison()
    comparison.add(outputs(EMBEDDINGS[0]), outputs(EMBEDDINGS[0]))
    assert comparison.result().fidelity.interval == (0.0, 1.0)


def test_one_gallery_at_a_time_is_held() -> None:
    """200 galleries of 200 x 512 float64 together would take 160 MB."""
    rows = RNG.standard_normal((200, 512)).astype(np.float32)
    comparison = bound("retrieval", [spec("e", "N", 512)]).comparison()
    for number, row in enumerate(rows):
        comparison.add(outputs(row), outputs(row), number // 2)
    tracemalloc.start()
    result = comparison.result()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.fidelity.value == 1
    assert peak < 16e6  # two galleries, lengths and rankings; 0.8 MB each
