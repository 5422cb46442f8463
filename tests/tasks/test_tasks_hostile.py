"""Whatever the outputs are: a verdict is sound, or the input is refused by name."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from task_cases import bound, spec

from splitc.errors import SplitcError
from splitc.tasks import BoundTask, Placement, TrueBoxes, TrueMask, Truth
from splitc.types import Array

SMALL = {"inputs": [spec("images", 1, 3, 32, 32)]}
TASKS: dict[str, tuple[BoundTask, tuple[int, ...], Truth]] = {
    "classes": (bound("classification", [spec("o", 1, 6)], activation="logits"), (1, 6), 2),
    "shares": (bound("classification", [spec("o", 1, 6)], activation="probabilities"), (1, 6), 2),
    "labels": (
        bound("classification", [spec("o", 1, 6)], activation="logits", multi_label=True),
        (1, 6),
        frozenset({1, 4}),
    ),
    "clips": (bound("clip", [spec("o", "N", 6)], activation="logits"), (3, 6), 2),
    "yolov8": (
        bound("detection", [spec("o", 1, 6, 21)], head="yolov8", activation="logits", **SMALL),
        (1, 6, 21),
        TrueBoxes(np.array([[1.0, 1, 9, 9]]), np.array([1]), np.array([False]), (0, 0, 32, 32)),
    ),
    "yolov3": (
        bound("detection", [spec("o", 1, 14, 3, 3)], anchors=[[4, 4, 9, 9]], **SMALL),
        (1, 14, 3, 3),
        TrueBoxes(np.array([[1.0, 1, 9, 9]]), np.array([1]), np.array([False]), (0, 0, 32, 32)),
    ),
    "end2end": (
        bound("detection", [spec("o", 1, 9, 6)], head="end2end", box_form="corners", box_unit="pixels"),
        (1, 9, 6),
        TrueBoxes(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, bool), (0, 0, 32, 32)),
    ),
    "masks": (
        bound("segmentation", [spec("o", 1, 3, 8, 8)], activation="logits"),
        (1, 3, 8, 8),
        TrueMask(np.arange(64).reshape(8, 8) % 3),
    ),
    "values": (bound("regression", [spec("o", 1, 4)]), (1, 4), np.arange(4.0)),
    "rankings": (bound("retrieval", [spec("o", 1, 4)], gallery=3), (1, 4), 1),
    "tensors": (bound("features", [spec("o", 1, 4)]), (1, 4), 0),
}


def anything(shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    plain = arrays(np.float32, shape, elements=st.floats(-100, 100, width=32))
    wild = arrays(np.float32, shape, elements=st.floats(width=32))  # NaN, infinities, subnormals
    return st.one_of(plain, wild, arrays(np.float16, shape, elements=st.floats(width=16)), st.just(np.zeros(shape)))


@pytest.mark.parametrize("case", list(TASKS))
@given(data=st.data())
@settings(max_examples=25, deadline=None)  # pycocotools takes milliseconds, and the first call imports it
def test_a_verdict_is_sound_whatever_the_outputs_are(case: str, data: st.DataObject) -> None:
    task, shape, truth = TASKS[case]
    pairs = data.draw(st.lists(st.tuples(anything(shape), anything(shape)), min_size=1, max_size=5))
    comparison = task.comparison()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for one, other in pairs:
            comparison.add({"o": one}, {"o": other}, None if case == "tensors" else truth)
        result = comparison.result()
    sound = [bool(np.isfinite(one).all() and np.isfinite(other).all()) for one, other in pairs]
    assert 0 <= result.fidelity.lower <= result.fidelity.value <= result.fidelity.upper <= 1
    assert result.divergence >= 0
    assert np.isfinite(result.divergence) == all(sound)
    assert result.samples == len(pairs)
    assert ("NaN or infinities" in result.headline) == (not all(sound))
    assert result.headline.endswith(".")
    assert None in result.document().values() or all(sound)


@pytest.mark.parametrize("case", list(TASKS))
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_equal_outputs_have_no_distance(case: str, data: st.DataObject) -> None:
    task, shape, _ = TASKS[case]
    outputs = {"o": data.draw(arrays(np.float32, shape, elements=st.floats(-100, 100, width=32)))}
    assert task.divergence(outputs, outputs) == pytest.approx(0, abs=1e-9)  # rounding of a cosine
    described = task.answer(outputs).mapped(Placement((1, 1), (0, 0), (32, 32), (32, 32))).describe()
    assert described


@pytest.mark.parametrize("case", [name for name in TASKS if name not in ("tensors", "rankings")])
def test_every_gate_has_a_value_where_there_are_labels(case: str) -> None:
    """But a drop where the unsplit network finds nothing right: there is nothing to lose."""
    task, shape, truth = TASKS[case]
    comparison = task.comparison()
    outputs = {"o": np.random.default_rng(0).standard_normal(shape)}
    comparison.add(outputs, outputs, truth)
    found = comparison.result()
    drops = {name for name in task.gates if name.endswith("_drop")}
    is_right = any(one.reference for one in found.accuracy[:1])  # the next ones are looser
    assert set(found.gates) == set(task.gates) - (set() if is_right else drops)


YOLO = "1 0.25 0.3 0.3 0.4\n"
COCO = (
    '{"images":[{"id":1,"file_name":"a.jpg","width":9,"height":9}],"annotations":[{"image_id":1,"category_id":0,'
    '"bbox":[1,2,3,4]}],"categories":[{"id":0,"name":"cat"}]}'
)
VOC = (
    "<annotation><size><width>9</width><height>9</height></size><object><name>cat</name><bndbox><xmin>1</xmin>"
    "<ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object></annotation>"
)
DETECTOR = bound("detection", [spec("o", 1, 6, 21)], head="yolov8", classes=["cat", "dog"], **SMALL)
CLASSIFIER = bound("classification", [spec("o", 1, 6)])
REGRESSOR = bound("regression", [spec("o", 1, 6)])


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        pytest.param("a.txt", YOLO, lambda file: DETECTOR.labels(file.parent), id="yolo"),
        pytest.param("a.json", COCO, lambda file: DETECTOR.labels(file), id="coco"),
        pytest.param("a.xml", VOC, lambda file: DETECTOR.labels(file.parent), id="voc"),
        pytest.param("a.csv", "a.jpg,1\nb.jpg,2\n", lambda file: CLASSIFIER.labels(file), id="classes"),
        pytest.param("a.csv", "a.jpg,1.5\nb.jpg,2\n", lambda file: REGRESSOR.labels(file), id="values"),
    ],
)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_labels_are_labels_or_refused(
    name: str, text: str, read: Callable[[Path], object], data: st.DataObject, tmp_path: Path
) -> None:
    """Bytes cut off, changed or put in."""
    damaged = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged)))
        damaged[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=4))
    (tmp_path / name).write_bytes(damaged)
    with contextlib.suppress(SplitcError):
        read(tmp_path / name)
