"""Heads of detectors: recognised, decoded, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from task_cases import IMAGE, bound, row_of, spec

from splitc.errors import RecipeError, UsageError
from splitc.tasks.boxes import Boxes
from splitc.types import Array, Feeds, TensorSpec

BOX = (100.0, 120.0, 220.0, 300.0)
COCO = [f"name {index}" for index in range(80)]
OPEN = TensorSpec(name="images", dtype="float32", shape=("N", 3, "H", "W"))


def head_of(outputs: list[TensorSpec], **options: object) -> str:
    return str(bound("detection", outputs, **options).task.model_dump()["head"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outputs", "options", "head"),
    [
        pytest.param([spec("output0", 1, 84, 8400)], {}, "yolov8", id="yolov8"),
        pytest.param([spec("output0", "batch", 84, "anchors")], {"inputs": [OPEN]}, "yolov8", id="yolo11-dynamic"),
        pytest.param([spec("output0", 1, 8400, 84)], {}, "yolov8", id="yolov8-transposed"),
        pytest.param([spec("output0", 1, 8400, 6)], {}, "yolov8", id="two-classes-by-rows"),
        pytest.param([spec("output0", 1, 25200, 85)], {}, "yolov5", id="yolov5"),
        pytest.param([spec("output0", 1, 25200, 6)], {}, "yolov5", id="yolov5-one-class"),
        pytest.param([spec("o", 1, "A", 85)], {"inputs": [OPEN], "classes": COCO}, "yolov5", id="yolov5-by-names"),
        pytest.param([spec("output0", 1, 300, 6)], {}, "end2end", id="yolov10"),
        pytest.param([spec("output", "K", 7)], {}, "end2end", id="yolov7"),
        pytest.param([spec("boxes", 1, 8732, 4), spec("scores", 1, 8732, 21)], {}, "ssd", id="ssd300"),
        pytest.param([spec("scores", 1, 4420, 2), spec("boxes", 1, 4420, 4)], {}, "ssd", id="ultraface"),
        pytest.param([spec("logits", 1, 100, 92), spec("pred_boxes", 1, 100, 4)], {}, "detr", id="detr"),
        pytest.param(
            [spec("boxes", "K", 4), spec("labels", "K", dtype="int64"), spec("scores", "K")], {}, "boxes", id="tv"
        ),
        pytest.param(
            [
                spec("num_dets", 1, 1, dtype="int32"),
                spec("det_boxes", 1, 100, 4),
                spec("det_scores", 1, 100),
                spec("det_classes", 1, 100, dtype="int32"),
            ],
            {},
            "boxes",
            id="efficient-nms",
        ),
        pytest.param(
            [spec("head0", 1, 255, 10, 10), spec("head1", 1, 255, 20, 20)],
            {"anchors": [[115, 73, 119, 199, 242, 238], [12, 18, 37, 49, 52, 132]]},
            "yolov3",
            id="yolov3",
        ),
    ],
)
def test_heads_are_recognised_from_shapes(outputs: list[TensorSpec], options: dict[str, object], head: str) -> None:
    assert head_of(outputs, **options) == head


@pytest.mark.parametrize(
    ("outputs", "options", "message"),
    [
        pytest.param(
            [spec("o", 1, 1234, 85)], {}, r"'o' \[1,1234,85\]: could be 'yolov5' or 'yolov8'; write head = ", id="rows"
        ),
        pytest.param(
            [spec("o", 1, 8400, 85)], {"classes": COCO}, "could be 'yolov5' or 'yolov8'", id="rows-against-names"
        ),
        pytest.param(
            [spec("boxes", 1, 300, 4), spec("scores", 1, 300, 80)], {}, "could be 'ssd' or 'detr'", id="few-priors"
        ),
        pytest.param([spec("x", 1, 10)], {}, "are no head that is known; write head = one of yolov3", id="classes"),
        pytest.param(
            [spec("a", 1, 255, 10, 10), spec("b", 1, 255, 20, 20)],
            {},
            r"need their anchors; write anchors = .*Recognised",
            id="no-anchors",
        ),
        pytest.param(
            [spec("a", 1, 255, 10, 10)],
            {"anchors": [[1, 2, 3, 4]]},
            r"\[1,255,10,10\] is no map of 2 anchors",
            id="map",
        ),
        pytest.param(
            [spec("a", 1, 255, 10, 10)], {"anchors": [[1, 2], [3, 4]]}, "2 lists of anchors for 1", id="levels"
        ),
        pytest.param([spec("o", 1, 84, 8400)], {"classes": ["a", "b"]}, "80 classes by the shape, 2 names", id="names"),
        pytest.param([spec("o", 1, 84, 8400)], {"head": "ssd"}, "one output .* of boxes and one", id="not-ssd"),
        pytest.param(
            [spec("o", 1, 84, 8400)], {"head": "boxes"}, "are wanted, told apart by type or name", id="not-boxes"
        ),
    ],
)
def test_heads_that_are_refused(outputs: list[TensorSpec], options: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        bound("detection", outputs, **options)  # type: ignore[arg-type]


def found(task_outputs: list[TensorSpec], outputs: Feeds, **options: object) -> Boxes:
    """The answer, after the task has looked at the same outputs."""
    answer = bound("detection", task_outputs, examples=[outputs], **options).answer(outputs)  # type: ignore[arg-type]
    assert isinstance(answer, Boxes)
    return answer


def assert_is_the_box(answer: Boxes, index: int = 1, score: float = 0.9) -> None:
    assert answer.xyxy == pytest.approx(np.array([BOX]), abs=1e-3)  # float32's rounding
    assert answer.classes.tolist() == [index]
    assert answer.scores == pytest.approx([score], abs=1e-5)


def yolo8_rows() -> Array:
    """8400 rows of which one is an object of class 1."""
    rows = np.full((8400, 7), 0.001, np.float32)
    rows[:, :4] = np.random.default_rng(0).uniform(40, 600, (8400, 4))
    rows[4321] = row_of(BOX, [0.01, 0.9, 0.02])
    return rows


def test_yolov8_both_ways() -> None:
    rows = yolo8_rows()[None]
    assert_is_the_box(found([spec("o", 1, 8400, 7)], {"o": rows}))
    assert_is_the_box(found([spec("o", 1, 7, 8400)], {"o": rows.transpose(0, 2, 1)}))


def test_yolov8_rows_fewer_than_values() -> None:
    """The names tell the axes apart where the grid is tiny."""
    rows = np.full((1, 21, 84), 0.001, np.float32)
    rows[0, :, :4] = 50
    rows[0, 3] = row_of(BOX, [0.0, 0.9] + [0.0] * 78)
    small = TensorSpec(name="images", dtype="float32", shape=(1, 3, 32, 32))
    for shape, array in (((1, 21, 84), rows), ((1, 84, 21), rows.transpose(0, 2, 1))):
        answer = found([spec("o", *shape)], {"o": array}, head="yolov8", classes=COCO, inputs=[small])
        assert_is_the_box(answer)


def test_yolov8_logits_get_their_sigmoid() -> None:
    rows = yolo8_rows()[None].copy()
    rows[..., 4:] = np.log(rows[..., 4:] / (1 - rows[..., 4:]))
    task = bound("detection", [spec("o", 1, 8400, 7)], examples=[{"o": rows}])
    assert "scores of output 'o' are logits" in task.notes[-1]
    assert_is_the_box(task.answer({"o": rows}))  # type: ignore[arg-type]


def test_yolov5_scores_are_products() -> None:
    rows = np.zeros((1, 25200, 8), np.float32)
    rows[..., :4] = 50
    rows[0, 77] = [*row_of(BOX, []), 0.9, 0.0, 1.0, 0.1]
    assert_is_the_box(found([spec("o", 1, 25200, 8)], {"o": rows}))


def test_masks_behind_the_classes_are_no_classes() -> None:
    outputs = [spec("output0", 1, 116, 8400), spec("output1", 1, 32, 160, 160)]
    task = bound("detection", outputs, classes=COCO)
    assert task.task.model_dump()["class_count"] == 80
    assert task.notes[-1] == "32 values of each row are of masks, which are not read"


def test_keypoints_behind_the_classes() -> None:
    with pytest.raises(RecipeError, match=r"52 classes by the shape, 1 names in data.classes; write class_count"):
        bound("detection", [spec("o", 1, 56, 8400)], classes=["person"])
    rows = np.full((1, 56, 8400), 0.001, np.float32)
    rows[0, :4] = 50
    rows[0, :5, 9] = row_of(BOX, [0.9])
    rows[0, 5:] = 300  # keypoints, in pixels
    assert_is_the_box(found([spec("o", 1, 56, 8400)], {"o": rows}, class_count=1, classes=["person"]), index=0)


def test_rows_on_a_grid_are_not_decoded() -> None:
    """YOLOX exports have offsets of cells where others have pixels."""
    rows = np.full((1, 8400, 85), 0.5, np.float32)
    with pytest.raises(RecipeError, match=r"reach 0.5 only, so they are not in input pixels; export the network"):
        bound("detection", [spec("o", 1, 8400, 85)], head="yolov5", examples=[{"o": rows}])


def test_yolov3_decodes_as_darknet_does() -> None:
    raw = np.full((1, 3, 7, 10, 10), -9.0, np.float32)
    # cell (x 4, y 6) of stride 32, second anchor 64 x 128: centre (4 + 0.5) * 32, (6 + 0.5) * 32; size e^0 * anchor
    raw[0, 1, :, 6, 4] = [0, 0, 0, 0, 20, np.log(0.9 / 0.1), -20]
    outputs = [spec("map", 1, 21, 10, 10)]
    inputs = [TensorSpec(name="images", dtype="float32", shape=(1, 3, 320, 320))]
    options = {"anchors": [[10, 10, 64, 128, 200, 200]], "inputs": inputs}
    answer = found(outputs, {"map": raw.reshape(1, 21, 10, 10)}, **options)
    assert answer.xyxy == pytest.approx(np.array([[144 - 32, 208 - 64, 144 + 32, 208 + 64]]), abs=1e-3)
    assert answer.scores == pytest.approx([0.9], abs=1e-5)
    raw[0, 1, :2, 6, 4] = 20  # sigmoid 1: centres reach (s - 1) / 2 beyond the cell
    stretched = found(outputs, {"map": raw.reshape(1, 21, 10, 10)}, scale_x_y=1.2, **options)
    assert stretched.xyxy[0, :2] + stretched.xyxy[0, 2:] == pytest.approx([2 * 5.1 * 32, 2 * 7.1 * 32], abs=1e-3)


def test_yolov3_takes_strides_where_the_size_is_open() -> None:
    outputs = [spec("map", "N", 21, "H", "W")]
    with pytest.raises(RecipeError, match="the input's size is open; write strides"):
        bound("detection", outputs, anchors=[[1, 1, 2, 2, 3, 3]], inputs=[OPEN])
    task = bound("detection", outputs, anchors=[[1, 1, 2, 2, 3, 3]], strides=[32], inputs=[OPEN])
    assert task.is_settled


SSD = [spec("scores", 1, 2000, 4), spec("boxes", 1, 2000, 4)]


def ssd_outputs(box: tuple[float, ...], *, background: int = 0, is_logit: bool = False) -> Feeds:
    """2000 priors of which one is an object; with softmaxed scores or logits."""
    logits = np.full((1, 2000, 4), -6.0, np.float32)
    logits[..., background] = 6
    shares = np.array([0.02, 0.03, 0.9, 0.05])
    logits[0, 11] = np.log(shares if background == 0 else shares[[1, 2, 3, 0]])
    exponentials = np.exp(logits)
    boxes = np.random.default_rng(0).uniform(0.0, 0.45, (1, 2000, 4)).astype(np.float32)
    boxes[..., 2:] += boxes[..., :2]
    boxes[0, 11] = box
    return {"scores": logits if is_logit else exponentials / exponentials.sum(-1, keepdims=True), "boxes": boxes}


@pytest.mark.parametrize("background", [0, -1], ids=["first", "last"])
@pytest.mark.parametrize("is_logit", [False, True], ids=["softmax", "logits"])
def test_ssd_tells_background_form_and_unit(background: int, is_logit: bool) -> None:
    outputs = ssd_outputs(tuple(edge / 640 for edge in BOX), background=background, is_logit=is_logit)
    task = bound("detection", SSD, examples=[outputs])
    options = task.task.model_dump()
    assert (options["box_form"], options["box_unit"]) == ("corners", "relative")
    assert options["background"] == ("first" if background == 0 else "last")
    assert options["activation"] == ("logits" if is_logit else "probabilities")
    assert_is_the_box(task.answer(outputs))  # type: ignore[arg-type]


def test_a_class_that_is_often_the_highest_is_no_background() -> None:
    """RetinaNet: sigmoids of low logits, among which "person", the first class, wins nearly everywhere."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-6, 0.3, (1, 2000, 4)) + np.array([1.5, 0, 0, 0])
    logits[0, 5, 1] = np.log(0.9 / 0.1)
    outputs = {"scores": logits, "boxes": ssd_outputs(tuple(edge / 640 for edge in BOX))["boxes"].copy()}
    outputs["boxes"][0, 5] = outputs["boxes"][0, 11]
    task = bound("detection", SSD, examples=[outputs])
    assert task.task.model_dump()["background"] == "none"
    assert_is_the_box(task.answer(outputs))  # type: ignore[arg-type]


