"""Labels and class names as people write them, and what the network said in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from splitc.bundle import Contract
from splitc.errors import UsageError
from splitc.runtime import describe, read_classes, read_labels
from splitc.types import Preprocess, TensorSpec


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        pytest.param("a.png,3\nb.png,0\n", {"a.png": 3, "b.png": 0}, id="plain"),
        pytest.param("picture,class\na.png,3\n", {"a.png": 3}, id="heading"),
        pytest.param("file,wnid,class_index,name\na.jpg,n01,7,cat\n", {"a.jpg": 7}, id="first-whole-number"),
        pytest.param("folder/a.png, 3 \n\n", {"a.png": 3}, id="folder-blanks-empty-lines"),
        pytest.param('"a, b.png",3\n', {"a, b.png": 3}, id="quoted"),
        pytest.param("a.png,3", {"a.png": 3}, id="no-last-newline"),
        pytest.param("a.png,1\na.png,2\n", {"a.png": 2}, id="the-last-counts"),
    ],
)
def test_labels(text: str, labels: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text, "utf-8")
    assert read_labels(tmp_path / "labels.csv") == labels


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "holds no labels", id="empty"),
        pytest.param(b"picture,class\n", "holds no labels", id="heading-alone"),
        pytest.param(b"a.png,3\nb.png,cat\n", "labels.csv:2: no class index", id="word"),
        pytest.param(b"a.png,3\nb.png,-1\n", "labels.csv:2: no class index", id="negative"),
        pytest.param(b"a.png,3\nb.png\n", "labels.csv:2: no class index", id="no-index"),
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


def test_classes_keep_their_index(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat \n\ndög\n", "utf-8")
    assert read_classes(tmp_path / "classes.txt") == ["cat", "", "dög"]


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
    said = describe({"scores": scores, "boxes": scores}, contract("classification", classes))
    assert (said["index"], said["name"]) == (2, name)
    assert said["share"] == pytest.approx(5 / 8, rel=1e-6)  # float32 logarithms


@pytest.mark.parametrize("scale", [1e4, -1e4], ids=["large", "very-negative"])
def test_shares_do_not_overflow(scale: float) -> None:
    said = describe({"scores": np.array([[scale, 0.0, 0.0]], np.float32)}, contract("classification"))
    assert said["share"] == (1.0 if scale > 0 else 0.5)


def test_features_are_described_by_shape_and_mean() -> None:
    outputs = {"scores": np.array([[1, 2, 3]], np.float32), "boxes": np.full((1, 3), 7, np.int64)}
    assert describe(outputs, contract("features")) == {
        "scores": {"shape": [1, 3], "mean": 2.0},
        "boxes": {"shape": [1, 3], "mean": 7.0},
    }
