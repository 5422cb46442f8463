"""A task's options through a bundle and back."""

from __future__ import annotations

import numpy as np
import pytest
from task_cases import IMAGE, bound, softmax, spec

from splitc.errors import RecipeError, UsageError
from splitc.tasks import TASKS, BindRequest, BoundTask, bound_again, spelled_options
from splitc.types import TensorSpec

SCORES = spec("scores", "N", 4)
LOGITS = np.array([[1.0, 2.0, 5.0, -3.0]])
ALL = {"output": "scores", "activation": "logits", "multi_label": False, "threshold": 0.5, "top": 5}
"""Where one option is to be spelled all are: defaults may change."""
ROWS = spec("rows", 1, 84, 8400)


def settled(outputs: list[TensorSpec], task: str, values: np.ndarray, **options: object) -> BoundTask:
    return bound(task, outputs, examples=[{spec.name: values for spec in outputs}], **options)


@pytest.mark.parametrize(
    ("task", "values", "options", "spelled"),
    [
        pytest.param("classification", LOGITS, {}, {}, id="as-ever"),
        pytest.param(
            "classification",
            softmax(LOGITS),
            {},
            ALL | {"activation": "probabilities"},
            id="probabilities",
        ),
        pytest.param("classification", LOGITS, {"top": 3}, ALL | {"top": 3}, id="option"),
        pytest.param("features", LOGITS, {}, {}, id="features"),
        pytest.param(
            "regression",
            LOGITS,
            {"tolerance": 1.0},
            {"output": "scores", "tolerance": 1.0, "relative": 0.05},
            id="regression",
        ),
    ],
)
def test_what_the_name_says_is_not_spelled(
    task: str, values: np.ndarray, options: dict[str, object], spelled: dict[str, object]
) -> None:
    network = BindRequest([SCORES], [IMAGE])
    found = settled([SCORES], task, values, **options)
    assert spelled_options(found, network) == spelled
    assert bound_again(TASKS, task, spelled_options(found, network), network).task == found.task


def test_a_head_is_spelled() -> None:
    rows = np.zeros((1, 84, 8400))
    rows[0, :5, 0] = 320, 320, 100, 100, 0.9
    found = settled([ROWS], "detection", rows)
    options = spelled_options(found, BindRequest([ROWS], [IMAGE]))
    assert options["head"] == "yolov8"  # although the shape says it: a later version may read shapes otherwise
    again = bound_again(TASKS, "detection", options, BindRequest([ROWS], [IMAGE]))
    assert again.task == found.task


@pytest.mark.parametrize(
    ("task", "options", "error", "words"),
    [
        ("nonsense", {}, UsageError, "unknown task 'nonsense'"),
        ("classification", {"heda": 1}, UsageError, "heda"),
        ("classification", {"output": "more"}, RecipeError, "no output 'more'"),
        ("classification", {"activation": "auto"}, UsageError, "leave open how the outputs are read"),
    ],
)
def test_options_that_do_not_fit(task: str, options: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        bound_again(TASKS, task, options, BindRequest([SCORES], [IMAGE]))
