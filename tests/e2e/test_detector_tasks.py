"""Detectors from a model file to boxes: a short recipe, drawn pictures, F1, and mAP beside an evaluator by hand.

By hand means: ONNX Runtime runs the model file, NumPy decodes as the head's paper says, ONNX's own NonMaxSuppression
suppresses, and pycocotools judges boxes in the pixels of the pictures. Nothing of splitc takes part in it.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from e2e_setting import build, cli
from PIL import Image

from splitc.bundle import open_bundle
from splitc.types import Array

DATA = Path(os.environ.get("SPLITC_DATA", Path(__file__).parents[3] / "shared/data"))
PICTURES = DATA / "images/coco_val2017"
ort = pytest.importorskip("onnxruntime")
LEAST, MOST = 0.001, 300
SAME_MAP = 0.002
"""Two tenths of a point: rounding of boxes that are clipped, and of scores that are equal."""


class Found(NamedTuple):
    """Boxes of one picture: corners in its pixels ``[K, 4]``, scores ``[K]``, classes ``[K]``."""

    xyxy: Array
    scores: Array
    classes: Array


class Detector(NamedTuple):
    """How a model file is used by hand, and in a recipe.

    Attributes:
        side: Width and height of the input.
        decode: Outputs by name -> corners in shares of the input ``[A, 4]``, and scores ``[A, C]``.
        iou: For suppression; None where the head has none.
        head: Of the recipe, after ``[data.detection]``.
        normal: Mean and divisor of pixels.
        is_letterbox: Whether the picture keeps its aspect ratio.
        cut: Where to cut; None: in the middle.
    """

    side: tuple[int, int]
    decode: Callable[[Mapping[str, Array]], tuple[Array, Array]]
    iou: float | None
    head: str = ""
    normal: tuple[float, float] = (0.0, 255.0)
    is_letterbox: bool = False
    cut: str | None = None


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.asarray(x, np.float64))))


def corners(boxes: Array) -> Array:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)


def yolov8(side: int) -> Callable[[Mapping[str, Array]], tuple[Array, Array]]:
    def decode(outputs: Mapping[str, Array]) -> tuple[Array, Array]:
        rows = outputs["output0"][0].T.astype(np.float64)
        return corners(rows[:, :4]) / side, rows[:, 4:]

    return decode


def ssd(outputs: Mapping[str, Array]) -> tuple[Array, Array]:
    return outputs["boxes"][0], outputs["scores"][0][:, 1:]


def detr(outputs: Mapping[str, Array]) -> tuple[Array, Array]:
    powers = np.exp(outputs["logits"][0].astype(np.float64))
    return corners(outputs["pred_boxes"][0]), (powers / powers.sum(1, keepdims=True))[:, :-1]


def listed(outputs: Mapping[str, Array]) -> tuple[Array, Array]:
    """torchvision's: boxes in input pixels of 320, suppressed by the network; class 0 would be the background."""
    scores = np.zeros((len(outputs["scores"]), 5))
    scores[np.arange(len(scores)), outputs["labels"] - 1] = outputs["scores"]
    return outputs["boxes"] / 320, scores


def yolov3(outputs: Mapping[str, Array]) -> tuple[Array, Array]:
    """Yolo-Fastest's two maps of three anchors; the cell of x, y, then the powers of the anchors' sizes."""
    boxes, scores = [], []
    for name, anchors in zip(("head0", "head1"), YOLO_FASTEST_ANCHORS, strict=True):
        found = outputs[name][0].astype(np.float64).reshape(3, 85, *outputs[name].shape[2:])
        for one, width, height in zip(found, anchors[::2], anchors[1::2], strict=True):
            y, x = np.mgrid[: one.shape[1], : one.shape[2]]
            centre = [(sigmoid(one[0]) + x) / one.shape[2], (sigmoid(one[1]) + y) / one.shape[1]]
            size = [np.exp(one[2]) * width / 320, np.exp(one[3]) * height / 320]
            boxes.append(corners(np.stack([*centre, *size], -1).reshape(-1, 4)))
            scores.append((sigmoid(one[4:5]) * sigmoid(one[5:])).reshape(80, -1).T)
    return np.concatenate(boxes), np.concatenate(scores)


