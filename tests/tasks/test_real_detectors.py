"""Real detectors on real pictures: boxes, and mAP beside published figures and an independent evaluator."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from task_cases import bound

from splitc.tasks import BoundTask, Placement, TaskAgreement, TrueBoxes
from splitc.tasks.boxes import Boxes
from splitc.types import Array, Feeds, TensorSpec

DATA = Path(os.environ.get("SPLITC_DATA", Path(__file__).parents[3] / "shared/data"))
PICTURES = DATA / "images/coco_val2017"
YOLO_FASTEST_ANCHORS = [[115, 73, 119, 199, 242, 238], [12, 18, 37, 49, 52, 132]]
Prepare = Callable[[Image.Image], tuple[Array, Placement]]


def stretched(width: int, height: int, mean: float, divisor: float) -> Prepare:
    """Resized without its aspect ratio; ``(rgb - mean) / divisor``."""

    def prepare(picture: Image.Image) -> tuple[Array, Placement]:
        resized = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), np.float32)
        scale = width / picture.width, height / picture.height
        return ((resized - mean) / divisor).transpose(2, 0, 1)[None], Placement(
            scale, (0, 0), picture.size, (width, height)
        )

    return prepare


def letterboxed(picture: Image.Image) -> tuple[Array, Placement]:
    """640 x 640, aspect ratio kept, grey border."""
    ratio = 640 / max(picture.size)
    width, height = round(picture.width * ratio), round(picture.height * ratio)
    left, top = (640 - width) // 2, (640 - height) // 2
    canvas = np.full((640, 640, 3), 114, np.uint8)
    canvas[top : top + height, left : left + width] = np.asarray(
        picture.resize((width, height), Image.Resampling.BILINEAR)
    )
    scale = width / picture.width, height / picture.height
    return canvas.astype(np.float32).transpose(2, 0, 1)[None] / 255, Placement(
        scale, (left, top), picture.size, (640, 640)
    )


class Detector(NamedTuple):
    """A network that runs, the task that reads it, and how pictures become its input."""

    run: Callable[[Array], Feeds]
    task: BoundTask
    prepare: Prepare


def opened(name: str, prepare: Prepare, classes: list[str], **options: object) -> Detector:
    file = DATA / f"models/{name}.onnx"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    ort = pytest.importorskip("onnxruntime")
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    session = ort.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])

    def specs(values: list[object]) -> list[TensorSpec]:
        return [TensorSpec(name=one.name, dtype="float32", shape=tuple(one.shape)) for one in values]  # type: ignore

    names = [one.name for one in session.get_outputs()]

    def run(image: Array) -> Feeds:
        return dict(zip(names, session.run(None, {session.get_inputs()[0].name: image}), strict=True))

    with Image.open(sorted(PICTURES.glob("*.jpg"))[0]) as picture:
        example = run(prepare(picture.convert("RGB"))[0])
    task = bound(
        "detection",
        specs(session.get_outputs()),
        inputs=specs(session.get_inputs()),
        classes=classes,
        examples=[example],
        **options,
    )
    return Detector(run, task, prepare)


@pytest.fixture(scope="module")
def coco_names() -> list[str]:
    if not PICTURES.exists():
        pytest.skip(f"{PICTURES} is not there")
    return (PICTURES / "classes.txt").read_text().split("\n")[:80]


def average_precisions(found: list[Boxes], labelled: list[TrueBoxes]) -> Array:
    """COCO's mAP at each overlap ``[10]``, 0 to 1, written from its description: no code of the product or its peer."""
    scores = np.concatenate([one.scores for one in found])
    classes = np.concatenate([one.classes for one in found])
    hits = np.concatenate([_hits(one, truth) for one, truth in zip(found, labelled, strict=True)])
    known = np.concatenate([truth.classes for truth in labelled])
    curves = []
    for index in np.unique(known):
        rows = np.flatnonzero(classes == index)
        ordered = hits[rows[np.argsort(-scores[rows], kind="stable")]]
        precision = np.cumsum(ordered, 0) / np.arange(1, len(ordered) + 1)[:, None]
        recall = np.cumsum(ordered, 0) / np.count_nonzero(known == index)
        points = np.linspace(0, 1, 101)[:, None, None] - 1e-12
        reached = np.where(recall[None] >= points, precision[None], 0)
        curves.append(reached.max(1, initial=0.0).mean(0))
    return np.asarray(np.mean(curves, axis=0))