def test_ssd_centres_in_pixels_without_background() -> None:
    rng = np.random.default_rng(1)
    boxes = np.concatenate([rng.uniform(0, 640, (1, 2000, 2)), rng.uniform(5, 90, (1, 2000, 2))], -1)
    scores = np.full((1, 2000, 4), 0.02)
    boxes[0, 5], scores[0, 5, 1] = row_of(BOX, []), 0.9
    assert_is_the_box(found(SSD, {"boxes": boxes, "scores": scores}))


def test_ssd_offsets_from_priors_are_refused() -> None:
    outputs = ssd_outputs(BOX)
    offsets = np.random.default_rng(0).standard_normal((1, 2000, 4))
    with pytest.raises(
        RecipeError, match=r"neither corners nor centres with sizes.*Offsets from priors must be decoded"
    ):
        bound("detection", SSD, examples=[{**outputs, "boxes": offsets}])


def test_shares_of_an_open_size_are_refused() -> None:
    outputs = ssd_outputs(tuple(edge / 640 for edge in BOX))
    with pytest.raises(RecipeError, match=r"whose size the network leaves open; write size = \[width, height\]"):
        bound("detection", SSD, examples=[outputs], inputs=[OPEN])
    assert_is_the_box(found(SSD, outputs, inputs=[OPEN], size=[640, 640]))


