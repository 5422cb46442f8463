"""Answers in one line, as ``splitc run`` prints them."""

from __future__ import annotations

import numpy as np
import pytest

from splitc.tasks import TaskAnswer
from splitc.tasks.boxes import Boxes
from splitc.tasks.class_scores import ClassScores, LabelScores
from splitc.tasks.features import Tensors
from splitc.tasks.regression import Values
from splitc.tasks.retrieval import Embedding
from splitc.tasks.segmentation import Mask

NAMES = ["cat", "dog", "cow"]


def boxes(*classes: int) -> Boxes:
    count = len(classes)
    return Boxes(np.zeros((count, 4)), np.full(count, 0.5), np.array(classes, np.int64), NAMES)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        pytest.param(ClassScores(np.array([0.25, 0.75]), NAMES), "dog (75%)", id="class"),
        pytest.param(LabelScores(np.array([0.9, 0.1, 0.6]), 0.5, NAMES), "cat (90%), cow (60%)", id="labels"),
        pytest.param(LabelScores(np.array([0.2, 0.1, 0.3]), 0.5, NAMES), "no label", id="no-label"),
        pytest.param(LabelScores(np.array([0.9]), 0.5), "yes (90%)", id="yes"),
        pytest.param(LabelScores(np.array([0.25]), 0.5), "no (25%)", id="no"),
        pytest.param(boxes(), "no box", id="no-box"),
        pytest.param(boxes(1), "1 box: dog", id="one-box"),
        pytest.param(boxes(0, 1, 1), "3 boxes: 2 dog, cat", id="boxes"),
        pytest.param(boxes(7), "1 box: class 7", id="box-without-a-name"),
        pytest.param(Mask(np.array([[0, 1], [1, 1]]), NAMES), "dog 75%, cat 25%", id="mask"),
        pytest.param(Values(np.array([1.5, -2.0]), NAMES), "cat 1.5, dog -2", id="values"),
        pytest.param(Values(np.arange(6.0)), "0, 1, 2, 3 ...", id="many-values"),
        pytest.param(Embedding(np.array([3.0, 4.0])), "embedding, 2 values, length 5", id="embedding"),
        pytest.param(Tensors({"y": np.ones((1, 2))}), "{'y': {'shape': [1, 2], 'mean': 1.0}}", id="tensors"),
    ],
)
def test_an_answer_in_one_line(answer: TaskAnswer, text: str) -> None:
    assert answer.text == text


def test_what_people_look_at() -> None:
    seen = [ClassScores(np.ones(1)), boxes(), Mask(np.zeros((1, 1), np.int64)), Values(np.ones(1))]
    assert all(one.is_for_people for one in seen)
    assert not any(one.is_for_people for one in (Embedding(np.ones(1)), Tensors({})))
    assert [one.has_places for one in seen] == [False, True, True, False]
