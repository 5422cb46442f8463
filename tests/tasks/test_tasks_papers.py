"""Check values of the papers' requirements, by id."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_cases import bound, spec

from splitc.tasks import rank_similarity
from splitc.tasks.detection_comparison import rc9_of_pairs
from splitc.tasks.mean_average_precision import ap_loss_db


def test_rc7_classification_as_the_table_has_it_and_as_printed() -> None:
    task = bound("classification", [spec("logits", 1, 1000)], activation="logits")
    comparison = task.comparison()
    for sample in range(4):
        logits = np.zeros((1, 1000), np.float32)
        logits[0, sample] = 1
        other = logits.copy()
        if sample == 3:
            other[0, 7] = 2
        comparison.add({"logits": logits}, {"logits": other})
    result = comparison.result()
    assert result.fidelity.value == 0.75
    assert result.details["fidelity_printed"] == pytest.approx(0.99975, abs=1e-12)
    assert result.details["changed_top1"] == 1


@pytest.mark.parametrize(
    ("reconstructed", "similarity"),
    [("abcd", 1.0), ("bacd", 5 / 6), ("dcba", 0.0)],
    ids=["same", "one-swap", "reversed"],
)
def test_rc8_retrieval(reconstructed: str, similarity: float) -> None:
    assert rank_similarity(np.array(list("abcd")), np.array(list(reconstructed))) == pytest.approx(
        similarity, abs=1e-15
    )


@given(st.permutations(list(range(9))))
def test_rc8_equals_the_naive_loop(reconstructed: list[int]) -> None:
    items, swaps = list(reconstructed), 0
    for end in range(len(items)):
        for at in range(len(items) - 1 - end):
            if items[at] > items[at + 1]:
                items[at], items[at + 1], swaps = items[at + 1], items[at], swaps + 1
    assert rank_similarity(np.arange(9), np.array(reconstructed)) == pytest.approx(1 - swaps / 36, abs=1e-15)


def test_rc8_long_lists_take_less_than_a_second() -> None:
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    similarity = rank_similarity(np.arange(5693), rng.permutation(5693))
    assert time.perf_counter() - start < 1
    assert similarity == pytest.approx(0.5, abs=0.02)  # random orders: half of all pairs, 5 standard deviations


@pytest.mark.parametrize("other", [[0, 1, 2], [0, 1, 1, 2], [0, 1, 2, 9]], ids=["shorter", "twice", "foreign"])
def test_rc8_refuses_other_items(other: list[int]) -> None:
    with pytest.raises(ValueError, match="same items"):
        rank_similarity(np.arange(4), np.array(other))


def test_rc9_detection_printed_and_absolute() -> None:
    pristine, reconstructed, shared = np.array([0.9, 0.6]), np.array([0.8, 0.9]), np.array([0.5, 1.0])
    printed, absolute = rc9_of_pairs(pristine, reconstructed, shared)
    assert printed == pytest.approx(0.8667, abs=5e-5)
    assert absolute == pytest.approx(0.4667, abs=5e-5)


def test_ri9_average_precision_loss_rate() -> None:
    assert ap_loss_db(0.50, 0.45) == pytest.approx(-10.0, abs=1e-9)
    assert ap_loss_db(0.50, 0.50) is None
    assert ap_loss_db(0.50, 0.55) is None