@pytest.mark.parametrize("has_no_object", [True, False], ids=["softmax", "sigmoid"])
def test_detr_with_and_without_no_object(has_no_object: bool) -> None:
    logits = np.full((1, 100, 4), -5.0, np.float32)
    if has_no_object:
        logits[..., -1] = 5
        logits[0, 3] = np.log([0.02, 0.9, 0.03, 0.05])
    else:
        logits += np.random.default_rng(0).uniform(0, 1, logits.shape).astype(np.float32)
        logits[0, 3, 1] = np.log(0.9 / 0.1)
    boxes = np.full((1, 100, 4), 0.3, np.float32)
    boxes[0, 3] = np.array(row_of(BOX, [])) / 640
    outputs = {"logits": logits, "pred_boxes": boxes}
    task = bound(
        "detection", [spec("logits", 1, 100, 4), spec("pred_boxes", 1, 100, 4)], examples=[outputs], head="detr"
    )
    assert task.task.model_dump()["background"] == ("last" if has_no_object else "none")
    assert_is_the_box(task.answer(outputs))  # type: ignore[arg-type]


def test_end2end_padding_is_no_object() -> None:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = [*BOX, 0.9, 1]
    assert_is_the_box(found([spec("o", 1, 300, 6)], {"o": rows}))


