"""Random pulls of the answers: in the mean, the half of their square along a change is its divergence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from splitc.tasks import TASKS, BindRequest, BoundTask
from splitc.tasks.divergences import sigmoid
from splitc.tasks.pulls import as_output
from splitc.types import Array, Feeds, TensorSpec

RNG = np.random.default_rng(3)


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x)
    return np.asarray(e / e.sum(axis, keepdims=True))


LOGITS = RNG.normal(size=(1, 6)) * 2
MAPS = RNG.normal(size=(1, 3, 4, 5)) * 2
RAW = RNG.normal(size=(1, 2 * 8, 3, 4))
ROWS = np.concatenate([RNG.uniform(40, 300, size=(1, 4, 12)), RNG.uniform(0.01, 0.9, size=(1, 5, 12))], 1)
WITH_OBJECTNESS = ROWS.transpose(0, 2, 1)
CASES: Mapping[str, tuple[str, Mapping[str, Any], Array]] = {
    "logits": ("classification", {"activation": "logits"}, LOGITS),
    "probabilities": ("classification", {"activation": "probabilities"}, softmax(LOGITS)),
    "label-logits": ("classification", {"activation": "logits", "multi_label": True}, LOGITS),
    "labels": ("classification", {"activation": "probabilities", "multi_label": True}, sigmoid(LOGITS)),
    "features": ("features", {}, LOGITS),
    "values": ("regression", {}, LOGITS),
    "embedding": ("retrieval", {}, LOGITS),
    "pixel-logits": ("segmentation", {"activation": "logits"}, MAPS),
    "pixels": ("segmentation", {"activation": "probabilities"}, softmax(MAPS, 1)),
    "one-class-pixels": ("segmentation", {"activation": "logits"}, MAPS[:, :1]),
    "yolov3": ("detection", {"head": "yolov3", "anchors": [[10, 13, 30, 40]], "strides": [8]}, RAW),
    "yolov8": ("detection", {"head": "yolov8", "activation": "probabilities"}, ROWS),
    "yolov8-logits": ("detection", {"head": "yolov8", "activation": "logits"}, ROWS),
    "yolov5": ("detection", {"head": "yolov5", "activation": "probabilities"}, WITH_OBJECTNESS),
}


def bound(task: str, options: Mapping[str, Any], output: Array) -> BoundTask:
    specs = [TensorSpec(name="y", dtype="float32", shape=output.shape)]
    inputs = [TensorSpec(name="x", dtype="float32", shape=(1, 3, 320, 320))]
    return TASKS.make(task, options).bind(BindRequest(outputs=specs, inputs=inputs)).settle([as_feeds(output)])


def as_feeds(output: Array) -> Feeds:
    return {"y": output.astype(np.float32)}


@pytest.mark.parametrize("name", CASES)
def test_pulls_square_to_the_divergence(name: str) -> None:
    task, options, output = CASES[name]
    found = bound(task, options, output)
    rng = np.random.default_rng(5)
    pulls = [found.pull(as_feeds(output), rng) for _ in range(3000)]
    assert all(pull is not None and pull["y"].shape == output.shape for pull in pulls)
    every = np.stack([pull["y"] for pull in pulls if pull is not None]).reshape(len(pulls), -1)
    are_shares = name in ("probabilities", "labels", "pixels") or found.task.name == "detection"
    for _ in range(3):
        change = rng.normal(size=output.shape) * 1e-3 * (np.abs(output) if are_shares else 1)
        change[is_box_value(name, output)] = 0
        other = {"y": output.astype(np.float32).astype(np.float64) + change}
        moved = found.divergence({"y": output.astype(np.float32).astype(np.float64)}, other)
        expected = float(np.square(every @ change.ravel()).mean()) / 2
        # the square of a sum of signs has a deviation of at most its mean times sqrt(2): 2.6 % of 3,000, four of them
        assert expected == pytest.approx(moved, rel=0.1)


def is_box_value(name: str, output: Array) -> Array:
    """Values that say where a box is."""
    found = np.zeros(output.shape, bool)
    if name == "yolov3":
        found.reshape(2, 8, 3, 4)[:, :4] = True
    elif name.startswith("yolov8"):
        found[:, :4] = True
    elif name == "yolov5":
        found[..., :4] = True
    return found


def test_a_head_without_a_pull_says_so() -> None:
    specs = [TensorSpec(name=n, dtype="float32", shape=s) for n, s in (("s", (1, 20, 2)), ("b", (1, 20, 4)))]
    request = BindRequest(outputs=specs, inputs=[TensorSpec(name="x", dtype="float32", shape=(1, 3, 240, 320))])
    options = {
        "head": "ssd",
        "outputs": ["b", "s"],
        "activation": "probabilities",
        "box_form": "corners",
        "box_unit": "relative",
    }
    feeds = {"s": RNG.uniform(size=(1, 20, 2)).astype(np.float32), "b": RNG.uniform(size=(1, 20, 4)).astype(np.float32)}
    assert TASKS.make("detection", options).bind(request).pull(feeds, RNG) is None


def test_nothing_pulls_where_nothing_is() -> None:
    zeros = np.zeros((1, 4))
    for task in ("regression", "retrieval", "features"):
        pull = bound(task, {}, zeros).pull(as_feeds(zeros), RNG)
        assert pull is not None
        assert not pull["y"].any()


def test_a_scalar_is_pulled_as_one() -> None:
    assert as_output(np.ones(()), np.array(3, np.float32)).shape == ()
    assert as_output(np.ones((4,)), np.ones((2, 2), np.float32)).shape == (2, 2)
