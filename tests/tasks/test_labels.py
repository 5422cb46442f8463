"""Label files: read, matched to samples, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from task_cases import bound, spec

from splitc.errors import SplitcError, UsageError
from splitc.tasks import BoundTask, LabelTable, Placement, TrueBoxes, TrueMask

DETECTOR = bound("detection", [spec("o", 1, 8400, 6)], classes=["cat", "dog"], head="yolov8")
NAMELESS = bound("detection", [spec("o", 1, 8400, 6)], head="yolov8")
CLASSIFIER = bound("classification", [spec("o", 1, 10)])
LABELLER = bound("classification", [spec("o", 1, 10)], multi_label=True)
YES_OR_NO = bound("classification", [spec("o", 1, 1)])
RETRIEVER = bound("retrieval", [spec("o", 1, 10)])
SEGMENTER = bound("segmentation", [spec("o", 1, 3, 64, 64)])
REGRESSOR = bound("regression", [spec("o", 1, 2)])


def coco(**changes: object) -> str:
    content: dict[str, object] = {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 200, "height": 100},
            {"id": 8, "file_name": "b.jpg", "width": 9, "height": 9},
        ],
        "annotations": [
            {"image_id": 7, "category_id": 18, "bbox": [20, 10, 60, 40], "area": 1, "iscrowd": 0, "segmentation": []},
            {"image_id": 7, "category_id": 17, "bbox": [0, 0, 200, 100], "iscrowd": 1},
        ],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    }
    return json.dumps(content | changes)


VOC = """<annotation><size><width>200</width><height>100</height><depth>3</depth></size>
<object><name>dog</name><difficult>0</difficult><bndbox><xmin>20</xmin><ymin>10</ymin><xmax>80</xmax><ymax>50</ymax></bndbox></object>
<object><name>cat</name><difficult>1</difficult><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>200</xmax><ymax>100</ymax></bndbox></object>
</annotation>"""


def write_coco(folder: Path) -> Path:
    (folder / "labels.json").write_text(coco())
    return folder / "labels.json"


def write_voc(folder: Path) -> Path:
    (folder / "a.xml").write_text(VOC)
    return folder


def write_yolo(folder: Path) -> Path:
    (folder / "a.txt").write_text("1 0.25 0.3 0.3 0.4\n0 0.5 0.5 1 1\n")
    (folder / "b.txt").write_text("")
    (folder / "classes.txt").write_text("cat\ndog\n")
    return folder


@pytest.mark.parametrize(("write", "ignores"), [(write_coco, True), (write_voc, True), (write_yolo, False)])
def test_the_same_objects_from_every_format(write: Callable[[Path], Path], ignores: bool, tmp_path: Path) -> None:
    table = DETECTOR.labels(write(tmp_path))
    boxes = table.find("/data/pictures/a.jpg")
    assert isinstance(boxes, TrueBoxes)
    assert boxes.xyxy == pytest.approx(np.array([[0.1, 0.1, 0.4, 0.5], [0, 0, 1, 1]]))
    assert boxes.classes.tolist() == [1, 0]
    assert boxes.ignored.tolist() == [False, ignores]
    assert table.find("/data/pictures/c.jpg") is None
    table.require_match()


def test_a_picture_without_objects_is_not_an_unknown_one(tmp_path: Path) -> None:
    for path in (write_yolo(tmp_path), write_coco(tmp_path)):
        boxes = DETECTOR.labels(path).find("b.jpg")
        assert isinstance(boxes, TrueBoxes)
        assert len(boxes.classes) == 0


@pytest.mark.parametrize(
    ("names", "file", "classes"),
    [
        pytest.param("dog\ncat\n", "classes.txt", [0, 1], id="another-order"),
        pytest.param("dog\ncat\n", "names.txt", [0, 1], id="another-file"),
        pytest.param("dog\ncat\n", "../classes.txt", [0, 1], id="beside-the-folder"),
        pytest.param("cat\ndog\n", "classes.txt", [1, 0], id="the-same-order"),
        pytest.param("Katze\nHund\n", "classes.txt", [1, 0], id="other-names-of-as-many"),
        pytest.param("dog\ncat\n", "train.txt", [1, 0], id="no-names"),
    ],
)
def test_classes_of_yolo_files_go_by_their_names(names: str, file: str, classes: list[int], tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "a.txt").write_text("1 0.25 0.3 0.3 0.4\n0 0.5 0.5 1 1\n")
    (folder / file).write_text(names)
    found = DETECTOR.labels(folder).find("/x/a.jpg")
    assert isinstance(found, TrueBoxes)
    assert found.classes.tolist() == classes
    assert NAMELESS.labels(folder).find("/x/a.jpg").classes.tolist() == [1, 0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        pytest.param("cat\ndog\ncow\n", "names 3 classes, and 'cow' is not one of the network's 2", id="of-others"),
        pytest.param("dog\n", "a.txt:1: class 1, and the file of names beside it has 1", id="too-few"),
        pytest.param("größe\n".encode("latin-1"), "classes.txt:1: is not UTF-8 text", id="bytes"),
    ],
)
def test_names_of_other_classes_beside_yolo_files(names: str | bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 0.25 0.3 0.3 0.4\n")
    (tmp_path / "classes.txt").write_bytes(names if isinstance(names, bytes) else names.encode())
    with pytest.raises(UsageError, match=words):
        DETECTOR.labels(tmp_path)


def test_categories_without_names_of_classes_count_by_their_numbers(tmp_path: Path) -> None:
    boxes = NAMELESS.labels(write_coco(tmp_path)).find("a.jpg")
    assert isinstance(boxes, TrueBoxes)
    assert boxes.classes.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("l.json", "{", "is not JSON", id="json"),
        pytest.param("l.json", "[" * 100_000, "is not JSON", id="deep"),
        pytest.param("l.json", "[]", "is not COCO's JSON of objects", id="list"),
        pytest.param("l.json", coco(images=[{"id": 1}]), "images.0.file_name: Field required", id="images"),
        pytest.param(
            "l.json", coco(categories=[{"id": 17, "name": "cow"}]), "category 'cow' is not one of", id="names"
        ),
        pytest.param("l.json", coco(categories=[{"id": 17, "name": "cat"}]), "image 7 and category 18", id="foreign"),
        pytest.param("l.csv", "a,1", r"is not a .json file; labels of objects are a COCO", id="csv"),
        pytest.param("a.txt", "1 0.1 0.1 0.1\n", r"a.txt:1: '1 0.1 0.1 0.1'; a line is", id="yolo-short"),
        pytest.param("a.txt", "0 .5 .5 .1 .1\ncat 0 0 0 0\n", r"a.txt:2: 'cat 0 0 0 0'", id="yolo-name"),
        pytest.param("a.txt", "0 100 100 20 20\n", "are shares of the picture, 0 to 1", id="yolo-pixels"),
        pytest.param("a.txt", "0 nan 0 0 0\n", "are shares of the picture", id="yolo-nan"),
        pytest.param("a.txt", b"\xff\xfe", "is not UTF-8 text", id="yolo-bytes"),
        pytest.param("a.xml", "<annotation>", "is not XML", id="xml"),
        pytest.param("a.xml", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "declares a document type", id="bomb"),
        pytest.param("a.xml", "<annotation/>", "annotation/size/width is None; a number is wanted", id="no-size"),
        pytest.param("a.xml", VOC.replace("dog", "dgo"), "class 'dgo' is not .*Did you mean 'dog'", id="voc-class"),
        pytest.param("a.xml", VOC.replace("<xmin>20", "<xmin>x"), "bndbox/xmin is 'x'", id="voc-number"),
        pytest.param("a.xml", VOC.replace("<width>200", "<width>0"), "they are pixels", id="voc-size"),
        pytest.param("a.png", "", "holds neither .txt nor .xml files", id="nothing"),
    ],
)
def test_damaged_labels_of_objects(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=message):
        DETECTOR.labels(file if file.suffix in (".json", ".csv") else tmp_path)


def test_two_formats_in_a_folder_are_refused(tmp_path: Path) -> None:
    write_voc(tmp_path)
    write_yolo(tmp_path)
    with pytest.raises(UsageError, match=r"holds both .txt and .xml files"):
        DETECTOR.labels(tmp_path)


def test_voc_needs_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the network's are unknown; give data.classes"):
        NAMELESS.labels(write_voc(tmp_path))


@pytest.mark.parametrize(
    ("task", "name", "content", "message"),
    [
        pytest.param(CLASSIFIER, "l.csv", "a,b\nc,d\n", r"l.csv:2: no class index; a line is", id="words"),
        pytest.param(CLASSIFIER, "l.csv", "picture,index\n", "holds no labels", id="heading"),
        pytest.param(CLASSIFIER, "l.csv", "a,1\na,2\n", r"l.csv:2: 'a' is 2 here and 1 above", id="twice"),
        pytest.param(CLASSIFIER, "l.csv", b"\xff", "is not UTF-8 text", id="bytes"),
        pytest.param(
            CLASSIFIER, "l.csv", "a.png,3.0\nb.png,0.0\n", "l.csv:1: .*'3.0' is written as a f", id="fractions"
        ),
        pytest.param(CLASSIFIER, "l.csv", "a.png,cat\nb.png,dog\n", "l.csv:1: .*'cat' is no whole", id="names"),
        pytest.param(CLASSIFIER, "l.csv", "file,label\n,3\n", "l.csv:2: .*the picture is missing", id="no-picture"),
        pytest.param(
            CLASSIFIER, "l.csv", "a,1\nb,10\n", "'b' is labelled 10, and .* classes 0 to 9; no l", id="from-1"
        ),
        pytest.param(CLASSIFIER, "l.csv", "a,0\nb,10\n", "classes 0 to 9; give the labels of this", id="of-others"),
        pytest.param(CLASSIFIER, "l.csv", "a,1\nb,100007\n", "labelled 100007, .* give the labels of this", id="huge"),
        pytest.param(LABELLER, "l.csv", "a,1,9\nb,3,10\n", "'b' is labelled 10, and .* no label is 0", id="several"),
        pytest.param(YES_OR_NO, "l.csv", "a,1\nb,2\n", "'b' is labelled 2, and .* classes 0 to 1; no", id="yes-or-no"),
        pytest.param(REGRESSOR, "l.csv", "a.png,nan,1\nb.png,2,1\n", "l.csv:1: a line is", id="first-value-broken"),
        pytest.param(REGRESSOR, "l.csv", "a,1.5,2\nb,1\n", r"l.csv:2: a line is .*with 2 finite numbers", id="count"),
        pytest.param(REGRESSOR, "l.csv", "a,1\nb,nan\n", "finite numbers", id="nan"),
        pytest.param(REGRESSOR, "l.csv", "a,1\na,2\n", "'a' has values above already", id="values-twice"),
        pytest.param(SEGMENTER, "l.csv", "", "labels of pixels are a folder of .png files", id="no-folder"),
    ],
)
def test_damaged_labels(task: BoundTask, name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=message):
        task.labels(file)


@pytest.mark.parametrize("task", [DETECTOR, CLASSIFIER, SEGMENTER, REGRESSOR])
def test_labels_that_are_not_there(task: BoundTask, tmp_path: Path) -> None:
    with pytest.raises(SplitcError, match="nowhere"):
        task.labels(tmp_path / "nowhere.json")


def test_values(tmp_path: Path) -> None:
    file = tmp_path / "l.csv"
    file.write_text("sample,age,height\na.png,31,1.7\nb.png,4,1e0\n")
    values = REGRESSOR.labels(file).find("/x/a.png")
    assert isinstance(values, np.ndarray)
    assert values.tolist() == [31, 1.7]


@pytest.mark.parametrize("above", ["", "# by hand\n\n", "sample,age,height\n", "# x\nfile,0,1\n"], ids=ascii)
def test_values_below_comments_and_headings(above: str, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(above + "a.png,31,1.7\nb.png,4,1e0\n")
    table = REGRESSOR.labels(tmp_path / "l.csv")
    assert len(table) == 2
    assert np.array_equal(table.find("/x/a.png"), [31, 1.7])


def test_who_is_no_class_may_have_any_number(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("a.png,100007\nb.png,1\n")
    assert RETRIEVER.labels(tmp_path / "l.csv").find("/x/a.png") == 100007


def test_the_end_of_a_path_names_a_sample() -> None:
    table = LabelTable({"cat/0.png": 3, "more.npz#1": 4, "7.png": 5})
    assert table.find("/p/cat/0.png") == 3
    assert table.find("/p/dog/0.png") is None
    assert table.find("/p/more.npz", "more.npz#1") == 4
    assert table.find("/p/more.npz", "more.npz#2") is None
    assert table.find("/p/7.png") == 5
    with pytest.raises(UsageError, match=r"'7.png' names both /p/7.png and /q/7.png; write more of its path"):
        table.find("/q/7.png")


def test_names_that_contradict_each_other() -> None:
    with pytest.raises(UsageError, match=r"'0.png' is 4 and 'cat/0.png' is 3, and both name /p/cat/0.png; keep"):
        LabelTable({"cat/0.png": 3, "0.png": 4}).find("/p/cat/0.png")


def test_labels_of_no_sample_are_refused() -> None:
    table = LabelTable({"a.png": 1})
    assert table.find("/p/b.png") is None
    with pytest.raises(
        UsageError, match=r"none of the 1 names, such as 'a.png', is the end of a sample's path, such as /p/b"
    ):
        table.require_match()


def test_masks_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    classes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(classes).save(tmp_path / "a.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no picture")
    table = SEGMENTER.labels(tmp_path)
    mask = table.find("/x/a.jpg")
    assert isinstance(mask, TrueMask)
    assert np.array_equal(mask.classes, classes)
    with pytest.raises(UsageError, match=r"b.png: has colours \(RGB\); a mask's pixels are numbers of classes"):
        table.find("/x/b.jpg")
    with pytest.raises(UsageError, match=r"c.png: cannot be read as a picture"):
        table.find("/x/c.jpg")


def test_a_mask_follows_the_letterbox() -> None:
    mask = TrueMask(np.array([[1, 2], [3, 4]]))
    placed = mask.in_input(Placement((2, 2), (1, 0), (2, 2), (6, 4)))
    assert placed.classes.tolist() == [
        [255, 1, 1, 2, 2, 255],
        [255, 1, 1, 2, 2, 255],
        [255, 3, 3, 4, 4, 255],
        [255, 3, 3, 4, 4, 255],
    ]


def test_a_mask_may_be_smaller_than_its_picture() -> None:
    mask = TrueMask(np.array([[1, 2]]))
    assert mask.in_input(Placement((0.5, 0.5), (0, 0), (8, 4), (4, 2))).classes.tolist() == [[1, 1, 2, 2]] * 2
