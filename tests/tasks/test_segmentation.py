"""Masks: where the classes are, how two compare, what a verdict names."""

from __future__ import annotations

import numpy as np
import pytest
from task_cases import bound, softmax, spec

from splitc.errors import RecipeError, UsageError
from splitc.tasks import BoundTask, Placement, TrueMask
from splitc.tasks.segmentation import Mask
from splitc.types import Array, Dim, Feeds

RNG = np.random.default_rng(0)
MASK = np.zeros((64, 64), np.int64)
MASK[10:20, 10:20], MASK[40:44, 40:44] = 1, 2  # a small object of 16 pixels


def scores_of(mask: Array, classes: int = 3) -> Feeds:
    """Logits ``[1, C, H, W]`` that decide for the mask."""
    return {"o": (np.eye(classes)[mask].transpose(2, 0, 1)[None] * 8 - 4).astype(np.float32)}


def segmenter(**options: object) -> BoundTask:
    return bound("segmentation", [spec("o", 1, 3, 64, 64)], activation="logits", **options)


@pytest.mark.parametrize(
    ("shape", "dtype", "axis"),
    [
        pytest.param((1, 21, 512, 512), "float32", 1, id="nchw"),
        pytest.param((1, 512, 512, 21), "float32", 3, id="nhwc"),
        pytest.param(("N", 19, "H", "W"), "float32", 1, id="dynamic"),
        pytest.param((1, 1, 64, 64), "float32", 1, id="one-channel"),
        pytest.param((1, 64, 64), "int64", None, id="decided"),
    ],
)
def test_the_axis_of_the_classes(shape: tuple[Dim, ...], dtype: str, axis: int | None) -> None:
    assert bound("segmentation", [spec("o", *shape, dtype=dtype)]).task.model_dump()["class_axis"] == axis


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 64, 64, 64), r"axis 1 or axis 3 could be the classes; write class_axis"),
        ((1, 21, 4), r"is no mask; scores have the axes \[N, classes, H, W\]"),
    ],
)
def test_outputs_that_are_no_masks(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        bound("segmentation", [spec("o", *shape)])
    assert bound("segmentation", [spec("o", 1, 64, 64, 64)], class_axis=3).is_settled is False


def test_every_layout_gives_the_same_mask() -> None:
    logits = np.asarray(scores_of(MASK)["o"])
    last = logits.transpose(0, 2, 3, 1)
    answers = [
        segmenter().answer({"o": logits}),
        bound("segmentation", [spec("o", 1, 64, 64, 3)], activation="logits").answer({"o": last}),
        bound("segmentation", [spec("o", 1, 64, 64, 3)], examples=[{"o": softmax(last)}]).answer({"o": softmax(last)}),
        bound("segmentation", [spec("o", 1, 64, 64, dtype="int64")]).answer({"o": MASK[None]}),
        bound("segmentation", [spec("o", 1, 1, 64, 64, dtype="uint8")]).answer(
            {"o": MASK[None, None].astype(np.uint8)}
        ),
        bound("segmentation", [spec("o", 1, 64, 64, 1, dtype="int32")]).answer({"o": MASK[None, ..., None]}),
    ]
    for answer in answers:
        assert isinstance(answer, Mask)
        assert np.array_equal(answer.classes, MASK)


def test_one_channel_is_set_or_not() -> None:
    logits = np.where(MASK > 0, 3.0, -3.0)[None, None]
    task = bound("segmentation", [spec("o", 1, 1, 64, 64)], examples=[{"o": logits}])
    assert task.task.model_dump()["activation"] == "logits"
    assert np.array_equal(task.answer({"o": logits}).classes, MASK > 0)  # type: ignore[attr-defined]
    weaker = task.divergence({"o": logits}, {"o": logits * 0.9})
    assert 0 < weaker < task.divergence({"o": logits}, {"o": logits * 0.5})


def test_one_percent_of_pixels_is_named() -> None:
    """Equal pixels are 99 %; the small object has lost half of itself in the mIoU."""
    other = MASK.copy()
    flipped = RNG.permutation(np.argwhere(MASK == 0))[:41]
    other[tuple(flipped.T)] = 2
    comparison = segmenter().comparison()
    comparison.add(scores_of(MASK), scores_of(other))
    result = comparison.result()
    assert result.details["pixels_equal"] == pytest.approx(1 - 41 / 4096)
    assert result.fidelity.value < 0.8
    assert "1.0 % of the pixels changed their class, in 1 of the samples" in result.headline
    assert result.divergence > 0.05


def test_the_same_mask_agrees_and_few_samples_show_little() -> None:
    comparison = segmenter().comparison()
    for _ in range(3):
        comparison.add(scores_of(MASK), scores_of(MASK), TrueMask(MASK))
    result = comparison.result()
    assert (result.fidelity.value, result.divergence) == (1.0, 0.0)
    assert result.fidelity.lower < 0.5  # three samples, however many pixels
    assert "Few samples: 3" in result.headline
    assert {one.name: one.drop for one in result.accuracy} == {"miou": 0.0, "pixel_accuracy": 0.0}


def test_miou_against_labels() -> None:
    other = np.where(MASK == 2, 0, MASK)
    labels = MASK.copy()
    labels[:5] = 255  # not judged
    comparison = segmenter().comparison()
    comparison.add(scores_of(MASK), scores_of(other), TrueMask(labels))
    result = comparison.result()
    accuracy = {one.name: one for one in result.accuracy}
    background = (4096 - 5 * 64 - 116) / (4096 - 5 * 64 - 100)
    assert accuracy["miou"].reference == 1
    assert accuracy["miou"].other == pytest.approx((background + 1 + 0) / 3)
    assert result.gates["max_miou_drop"] == pytest.approx(accuracy["miou"].drop)


def test_nan_is_no_mask() -> None:
    broken = np.asarray(scores_of(MASK)["o"]).copy()
    broken[0, 0, 0, 0] = np.nan
    comparison = segmenter().comparison()
    comparison.add(scores_of(MASK), {"o": broken}, TrueMask(MASK))
    result = comparison.result()
    assert (result.fidelity.value, result.divergence) == (0.0, np.inf)
    assert {one.name: one.other for one in result.accuracy} == {"miou": 0.0, "pixel_accuracy": 0.0}
    assert "NaN or infinities in 1 of 1" in result.headline


def test_decided_masks_differ_by_their_pixels() -> None:
    task = bound("segmentation", [spec("o", 1, 64, 64, dtype="int64")])
    other = MASK.copy()
    other[0, :32] = 1
    assert task.divergence({"o": MASK[None]}, {"o": other[None]}) == 32 / 4096
    comparison = task.comparison()
    comparison.add({"o": MASK[None]}, {"o": other[None]}, TrueMask(MASK))
    assert set(comparison.result().gates) == set(task.gates) == {"min_fidelity", "max_divergence", "max_miou_drop"}
    assert "mean share of changed pixels: 0.007812" in comparison.result().headline


def test_masks_of_unequal_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"masks of \[64, 64\] and \[32, 32\] pixels cannot be compared"):
        segmenter().comparison().add(scores_of(MASK), scores_of(MASK[:32, :32]))
    with pytest.raises(UsageError, match="are masks, not int"):
        segmenter().comparison().add(scores_of(MASK), scores_of(MASK), 3)


def test_description_counts_pixels() -> None:
    described = segmenter(classes=["nothing", "cat", "dog"]).answer(scores_of(MASK)).describe()
    assert described["classes"][1] == {"index": 1, "name": "cat", "share": 100 / 4096}  # type: ignore[index, call-overload]


def test_a_mask_goes_back_to_its_picture() -> None:
    mask = Mask(np.array([[9, 9, 9, 9], [1, 1, 2, 2], [3, 3, 4, 4], [9, 9, 9, 9]]))
    mapped = mask.mapped(Placement((1, 1), (0, 2), (8, 4), (8, 8)))
    assert mapped.classes.tolist() == [[1, 1, 1, 1, 2, 2, 2, 2]] * 2 + [[3, 3, 3, 3, 4, 4, 4, 4]] * 2


@pytest.mark.parametrize(
    ("index", "fault"), [(2, ""), (255, ""), (3, "is labelled 3, and the network has classes 0 to 2")]
)
def test_a_labelled_class_is_one_of_the_network(index: int, fault: str) -> None:
    known = TrueMask(np.full((4, 4), index, np.int64))
    assert segmenter().label_fault(known, scores_of(np.zeros((4, 4), np.int64))) == fault