def _hits(found: Boxes, truth: TrueBoxes) -> Array:
    """Whether each box finds an object, at ten overlaps, bool ``[K, 10]``."""
    x1, y1, x2, y2 = truth.area
    boxes = np.clip(found.xyxy, [x1, y1, x1, y1], [x2, y2, x2, y2])
    hits = np.zeros((len(found), 10), bool)
    for column, least in enumerate(np.linspace(0.5, 0.95, 10)):
        free = np.ones(len(truth.classes), bool)
        for row in np.argsort(-found.scores, kind="stable"):
            low = np.maximum(boxes[row, :2], truth.xyxy[:, :2])
            high = np.minimum(boxes[row, 2:], truth.xyxy[:, 2:])
            shared = np.prod(np.clip(high - low, 0, None), 1)
            sizes = [np.prod(one[..., 2:] - one[..., :2], -1) for one in (boxes[row], truth.xyxy)]
            overlap = shared / (sizes[0] + sizes[1] - shared)
            overlap[~free | (truth.classes != found.classes[row])] = -1
            if overlap.size and overlap.max() >= least:
                free[overlap.argmax()] = False
                hits[row, column] = True
    return hits


def measured(detector: Detector) -> tuple[TaskAgreement, Array]:
    """The verdict with the input rounded to five bits as other path, and the independent evaluator's mAP."""
    labels, comparison = detector.task.labels(PICTURES), detector.task.comparison()
    found, labelled = [], []
    for file in sorted(PICTURES.glob("*.jpg")):
        with Image.open(file) as picture:
            image, placement = detector.prepare(picture.convert("RGB"))
        known = labels.find(str(file))
        assert known is not None
        truth = detector.task.place(known, placement)
        assert isinstance(truth, TrueBoxes)
        outputs = detector.run(image)
        comparison.add(outputs, detector.run(np.round(image * 32) / 32), truth)
        found.append(detector.task.boxes(detector.task._decode(outputs), 0.001))  # type: ignore[attr-defined]
        labelled.append(truth)
    labels.require_match()
    return comparison.result(), average_precisions(found, labelled)


def assert_equals(result: TaskAgreement, independent: Array) -> None:
    accuracy = {one.name: one.reference for one in result.accuracy}
    assert accuracy["map50"] == pytest.approx(independent[0], abs=0.002)
    assert accuracy["map50_95"] == pytest.approx(independent.mean(), abs=0.002)
    assert set(result.gates) == {"min_fidelity", "max_kl", "max_map_drop"}


def test_yolo_fastest(coco_names: list[str]) -> None:
    """SOURCES.md: mAP50 42.0, mAP50-95 20.8 on these 40 pictures, by another evaluator and another resize."""
    detector = opened("yolo_fastest_1.1_xl_coco", stretched(320, 320, 0, 255), coco_names, anchors=YOLO_FASTEST_ANCHORS)
    result, independent = measured(detector)
    assert_equals(result, independent)
    accuracy = {one.name: one.reference for one in result.accuracy}
    assert accuracy["map50"] == pytest.approx(0.42, abs=0.04)
    assert accuracy["map50_95"] == pytest.approx(0.208, abs=0.04)
    assert result.details["boxes_reference"] == 211
    assert 0.9 < result.fidelity.value < 1


@pytest.mark.slow
def test_yolo11n(coco_names: list[str]) -> None:
    """Measured before on these 40 pictures with the same suppression: mAP50 65.9, mAP50-95 50.7."""
    detector = opened("yolo11n_coco", letterboxed, coco_names)
    result, independent = measured(detector)
    assert_equals(result, independent)
    accuracy = {one.name: one.reference for one in result.accuracy}
    assert accuracy["map50"] == pytest.approx(0.659, abs=0.01)
    assert accuracy["map50_95"] == pytest.approx(0.507, abs=0.01)


def test_ultraface() -> None:
    """SOURCES.md: both faces of the picture of two men; faces need no labels here."""
    if not PICTURES.exists():
        pytest.skip(f"{PICTURES} is not there")
    detector = opened("ultraface-rfb-320", stretched(320, 240, 127, 128), ["face"])
    options = detector.task.task.model_dump()
    assert [options[key] for key in ("head", "background", "box_form", "box_unit", "activation")] == [
        "ssd",
        "first",
        "corners",
        "relative",
        "probabilities",
    ]
    faces = 0
    for file in sorted(PICTURES.glob("*.jpg")):
        with Image.open(file) as picture:
            image, placement = detector.prepare(picture.convert("RGB"))
        answer = detector.task.answer(detector.run(image))
        assert isinstance(answer, Boxes)
        mapped = answer.above(0.9).mapped(placement)
        faces += len(mapped)
        sizes = mapped.xyxy[:, 2:] - mapped.xyxy[:, :2]
        assert (sizes > 0).all()
        assert (mapped.xyxy[:, 2:] <= np.array(placement.size)).all()
    assert faces > 20
