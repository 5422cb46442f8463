"""Answers on pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from splitc.tasks.answer import TaskAnswer
from splitc.tasks.boxes import Boxes
from splitc.tasks.class_scores import ClassScores, LabelScores
from splitc.tasks.features import Tensors
from splitc.tasks.regression import Values
from splitc.tasks.retrieval import Embedding
from splitc.tasks.segmentation import Mask

GREY = Image.new("RGB", (200, 120), (90, 90, 90))
BOXES = Boxes(
    np.array([[50.0, 30, 150, 100], [-20, -20, 500, 500], [60, 50, 40, 20]]),
    np.array([0.9, 0.5, 0.3]),
    np.array([0, 1, 99]),
)
MASK = np.zeros((60, 100), np.int64)
MASK[20:40, 30:70] = 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ClassScores(np.array([0.2, 0.8]), ["cat", "dog"]), id="class"),
        pytest.param(LabelScores(np.array([0.2]), 0.5), id="no"),
        pytest.param(LabelScores(np.array([0.2, 0.7]), 0.5, ["ä", "猫"]), id="labels"),
        pytest.param(BOXES, id="boxes"),
        pytest.param(Mask(MASK), id="mask"),
        pytest.param(Values(np.arange(9.0)), id="values"),
        pytest.param(Embedding(np.ones(4)), id="embedding"),
        pytest.param(Tensors({"a": np.zeros((1, 2))}), id="tensors"),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_every_answer_draws_on_a_copy(answer: TaskAnswer, mode: str) -> None:
    picture = GREY.convert(mode)
    before = picture.tobytes()
    drawn = answer.draw(picture)
    assert (drawn.size, drawn.mode) == (picture.size, "RGB")
    assert picture.tobytes() == before
    assert drawn.tobytes() != GREY.tobytes()


def test_boxes_are_where_they_belong() -> None:
    drawn = np.asarray(BOXES.pick(np.array([0])).draw(GREY)).astype(int)
    changed = np.abs(drawn - 90).sum(-1) > 0
    assert changed[60, 50]
    assert changed[99, 100]
    assert not changed[60, 100]
    assert not changed[110, 100]


def test_masks_cover_their_pixels_and_leave_the_background() -> None:
    drawn = np.asarray(Mask(MASK).draw(GREY)).astype(int)
    changed = np.abs(drawn - 90).sum(-1) > 0
    assert np.array_equal(changed, np.repeat(np.repeat(MASK == 1, 2, 0), 2, 1))


def test_no_boxes_draw_nothing() -> None:
    assert BOXES.above(0.95).draw(GREY).tobytes() == GREY.tobytes()