YOLO_FASTEST_ANCHORS = [[115, 73, 119, 199, 242, 238], [12, 18, 37, 49, 52, 132]]
YOLO11N_SIZE, YOLO11N_CUT = "size = [640, 640]\n", "/model.4/cv2/act/Mul_output_0"
EXPORTS = {
    "yolov8": Detector((160, 160), yolov8(160), 0.7),
    "ssd": Detector((160, 160), ssd, 0.45),
    "detr": Detector((160, 160), detr, None),
}
REAL = {
    "yolo_fastest_1.1_xl_coco": Detector((320, 320), yolov3, 0.45, f"anchors = {YOLO_FASTEST_ANCHORS}\n"),
    "ultraface-rfb-320": Detector((320, 240), ssd, 0.45, normal=(127.0, 128.0)),
    "yolo11n_coco": Detector((640, 640), yolov8(640), 0.7, YOLO11N_SIZE, is_letterbox=True, cut=YOLO11N_CUT),
}


def suppressed(boxes: Array, scores: Array, iou: float | None) -> tuple[Array, Array]:
    """Rows and classes that stay, of at least :data:`LEAST`, the best :data:`MOST`; by ONNX's operator."""
    if iou is None:
        rows, classes = np.nonzero(scores >= LEAST)
    else:
        text = f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[1, A, 4] boxes, float[1, C, A] scores) => (int64[K, 3] kept)
        <int64 most = {{10000}}, float iou = {{{iou}}}, float least = {{{LEAST}}}>
        {{ kept = NonMaxSuppression(boxes, scores, most, iou, least) }}"""
        session = ort.InferenceSession(onnx.parser.parse_model(text).SerializeToString())
        feeds = {"boxes": boxes[None].astype(np.float32), "scores": scores.T[None].astype(np.float32)}
        _, classes, rows = session.run(None, feeds)[0].T
    order = np.argsort(-scores[rows, classes], kind="stable")[:MOST]
    return rows[order], classes[order]


class Placed(NamedTuple):
    """A picture as the network's input, ``[1, 3, H, W]``, and how its pixels become the picture's."""

    feed: Array
    scale: Array
    offset: Array
    size: tuple[int, int]


def placed(path: Path, detector: Detector) -> Placed:
    """Stretched to the input, or letterboxed on grey as YOLO's own tools do it."""
    mean, divisor = detector.normal
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    ratio = min(one / other for one, other in zip(detector.side, picture.size, strict=True))
    inner = tuple(round(one * ratio) for one in picture.size) if detector.is_letterbox else detector.side
    before = np.array([(whole - one) // 2 for whole, one in zip(detector.side, inner, strict=True)])
    canvas = Image.new("RGB", detector.side, (114, 114, 114))
    canvas.paste(picture.resize(inner, Image.Resampling.BILINEAR), tuple(before.tolist()))
    feed = ((np.asarray(canvas, np.float32) - mean) / divisor).astype(np.float32).transpose(2, 0, 1)[None]
    scale = np.array(picture.size) / inner
    return Placed(feed, np.tile(scale, 2), np.tile(-before * scale, 2), picture.size)


def by_hand(model: Path, detector: Detector, pictures: Sequence[Path]) -> dict[Path, Found]:
    """What a model file sees."""
    session, found = ort.InferenceSession(str(model)), {}
    names = [one.name for one in session.get_outputs()]
    for path in pictures:
        at = placed(path, detector)
        outputs = dict(zip(names, session.run(None, {session.get_inputs()[0].name: at.feed}), strict=True))
        shares, scores = detector.decode(outputs)
        rows, classes = suppressed(shares, scores, detector.iou)
        boxes = shares[rows] * np.tile(detector.side, 2) * at.scale + at.offset
        found[path] = Found(np.clip(boxes, 0, np.tile(at.size, 2)), scores[rows, classes], classes)
    return found


def judged(found: Mapping[Path, Found], known: Mapping[Path, Found]) -> tuple[float, float]:
    """mAP50-95 and mAP50 by pycocotools as its own examples use it."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    images = [{"id": number} for number in range(len(found))]
    truth, results = [], []
    for number, path in enumerate(found):
        for rows, one in ((truth, known[path]), (results, found[path])):
            for box, score, index in zip(*one, strict=True):
                x1, y1, x2, y2 = map(float, box)
                rows.append(
                    {
                        "id": len(rows) + 1,
                        "image_id": number,
                        "category_id": int(index),
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": (x2 - x1) * (y2 - y1),
                        "iscrowd": 0,
                        "score": float(score),
                    }
                )
    reference = coco.COCO()
    labelled = sorted({row["category_id"] for row in truth})
    categories = [{"id": index} for index in labelled]
    reference.dataset = {"images": images, "annotations": truth, "categories": categories}
    with contextlib.redirect_stdout(io.StringIO()):
        reference.createIndex()
        results = [row for row in results if row["category_id"] in labelled]
        evaluator = cocoeval.COCOeval(reference, reference.loadRes(results), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return float(evaluator.stats[0]), float(evaluator.stats[1])


def labels_like(found: Mapping[Path, Found], folder: Path) -> dict[Path, Found]:
    """Labels that a network half agrees with: its better boxes, moved, a fifth left out; as YOLO text files too."""
    random, known = np.random.default_rng(7), {}
    folder.mkdir()
    for path, one in found.items():
        kept = np.flatnonzero((one.scores >= 0.3) & (random.uniform(size=len(one.scores)) < 0.8))[:20]
        with Image.open(path) as picture:
            limits = np.array(picture.size * 2, np.float64)
        sizes = np.tile(one.xyxy[kept, 2:] - one.xyxy[kept, :2], 2)
        moved = np.clip(one.xyxy[kept] + random.normal(0, 0.08, (len(kept), 4)) * sizes, 0, limits)
        moved = np.concatenate([np.minimum(moved[:, :2], moved[:, 2:]), np.maximum(moved[:, :2], moved[:, 2:])], 1)
        known[path] = Found(moved, np.ones(len(kept)), one.classes[kept])
        shares = moved / limits
        rows = np.concatenate([(shares[:, :2] + shares[:, 2:]) / 2, shares[:, 2:] - shares[:, :2]], 1)
        lines = [
            f"{index} {' '.join(map(repr, row.tolist()))}\n"
            for index, row in zip(known[path].classes, rows, strict=True)
        ]
        (folder / f"{path.stem}.txt").write_text("".join(lines))
    return known


def yolo_labels(pictures: Sequence[Path], folder: Path) -> dict[Path, Found]:
    """COCO's own labels."""
    known = {}
    for path in pictures:
        rows = np.loadtxt(folder / f"{path.stem}.txt", ndmin=2).reshape(-1, 5)
        with Image.open(path) as picture:
            boxes = corners(rows[:, 1:]) * np.array(picture.size * 2)
        known[path] = Found(boxes, np.ones(len(rows)), rows[:, 0].astype(int))
    return known


def recipe(model: Path, detector: Detector, cut: str, labels: Path) -> str:
    """From a model file to a verdict in at most 15 lines."""
    mean, divisor = detector.normal
    width, height = detector.side
    normal = f", scale = 1.0, mean = [{mean}], std = [{divisor}]" if mean else ""
    fit = ', fit = "letterbox"' if detector.is_letterbox else ""
    text = f"""\
name = "detector"
[model]
source = "{model}"
[data]
calibration = "calibration"
verification = "verification"
preprocess = {{ resize = [{height}, {width}]{fit}{normal} }}
labels = "{labels}"
task = "detection"
[data.detection]
{detector.head}[split]
at = "{cut}"
"""
    assert text.count("\n") <= 15
    return text


def middle_cut(model: Path) -> str:
    """The single cut of the fewest bytes among those with a twentieth to four fifths of the FLOPs before them."""
    cuts = cli("inspect", model, "--cuts", "--json").document["cuts"]
    whole = cuts[0]["head_flops"] + cuts[0]["tail_flops"]
    middle = [one for one in cuts if 0.05 < one["head_flops"] / whole < 0.8 and len(one["names"]) == 1]
    return str(min(middle, key=lambda one: int(one["wire_bytes"]))["names"][0])


def checked(document: Any, average: tuple[float, float]) -> None:
    """The verdict is of boxes, and the unsplit network's mAP is that of the evaluator by hand."""
    assert document["headline"].startswith("F1 of the boxes against the unsplit network's")
    assert 0.5 < document["fidelity"] <= 1
    assert document["agreement"]["details"]["boxes_reference"] > 20
    measured = {one["name"]: one["reference"] for one in document["agreement"]["accuracy"]}
    assert measured["map50_95"] == pytest.approx(average[0], abs=SAME_MAP)
    assert measured["map50"] == pytest.approx(average[1], abs=SAME_MAP)
    assert average[1] > 0.1


def drawn(bundle: Path, pictures: Sequence[Path], folder: Path) -> None:
    """Boxes lie in the pictures' own pixels, and are drawn there."""
    ran = cli("run", bundle, *pictures, "--json", "--draw", folder)
    assert ran.code == 0, ran.err
    for path, result in zip(pictures, ran.document["results"], strict=True):
        with Image.open(path) as before, Image.open(folder / f"{path.stem}.png") as after:
            assert after.size == before.size
            changed = np.abs(np.asarray(after.convert("RGB"), int) - np.asarray(before.convert("RGB"), int)).max(2) > 24
        boxes = np.array([box["box_px"] for box in result["answer"]["boxes"]]).reshape(-1, 4)
        assert (boxes >= 0).all()
        assert (boxes <= np.array(changed.shape[::-1] * 2)).all()
        assert changed.any() == bool(len(boxes))


def links(folder: Path, pictures: Sequence[Path]) -> list[Path]:
    """A folder of links to pictures."""
    folder.mkdir()
    found = [folder / path.name for path in pictures]
    for link, path in zip(found, pictures, strict=True):
        link.symlink_to(path)
    return found


def judge(folder: Path, model: Path, detector: Detector, pictures: Sequence[Path], labels: Path | None = None) -> Any:
    """Build on the first four pictures, verify on the others, and judge those by hand too; the build's document.

    Without ``labels`` there are some like the network's own boxes.
    """
    links(folder / "calibration", pictures[:4])
    others = links(folder / "verification", pictures[4:])
    found = by_hand(model, detector, others)
    known = labels_like(found, folder / "labels") if labels is None else yolo_labels(others, labels)
    text = recipe(model, detector, detector.cut or middle_cut(model), labels or folder / "labels")
    (folder / "recipe.toml").write_text(text)
    outcome = build(folder, folder / "x")
    assert outcome.code == 0, outcome.err
    checked(outcome.document, judged(found, known))
    assert outcome.document["agreement"]["labelled"] == len(others)
    page = (folder / "x/report.html").read_text("utf-8")
    assert page.count("data:image/jpeg") >= 2 * min(len(others), 12)  # the unsplit network's boxes beside the pair's
    drawn(folder / "x", others[:3], folder / "drawn")
    return outcome.document


@pytest.fixture(scope="module")
def coco() -> list[Path]:
    if not PICTURES.exists():
        pytest.skip(f"{PICTURES} is not there")
    return sorted(PICTURES.glob("*.jpg"))


@pytest.mark.parametrize("is_dynamo", [False, True], ids=["traced", "dynamo"])
@pytest.mark.parametrize("shape", EXPORTS)
def test_exports_of_every_shape(shape: str, is_dynamo: bool, coco: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from detector_exports import export

    model = tmp_path / "model.onnx"
    export(shape, coco[:8], model, is_dynamo=is_dynamo)
    judge(tmp_path, model, EXPORTS[shape], coco[:16])
    notes = open_bundle(tmp_path / "x").read_json("report.json")["task_notes"]
    assert any(word in notes[0] for word in (f"{shape.upper()} head", "YOLOv8 head")), notes


@pytest.mark.slow
def test_torchvision_s_ssd_with_its_suppression_inside(coco: list[Path], tmp_path: Path) -> None:
    """A cut before NonMaxSuppression: outputs have as many rows as there are boxes, on every path its own number."""
    pytest.importorskip("torch")
    from detector_exports import export_torchvision_ssd

    model = tmp_path / "model.onnx"
    if not export_torchvision_ssd(coco[:4], model):
        pytest.skip("torchvision is not installed: pip install --no-deps torchvision")
    cut = "/model/backbone/features.0/features.0.8/Add_output_0"
    document = judge(tmp_path, model, Detector((320, 320), listed, None, "class_offset = 1\n", cut=cut), coco[:14])
    assert document["agreement"]["details"]["boxes_left"] != 1 or document["fidelity"] < 1
    assert document["kl"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_networks(name: str, coco: list[Path], tmp_path: Path) -> None:
    """Faces have no labels here; COCO's are beside the pictures."""
    model = DATA / f"models/{name}.onnx"
    if not model.exists():
        pytest.skip(f"{model} is not there")
    judge(tmp_path, model, REAL[name], coco, None if "face" in name else PICTURES)