def test_yolov7_rows() -> None:
    rows = np.array([[0, *BOX, 1, 0.9]], np.float32)
    assert_is_the_box(found([spec("o", "K", 7)], {"o": rows}))


def test_efficient_nms_counts() -> None:
    boxes, scores = np.tile(np.array(BOX, np.float32), (1, 5, 1)), np.full((1, 5), 0.9, np.float32)
    outputs = {"n": np.array([[1]], np.int32), "b": boxes, "s": scores, "c": np.ones((1, 5), np.int32)}
    specs = [
        spec("n", 1, 1, dtype="int32"),
        spec("b", 1, 5, 4),
        spec("s", 1, 5),
        spec("c", 1, 5, dtype="int32"),
    ]
    assert_is_the_box(found(specs, outputs))


def test_torchvision_lists_and_offsets() -> None:
    outputs = {"boxes": np.array([BOX]), "labels": np.array([2]), "scores": np.array([0.9])}
    specs = [spec("boxes", "K", 4), spec("labels", "K", dtype="int64"), spec("scores", "K")]
    assert_is_the_box(found(specs, outputs), index=2)
    assert_is_the_box(found(specs, outputs, class_offset=1), index=1)


def test_tensorflow_order() -> None:
    boxes = np.array([[[BOX[1], BOX[0], BOX[3], BOX[2]]]]) / 640
    outputs = {"b": boxes, "s": np.array([[0.9]]), "classes": np.array([[1.0]])}
    specs = [spec("b", 1, 1, 4), spec("s", 1, 1), spec("classes", 1, 1)]
    assert_is_the_box(found(specs, outputs, box_form="corners_yx"))


