"""The task of a contract, and labels of samples as the network's input shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitc.bundle import Contract
from splitc.errors import BundleError, CapabilityError, UsageError
from splitc.runtime import Sample, bound_task, truth_of
from splitc.tasks import TASKS, BindRequest, LabelTable, TrueBoxes
from splitc.types import Placement, Preprocess, TensorSpec

SCORES = TensorSpec(name="scores", dtype="float32", shape=("N", 3))
BOXES = TensorSpec(name="boxes", dtype="float32", shape=(1, 20, 6))
IMAGE = TensorSpec(name="image", dtype="float32", shape=(1, 3, 64, 32))


def contract(task: str, options: dict[str, Any]) -> Contract:
    fields = {"inputs": [IMAGE], "outputs": [SCORES], "cut": [SCORES], "wire": [SCORES]}
    return Contract(name="x", task=task, task_options=options, codec={}, preprocess=Preprocess(), **fields)


def test_a_contract_of_before_is_a_classifier_of_logits() -> None:
    """Whose options no bundle spelled."""
    task = bound_task(contract("classification", {}))
    found = task.answer({"scores": np.log(np.array([[1.0, 2.0, 5.0]]))}).describe()
    assert (task.reads, found["index"]) == (("scores",), 2)
    assert found["share"] == pytest.approx(5 / 8, rel=1e-12)


def test_options_of_a_contract_are_those_of_its_task() -> None:
    task = bound_task(
        contract("classification", {"activation": "probabilities", "multi_label": True, "threshold": 0.9})
    )
    assert task.answer({"scores": np.array([[0.95, 0.5, 0.91]])}).describe()["threshold"] == 0.9


@pytest.mark.parametrize(
    ("task", "options", "error", "words"),
    [
        pytest.param("pose", {}, CapabilityError, "task 'pose' is not installed here", id="unknown"),
        pytest.param("classification", {"heda": 1}, BundleError, "task_options: .*heda", id="key"),
        pytest.param("classification", {"top": -1}, BundleError, "task_options: .*top", id="range"),
        pytest.param("classification", {"activation": ["logits"]}, BundleError, "task_options: ", id="list"),
        pytest.param("classification", {"activation": "auto"}, BundleError, "leave open", id="open"),
        pytest.param("classification", {"output": "more"}, BundleError, "no output 'more'", id="output"),
        pytest.param("detection", {"head": "yolov8"}, BundleError, "task_options: ", id="head"),
        pytest.param("detection", {}, BundleError, "task_options: ", id="no-options"),
    ],
)
def test_a_contract_is_not_trusted(task: str, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        bound_task(contract(task, options))


def test_labels_with_places_lie_in_the_input() -> None:
    """The left half of a picture of 40 x 20, stretched to 32 x 64."""
    task = TASKS.make("detection", {"head": "end2end"}).bind(BindRequest([BOXES], [IMAGE]))
    ignored = np.array([False])
    table = LabelTable({"a.png": TrueBoxes(np.array([[0.0, 0.0, 0.5, 1.0]]), np.array([1]), ignored)})
    placement = Placement((0.8, 3.2), (0.0, 0.0), (40, 20), (32, 64))
    truth = truth_of(Sample("a.png", {}, file=Path("a.png"), placement=placement), table, task)
    assert isinstance(truth, TrueBoxes)
    np.testing.assert_allclose(truth.xyxy, [[0, 0, 16, 64]], atol=1e-12)
    assert truth_of(Sample("b.png", {}, file=Path("b.png")), table, task) is None


def test_an_array_has_no_places() -> None:
    task = TASKS.make("detection", {"head": "end2end"}).bind(BindRequest([BOXES], [IMAGE]))
    table = LabelTable({"a.npy": TrueBoxes(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, bool))})
    with pytest.raises(UsageError, match=r"a\.npy: its label says where .* an array does not say"):
        truth_of(Sample("a.npy", {}, file=Path("a.npy")), table, task)


def test_a_task_without_labels_takes_none() -> None:
    task = TASKS.make("features", {}).bind(BindRequest([SCORES]))
    assert truth_of(Sample("a.png", {}, file=Path("a.png")), LabelTable({"a.png": 3}), task) is None
