"""Overlaps, suppression and matching, against ONNX Runtime's operator and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitc.tasks.geometry import corners_of_centers, match, overlaps, paired_overlaps, suppress
from splitc.types import Array


def onnx_suppression(boxes: Array, scores: Array, iou: float) -> set[tuple[int, int]]:
    """(class, box) that ONNX Runtime's NonMaxSuppression keeps; scores ``[C, K]``."""
    onnx = pytest.importorskip("onnx")
    ort = pytest.importorskip("onnxruntime")
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    g (float[1, {len(boxes)}, 4] boxes, float[1, {len(scores)}, {len(boxes)}] scores) => (int64[K, 3] kept)
    <int64 most = {{{len(boxes)}}}, float iou = {{{iou}}}, float least = {{0.001}}>
    {{ kept = NonMaxSuppression(boxes, scores, most, iou, least) }}"""
    session = ort.InferenceSession(
        onnx.parser.parse_model(text).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (kept,) = session.run(None, {"boxes": boxes[None].astype(np.float32), "scores": scores[None].astype(np.float32)})
    return {(int(row[1]), int(row[2])) for row in kept}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("iou", [0.25, 0.5, 0.75])
def test_suppression_is_onnx_nonmaxsuppression(seed: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 40, (120, 2)).astype(np.float64)
    boxes = np.concatenate([corners, corners + rng.integers(1, 30, (120, 2))], 1)
    scores = rng.integers(2, 1000, (3, 120)) / 1024  # float32 holds them, and some are equal
    classes, rows = np.nonzero(scores >= 0.001)
    kept = suppress(boxes[rows], scores[classes, rows], classes.astype(np.int64), iou, 10_000)
    assert {(int(classes[one]), int(rows[one])) for one in kept} == onnx_suppression(boxes, scores, iou)
    assert (np.diff(scores[classes, rows][kept]) <= 0).all()


def test_suppression_keeps_the_best_of_all_classes() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 10, 9]], np.float64)
    scores, classes = np.array([0.5, 0.9, 0.7, 0.8]), np.array([0, 1, 0, 1])
    assert suppress(boxes, scores, classes, 0.5, 10).tolist() == [1, 2, 0]
    assert suppress(boxes, scores, classes, 0.5, 2).tolist() == [1, 2]
    assert suppress(boxes[:0], scores[:0], classes[:0], 0.5, 2).tolist() == []


@pytest.mark.parametrize(
    ("other", "overlap"),
    [
        pytest.param([0, 0, 10, 10], 1.0, id="same"),
        pytest.param([0, 0, 10, 5], 0.5, id="half"),
        pytest.param([10, 0, 20, 10], 0.0, id="touching"),
        pytest.param([5, 5, 15, 15], 25 / 175, id="corner"),
        pytest.param([8, 8, 2, 2], 0.0, id="inside-out"),
        pytest.param([5, 5, 5, 5], 0.0, id="point"),
    ],
)
def test_overlap(other: list[float], overlap: float) -> None:
    one, two = np.array([[0.0, 0, 10, 10]]), np.array([other], np.float64)
    assert overlaps(one, two)[0, 0] == pytest.approx(overlap, abs=1e-12)
    assert overlaps(two, one)[0, 0] == pytest.approx(overlap, abs=1e-12)


def test_a_box_without_area_is_itself() -> None:
    point = np.array([[5.0, 5, 5, 5]])
    assert paired_overlaps(point, point).tolist() == [1.0]
    assert paired_overlaps(point, point + 1).tolist() == [0.0]


def test_centres_become_corners() -> None:
    assert corners_of_centers(np.array([[10, 20, 4, 6]])).tolist() == [[8, 17, 12, 23]]


@given(st.integers(0, 2**31), st.integers(0, 6), st.integers(0, 6))
def test_matching_takes_each_box_once_and_of_its_class(seed: int, first: int, second: int) -> None:
    rng = np.random.default_rng(seed)

    def some(count: int) -> tuple[Array, Array]:
        corners = rng.uniform(0, 20, (count, 2))
        return np.concatenate([corners, corners + rng.uniform(1, 20, (count, 2))], 1), rng.integers(0, 2, count)

    (one, one_classes), (other, other_classes) = some(first), some(second)
    partners, shared = match(one, one_classes, other, other_classes, 0.3)
    taken = partners[partners >= 0]
    assert len(set(taken.tolist())) == len(taken)
    for row, partner in enumerate(partners):
        assert (partner < 0) == (shared[row] == 0)
        if partner >= 0:
            assert one_classes[row] == other_classes[partner]
            assert shared[row] == overlaps(one[row : row + 1], other[partner : partner + 1])[0, 0] >= 0.3
