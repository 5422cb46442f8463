"""Labels and class names as people write them, and what the network said in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from splitc.bundle import Contract
from splitc.errors import UsageError
from splitc.runtime import Sample, bound_task, truth_of
from splitc.tasks import TASKS, BindRequest, LabelTable, Truth, read_classes
from splitc.types import Preprocess, TensorSpec

SCORES = TensorSpec(name="scores", dtype="float32", shape=("N", 10))
TASK = TASKS.make("classification", {}).bind(BindRequest([SCORES]))


def read_labels(file: Path) -> LabelTable:
    return TASK.labels(file)


def find(labels: LabelTable, of: Sample) -> Truth | None:
    return truth_of(of, labels, TASK)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        pytest.param("a.png,3\nb.png,0\n", {"a.png": 3, "b.png": 0}, id="plain"),
        pytest.param("picture,class\na.png,3\n", {"a.png": 3}, id="heading"),
        pytest.param("file,wnid,class_index,name\na.jpg,n01,7,cat\n", {"a.jpg": 7}, id="first-whole-number"),
        pytest.param("folder/a.png, 3 \n\n", {"folder/a.png": 3}, id="folder-blanks-empty-lines"),
        pytest.param("cat/0.png,1\ndog/0.png,2\n", {"cat/0.png": 1, "dog/0.png": 2}, id="one-name-in-two-folders"),
        pytest.param("./a.png,1\nb\\c.png,2\n", {"a.png": 1, "b/c.png": 2}, id="other-ways-to-write-a-path"),
        pytest.param('"a, b.png",3\n', {"a, b.png": 3}, id="quoted"),
        pytest.param("a.png,3", {"a.png": 3}, id="no-last-newline"),
        pytest.param("a.png,1\na.png,1\n", {"a.png": 1}, id="twice-the-same"),
    ],
)
def test_labels(text: str, labels: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text, "utf-8")
    found = read_labels(tmp_path / "labels.csv")
    assert len(found) == len(labels)
    assert {name: find(found.fresh(), sample(name)) for name in labels} == labels


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "holds no labels", id="empty"),
        pytest.param(b"picture,class\n", "holds no labels", id="heading-alone"),
        pytest.param(b"a.png,3\nb.png,cat\n", "labels.csv:2: no class index", id="word"),
        pytest.param(b"a.png,3\nb.png,-1\n", "labels.csv:2: no class index", id="negative"),
        pytest.param(b"a.png,3\nb.png\n", "labels.csv:2: no class index", id="no-index"),
        pytest.param(b"a.png,1\n./a.png,2\n", "labels.csv:2: 'a.png' is 2 here and 1 above", id="two-classes"),
        pytest.param(b"a.png,3\nb.png," + b"1" * 5000, "labels.csv:2: no class index", id="no-number-of-a-class"),
        pytest.param(b"a.png,3\nb\xff.png,1\n", "is not UTF-8 text", id="latin-1"),
        pytest.param(None, "cannot be read (No such file or directory)", id="missing"),
    ],
)
def test_labels_that_are_none(data: bytes | None, words: str, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "labels.csv").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_labels(tmp_path / "labels.csv")
    assert words in str(caught.value)


def sample(path: str, name: str = "") -> Sample:
    return Sample(name or Path(path).name, {}, file=Path(path))


def test_a_label_is_for_the_file_whose_path_ends_in_it() -> None:
    labels = LabelTable({"cat/0.png": 1, "dog/0.png": 2, "1.png": 3, "many.npz#1": 4, "cat/2.png": 5})
    assert [find(labels, sample(f"data/{name}")) for name in ("cat/0.png", "dog/0.png", "cow/0.png")] == [1, 2, None]
    assert [find(labels, sample("/data/cat/1.png", f"1.png#{region}")) for region in (0, 1)] == [3, 3]
    assert [find(labels, sample("/data/many.npz", f"many.npz#{row}")) for row in (0, 1)] == [None, 4]
    assert find(labels, sample("/data/concat/2.png")) is None
    labels.require_match()


def test_a_name_that_two_files_have_is_refused() -> None:
    labels = LabelTable({"0.png": 1})
    assert find(labels, sample("/data/cat/0.png")) == 1
    with pytest.raises(UsageError, match=r"'0.png' names both /data/cat/0.png and /data/dog/0.png; write more"):
        find(labels, sample("/data/dog/0.png"))


def test_two_labels_of_one_file_are_refused() -> None:
    labels = LabelTable({"0.png": 1, "cat/0.png": 2})
    with pytest.raises(UsageError, match=r"'0.png' is 1 and 'cat/0.png' is 2, and both name /data/cat/0.png; keep one"):
        find(labels, sample("/data/cat/0.png"))


def test_labels_of_other_files_are_refused() -> None:
    labels = LabelTable({"horse/1.png": 1})
    assert find(labels, sample("/data/cat/0.png")) is None
    with pytest.raises(UsageError, match=r"none of the 1 names, such as 'horse/1.png', .* such as /data/cat/0.png;"):
        labels.require_match()
    LabelTable({}).require_match()


def test_classes_keep_their_index(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat \n\ndög\n", "utf-8")
    assert read_classes(tmp_path / "classes.txt") == ["cat", "", "dög"]


@pytest.mark.parametrize(
    "data", ["cat\r\ndög\r\n\r\n \n".encode(), "cat\ndög".encode("utf-16")], ids=["behind", "utf-16"]
)
def test_classes_of_other_editors(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(data)
    assert read_classes(tmp_path / "classes.txt") == ["cat", "dög"]


def contract(task: str, classes: list[str] | None = None) -> Contract:
    specs = [TensorSpec(name=name, dtype="float32", shape=("N", 3)) for name in ("scores", "boxes")]
    return Contract(
        name="x",
        task=task,
        inputs=specs,
        outputs=specs,
        cut=specs,
        wire=specs,
        codec={},
        preprocess=Preprocess(),
        classes=classes,
    )


@pytest.mark.parametrize(
    ("classes", "name"),
    [(["a", "b", "c"], "c"), (["a"], "class 2"), (None, "class 2")],
    ids=["named", "too-few-names", "no-names"],
)
def test_a_classification_in_words(classes: list[str] | None, name: str) -> None:
    scores = np.log(np.array([[1.0, 2.0, 5.0]], np.float32))
    said = bound_task(contract("classification", classes)).answer({"scores": scores, "boxes": scores}).describe()
    assert (said["index"], said["name"]) == (2, name)
    assert said["share"] == pytest.approx(5 / 8, rel=1e-6)  # float32 logarithms


@pytest.mark.parametrize("scale", [1e4, -1e4], ids=["large", "very-negative"])
def test_shares_do_not_overflow(scale: float) -> None:
    scores = np.array([[scale, 0.0, 0.0]], np.float32)
    said = bound_task(contract("classification")).answer({"scores": scores}).describe()
    assert said["share"] == (1.0 if scale > 0 else 0.5)


def test_features_are_described_by_shape_and_mean() -> None:
    outputs = {"scores": np.array([[1, 2, 3]], np.float32), "boxes": np.full((1, 3), 7, np.int64)}
    assert bound_task(contract("features")).answer(outputs).describe() == {
        "scores": {"shape": [1, 3], "mean": 2.0},
        "boxes": {"shape": [1, 3], "mean": 7.0},
    }
