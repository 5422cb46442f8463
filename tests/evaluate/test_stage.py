"""One stage's numbers where tensors hardly move and answers do: the stage must name the damage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from splitc.evaluate import Stage
from splitc.evaluate.stage import ReadOutputs, StageSums
from splitc.tasks import TASKS, BindRequest, BoundTask
from splitc.types import Array, Feeds, TensorSpec

IMAGE = TensorSpec(name="image", dtype="float32", shape=(1, 3, 640, 640))


def bound(task: str, spec: TensorSpec, example: Array, **options: Any) -> BoundTask:
    return TASKS.make(task, options).bind(BindRequest([spec], [IMAGE])).settle([{spec.name: example}])


def stage(task: BoundTask, pairs: Sequence[tuple[Feeds, Feeds]]) -> Stage:
    sums = StageSums("coded", task)
    for reference, other in pairs:
        full, got = ReadOutputs(reference, task.reads), ReadOutputs(other, task.reads)
        sums.add(full, full, got, None)
    return sums.stage()


def rows(*boxes: tuple[float, ...]) -> Array:
    """``[1, 20, 6]``: corners, score, class; the rest is empty."""
    found = np.zeros((1, 20, 6), np.float32)
    found[0, : len(boxes)] = np.array(boxes, np.float32).reshape(-1, 6)
    return found


BOXES = TensorSpec(name="boxes", dtype="float32", shape=(1, 20, 6))
FULL = rows((100, 100, 500, 500, 0.9, 3), (20, 20, 60, 90, 0.8, 1))


@pytest.fixture(scope="module")
def detector() -> BoundTask:
    return bound("detection", BOXES, FULL, head="end2end", box_form="corners", box_unit="pixels")


def boxes(task: BoundTask, full: Array, other: Array, count: int = 4) -> Stage:
    return stage(task, [({"boxes": full}, {"boxes": other})] * count)


def test_scores_drowned_by_coordinates(detector: BoundTask) -> None:
    """Both boxes fall below the threshold: 0.9999 of the cosine are left, and none of the boxes."""
    lost = FULL.copy()
    lost[0, :, 4] = 0.1 * (FULL[0, :, 4] > 0)
    found = boxes(detector, FULL, lost)
    assert found.cosine is not None
    assert found.cosine > 0.9999
    assert (found.fidelity, found.top1) == (0.0, None)
    assert found.divergence > 0.5
    assert "0 boxes where the unsplit network has 8" in found.agreement.headline


@pytest.mark.parametrize(("full", "other"), [(FULL, rows()), (rows(), FULL)], ids=["lost", "made-up"])
def test_no_box_on_one_side(full: Array, other: Array, detector: BoundTask) -> None:
    assert boxes(detector, full, other).fidelity == 0.0


def test_no_box_on_either_side_is_no_agreement(detector: BoundTask) -> None:
    found = boxes(detector, rows(), rows())
    assert (found.fidelity, found.agreement.fidelity.interval) == (0.0, (0.0, 1.0))


def test_lists_of_other_lengths_have_no_cosine(detector: BoundTask) -> None:
    found = boxes(detector, FULL, FULL[:, :10])
    assert (found.fidelity, found.cosine, found.max_abs_diff, found.added_max_abs_diff) == (1.0, None, None, None)


def test_one_percent_of_the_pixels() -> None:
    """A class of its own that is lost: one pixel of a hundred, half of the mIoU."""
    spec = TensorSpec(name="mask", dtype="float32", shape=(1, 2, 10, 10))
    full = np.zeros((1, 2, 10, 10), np.float32)
    full[0, 0], full[0, :, 0, 0] = 1.0, (0.0, 1.0)
    other = full.copy()
    other[0, :, 0, 0] = 1.0, 0.0
    task = bound("segmentation", spec, full, activation="logits")
    found = stage(task, [({"mask": full}, {"mask": other})] * 3)
    assert found.cosine is not None
    assert found.cosine > 0.98
    assert found.fidelity == pytest.approx(0.99 / 2, abs=1e-9)


def test_a_yes_that_becomes_a_no() -> None:
    """Softmax of one score is 1 either way."""
    spec = TensorSpec(name="wake", dtype="float32", shape=(1, 1))
    task = bound("classification", spec, np.array([[2.0]]))
    found = stage(task, [({"wake": np.array([[2.0]])}, {"wake": np.array([[-2.0]])})] * 3)
    assert found.fidelity == 0.0
    assert found.kl == found.divergence > 1
    assert "The largest change of a probability is 0.76." in found.agreement.headline


def test_few_samples_are_said(detector: BoundTask) -> None:
    assert "Few samples: 4, fewer than 30" in boxes(detector, FULL, FULL).agreement.headline
    assert "Few samples" not in boxes(detector, FULL, FULL, 30).agreement.headline


def test_what_is_no_kl_is_not_called_so() -> None:
    spec = TensorSpec(name="x", dtype="float32", shape=(1, 3))
    task = bound("features", spec, np.ones((1, 3)))
    found = stage(task, [({"x": np.ones((1, 3))}, {"x": np.array([[1.0, 1.0, 0.0]])})])
    assert (found.kl, found.added_kl) == (None, None)
    assert found.divergence == found.added_divergence > 0
    assert "answers" not in found.agreement.headline
    assert Stage.model_validate(found.model_dump(mode="json")) == found
