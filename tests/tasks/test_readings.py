"""Outputs are read once while they are kept, and give the verdict of outputs that are read every time."""

from __future__ import annotations

import numpy as np
import pytest
from task_cases import bound, spec

from splitc.tasks import KeptOutputs, TrueBoxes
from splitc.tasks.heads.yolo import YoloV8
from splitc.types import Array, Feeds

ROWS = 400


def outputs(seed: int, moved: float = 0.0) -> Feeds:
    """Boxes of two classes over a picture of 640 pixels, as ``[1, ROWS, 6]``; another seed moves them."""
    fixed, other = np.random.default_rng(3), np.random.default_rng(seed)
    rows = np.concatenate([fixed.uniform(0, 600, (ROWS, 2)), fixed.uniform(5, 60, (ROWS, 2))], 1)
    scores = fixed.uniform(0, 1, (ROWS, 2)) ** 8
    noise = moved * other.standard_normal((ROWS, 6))
    found: Array = np.concatenate([rows, scores], 1) + noise * [5, 5, 5, 5, 0.05, 0.05]
    found[:, 4:] = np.clip(found[:, 4:], 0, 1)
    return {"o": found[None].astype(np.float32)}


def truth() -> TrueBoxes:
    corners = outputs(0)["o"][0, :40, :4].astype(np.float64)
    boxes = np.concatenate([corners[:, :2] - corners[:, 2:] / 2, corners[:, :2] + corners[:, 2:] / 2], 1)
    return TrueBoxes(boxes, np.zeros(40, np.int64), np.zeros(40, np.bool_), (0, 0, 640, 640))


def test_a_reading_is_made_once_a_key() -> None:
    kept, numbers = KeptOutputs({"a": np.zeros(2)}), iter(range(9))
    assert [kept.reading(key, lambda: next(numbers)) for key in ("one", "two", "one")] == [0, 1, 0]
    assert dict(kept)["a"] is kept["a"]
    assert len(kept) == 1
    assert kept == kept
    assert kept != KeptOutputs({"a": np.zeros(2)})


def test_kept_outputs_are_decoded_once_and_give_the_same_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycocotools")
    task = bound("detection", [spec("o", 1, ROWS, 6)], head="yolov8", activation="probabilities", size=[640, 640])
    samples = [(outputs(0), outputs(seed, 0.1)) for seed in range(1, 4)]
    plain, kept, decoded = task.comparison(), [task.comparison() for _ in range(3)], []
    for one, other in samples:
        plain.add(one, other, truth())
    decode = YoloV8.decode
    monkeypatch.setattr(YoloV8, "decode", lambda head, one: decoded.append(id(one)) or decode(head, one))
    for one, other in samples:
        pair = KeptOutputs(one), KeptOutputs(other)
        for comparison in kept:
            comparison.add(*pair, truth())
        assert task.divergence(*pair) == task.divergence(one, other)
    assert len(decoded) == 2 * len(samples) + 2 * len(samples)  # of kept ones, and of plain ones by `divergence`
    for comparison in kept:
        assert comparison.result() == plain.result()
    assert plain.result().fidelity.value < 1


def test_a_distance_is_of_its_own_pair() -> None:
    task = bound("detection", [spec("o", 1, ROWS, 6)], head="yolov8", activation="probabilities", size=[640, 640])
    other, near, far = (KeptOutputs(outputs(1, moved)) for moved in (0.1, 0.11, 2.0))
    assert task.divergence(near, other) == task.divergence(dict(near), dict(other))
    assert task.divergence(far, other) == task.divergence(dict(far), dict(other)) > task.divergence(near, other) > 0