@pytest.mark.parametrize(
    "name",
    [
        *("detection_boxes", "detection_boxes:0", "Postprocessor/detection_boxes", "raw_detection_boxes"),
        *("TFLite_Detection_PostProcess", "TFLite_Detection_PostProcess:0", "model/detection_boxes_0"),
    ],
)
def test_tensorflow_s_names_say_its_order(name: str) -> None:
    boxes = np.array([[[BOX[1], BOX[0], BOX[3], BOX[2]]]]) / 640
    outputs = {name: boxes, "s": np.array([[0.9]]), "classes": np.array([[1.0]])}
    specs = [spec(name, 1, 1, 4), spec("s", 1, 1), spec("classes", 1, 1)]
    assert_is_the_box(found(specs, outputs))
    assert not len(
        found(specs, {**outputs, name: np.zeros((1, 0, 4)), "s": np.zeros((1, 0)), "classes": np.zeros((1, 0))})
    )


@pytest.mark.parametrize("name", ["boxes", "pred_boxes", "my_detection_boxes_xyxy", "predetection_boxes"])
def test_other_names_are_x_first_and_the_note_says_the_choice(name: str) -> None:
    specs = [spec(name, 1, 1, 4), spec("s", 1, 1), spec("classes", 1, 1)]
    outputs = {name: np.array([[BOX]]) / 640, "s": np.array([[0.9]]), "classes": np.array([[1.0]])}
    task = bound("detection", specs, examples=[outputs])
    assert task.task.model_dump()["box_form"] == "corners"
    assert any('where y comes first, as in TensorFlow, write box_form = "corners_yx"' in note for note in task.notes)


def test_a_list_without_objects_is_no_fault() -> None:
    outputs = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0, np.int64), "scores": np.zeros(0)}
    specs = [spec("boxes", "K", 4), spec("labels", "K", dtype="int64"), spec("scores", "K")]
    assert len(found(specs, outputs)) == 0


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "the output 'o' is missing"),
        ({"o": np.zeros((2, 8400, 7))}, "wanted are 2 axes of one sample"),
        ({"o": np.zeros((1, 8400, 3))}, "rows have no classes"),
        ({"o": np.full((1, 8400, 7), np.nan)}, "NaN or infinities: the network gave no answer"),
    ],
)
def test_outputs_of_impossible_shapes(outputs: Feeds, message: str) -> None:
    task = bound("detection", [spec("o", 1, 8400, 7)], activation="probabilities")
    with pytest.raises(UsageError, match=message):
        task.answer(outputs)


def test_random_numbers_of_any_size() -> None:
    """Random numbers of any size are boxes, or no boxes."""
    rng = np.random.default_rng(0)
    task = bound("detection", [spec("o", 1, 8400, 7)], activation="probabilities")
    for scale in (1e-30, 1.0, 1e30):
        answer = task.answer({"o": rng.standard_normal((1, 8400, 7)) * scale})
        assert isinstance(answer, Boxes)
        assert len(answer) <= 300


def test_input_sizes() -> None:
    assert bound("detection", [spec("o", 1, 84, 8400)], inputs=[IMAGE]).head.size == (640, 640)  # type: ignore
    tall = TensorSpec(name="x", dtype="uint8", shape=(1, 240, 320, 3))
    assert bound("detection", [spec("o", 1, 84, 8400)], inputs=[tall]).head.size == (320, 240)  # type: ignore


def test_names_of_other_classes_than_the_scores_are_refused() -> None:
    outputs = ssd_outputs(tuple(edge / 640 for edge in BOX))
    bound("detection", SSD, examples=[outputs], classes=["a", "b", "c"])
    with pytest.raises(RecipeError, match=r"has 4 scores, 3 of them of classes, and data.classes has 4 names"):
        bound("detection", SSD, examples=[outputs], classes=["background", "a", "b", "c"])
    with pytest.raises(RecipeError, match=r"4 scores by the shape, 2 names in data.classes; give the right names"):
        bound("detection", SSD, classes=["a", "b"])
    with pytest.raises(RecipeError, match=r"80 classes by the shape, 2 names in data.classes; look at anchors"):
        bound("detection", [spec("a", 1, 255, 10, 10)], anchors=[[1, 2, 3, 4, 5, 6]], classes=["a", "b"])
