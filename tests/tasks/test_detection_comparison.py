"""Boxes against the unsplit network's: planted lies are named."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from task_cases import bound, row_of, spec

from splitc.errors import CapabilityError, UsageError
from splitc.tasks import BoundTask, Placement, TrueBoxes
from splitc.tasks.boxes import Boxes
from splitc.tasks.mean_average_precision import (
    MeanAveragePrecision,
    average_precisions,
    drop_errors,
    joined,
)
from splitc.types import Array, Feeds

CLASSES = ["cat", "dog", "cow"]
OBJECTS = [
    ((20, 20, 120, 120), [0.9, 0.0, 0.0]),
    ((300, 40, 420, 240), [0.0, 0.8, 0.0]),
    ((50, 300, 250, 500), [0, 0, 0.6]),
]
SPECS = [spec("o", 1, 8400, 7)]


def detector(**options: object) -> BoundTask:
    return bound("detection", SPECS, classes=CLASSES, activation="probabilities", **options)


def outputs(*objects: tuple[tuple[float, ...], list[float]]) -> Feeds:
    """8400 rows: the objects, and places that show nothing."""
    rng = np.random.default_rng(0)
    rows = np.zeros((8400, 7), np.float32)
    rows[:, :2], rows[:, 2:4], rows[:, 4:] = rng.uniform(0, 640, (8400, 2)), rng.uniform(9, 99, (8400, 2)), 1e-4
    for number, (box, scores) in enumerate(objects):
        rows[100 * number] = row_of(box, scores)
    return {"o": rows[None]}


def truth(*objects: tuple[tuple[float, ...], list[float]]) -> TrueBoxes:
    boxes = np.array([box for box, _ in objects], np.float64).reshape(-1, 4)
    classes = np.array([int(np.argmax(scores)) for _, scores in objects], np.int64)
    return TrueBoxes(boxes, classes, np.zeros(len(objects), bool), (0, 0, 640, 640))


@pytest.mark.parametrize(("most", "left_out"), [(2, 1), (1, 2), (3, 0), (300, 0)])
def test_boxes_that_are_left_out_are_counted_and_said(most: int, left_out: int) -> None:
    task = detector(most=most)
    answer = task.answer(outputs(*OBJECTS))
    assert (len(answer), answer.describe()["boxes_left_out"]) == (3 - left_out, left_out)  # type: ignore[arg-type]
    assert (f", {left_out} more left out" in answer.text) == (left_out > 0)
    comparison = task.comparison()
    comparison.add(outputs(*OBJECTS), outputs(*OBJECTS))
    comparison.add(outputs(OBJECTS[0]), outputs(OBJECTS[0]))
    result = comparison.result()
    words = (
        f"In 1 of 2 samples a path has more than {most} boxes, of which the least sure were left out ({2 * left_out}"
    )
    assert (words in result.headline) == (left_out > 0)
    assert result.details["boxes_left_out_reference"] == result.details["boxes_left_out_other"] == left_out


def test_the_same_boxes_agree() -> None:
    comparison = detector().comparison()
    comparison.add(outputs(*OBJECTS), outputs(*OBJECTS), truth(*OBJECTS))
    result = comparison.result()
    assert result.fidelity.value == 1
    assert result.divergence == 0
    assert {one.name: (one.reference, one.other) for one in result.accuracy} == {
        "map50_95": (pytest.approx(1.0), pytest.approx(1.0)),
        "map50": (pytest.approx(1.0), pytest.approx(1.0)),
    }
    assert result.gates == {"min_fidelity": 1.0, "max_kl": 0.0, "max_map_drop": pytest.approx(0.0)}
    assert result.details["fidelity_printed"] == result.details["fidelity_absolute"] == pytest.approx(1.0)


def test_scores_that_coordinates_drown_in_a_cosine() -> None:
    """All scores a third lower: the tensors' cosine is above 0.9999, and of three boxes one is left."""
    before, after = outputs(*OBJECTS), outputs(*OBJECTS)
    lower = np.asarray(after["o"]).copy()
    lower[..., 4:] *= 0.3
    tensors = bound("features", SPECS).comparison()
    tensors.add(before, {"o": lower})
    comparison = detector().comparison()
    comparison.add(before, {"o": lower})
    assert tensors.result().fidelity.value > 0.9999
    result = comparison.result()
    assert result.fidelity.value == pytest.approx(2 * 1 / (3 + 1))
    assert result.details["boxes_left"] == pytest.approx(1 / 3)
    assert result.divergence > 1
    assert "1 boxes where the unsplit network has 3" in result.headline
    assert "what a user of the network would see was not measured" in tensors.result().headline


@pytest.mark.parametrize(
    ("other", "f1"),
    [
        pytest.param(OBJECTS[:2], 2 * 2 / 5, id="one-lost"),
        pytest.param([*OBJECTS, ((500, 500, 600, 600), [0.7, 0, 0])], 2 * 3 / 7, id="one-more"),
        pytest.param([OBJECTS[0], OBJECTS[1], (OBJECTS[2][0], [0.6, 0, 0])], 2 * 2 / 6, id="another-class"),
        pytest.param([OBJECTS[0], OBJECTS[1], ((180, 300, 380, 500), [0, 0, 0.6])], 2 * 2 / 6, id="moved-away"),
    ],
)
def test_f1(other: list[tuple[tuple[float, ...], list[float]]], f1: float) -> None:
    comparison = detector().comparison()
    comparison.add(outputs(*OBJECTS), outputs(*other))
    result = comparison.result()
    assert result.fidelity.value == pytest.approx(f1)
    assert result.divergence > 0


def test_boxes_that_move_and_scores_that_stay() -> None:
    """The score divergence alone would not see it."""
    moved = [((x1 + 8, y1, x2 + 8, y2), scores) for (x1, y1, x2, y2), scores in OBJECTS]
    comparison = detector().comparison()
    comparison.add(outputs(*OBJECTS), outputs(*moved))
    result = comparison.result()
    assert result.details["score_kl"] == 0
    assert result.divergence == result.details["box_error"] > 0.1
    assert result.details["box_drift_px"] == pytest.approx(4)  # two of four edges by 8


def test_the_divergence_is_the_sum_of_its_parts() -> None:
    """Scores and places, each by itself; lost answers are infinite in both."""
    weaker = [((x1 + 8, y1, x2 + 8, y2), [0.9 * one for one in scores]) for (x1, y1, x2, y2), scores in OBJECTS]
    task = detector()
    scores, places = task.divergence_parts(outputs(*OBJECTS), outputs(*weaker))
    assert scores > 0
    assert places > 0
    assert task.divergence(outputs(*OBJECTS), outputs(*weaker)) == scores + places
    lost = {"o": np.full((1, 8400, 7), np.nan, np.float32)}
    assert task.divergence_parts(outputs(*OBJECTS), lost) == (np.inf, np.inf)


@pytest.mark.parametrize(("after", "holds"), [(20, True), (19, True), (18, False), (21, True), (22, False)])
def test_about_as_many_boxes_are_wanted(after: int, holds: bool) -> None:
    """Of 20 boxes, 19 to 21 are within 5 %, whatever the F1 allows."""
    places = [((30 * i, 30 * j, 30 * i + 20, 30 * j + 20), [0.9, 0.0, 0.0]) for i in range(11) for j in range(2)]
    task = detector()
    comparison = task.comparison()
    comparison.add(outputs(*places[:20]), outputs(*places[:after]))
    verdict = comparison.result()
    assert verdict.fidelity.value > 0.94
    assert (
        task.holds(verdict.model_copy(update={"fidelity": verdict.fidelity.model_copy(update={"value": 0.99})}), 0.95)
        == holds
    )


@pytest.mark.parametrize(
    ("before", "after", "value", "said"),
    [
        pytest.param(OBJECTS, [], 0.0, "In 1 of 1 samples only the unsplit network has boxes.", id="other-empty"),
        pytest.param([], OBJECTS, 0.0, "In 1 of 1 samples only the other path has boxes.", id="reference-empty"),
        pytest.param([], [], 0.0, "No boxes with a score of 0.25 or more on either path", id="both-empty"),
    ],
)
def test_empty_detections_never_agree(before, after, value: float, said: str) -> None:  # type: ignore[no-untyped-def]
    comparison = detector().comparison()
    comparison.add(outputs(*before), outputs(*after))
    result = comparison.result()
    assert result.fidelity.value == value
    assert said in result.headline


def test_empty_pictures_beside_others_count_nothing_and_are_said() -> None:
    comparison = detector().comparison()
    for _ in range(9):
        comparison.add(outputs(), outputs())
    comparison.add(outputs(*OBJECTS), outputs(*OBJECTS[:1]))
    result = comparison.result()
    assert result.fidelity.value == pytest.approx(0.5)
    assert "In 9 of 10 samples neither path has boxes." in result.headline


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_loses_all_boxes(bad: float) -> None:
    broken = np.asarray(outputs(*OBJECTS)["o"]).copy()
    broken[0, 4000, 0] = bad
    comparison = detector().comparison()
    comparison.add(outputs(*OBJECTS), outputs(*OBJECTS), truth(*OBJECTS))
    comparison.add(outputs(*OBJECTS), {"o": broken}, truth(*OBJECTS))
    result = comparison.result()
    assert result.fidelity.value == pytest.approx(2 * 3 / (6 + 3))
    assert result.divergence == np.inf
    assert "NaN or infinities in 1 of 2 (1 of the other path)." in result.headline
    drop = result.gates["max_map_drop"]
    assert 0.4 < drop < 0.6  # half of the pictures have no answer
    assert detector().divergence(outputs(), {"o": broken}) == np.inf


def test_lists_are_compared_by_their_objects() -> None:
    specs = [spec("o", 1, 300, 6)]
    task = bound("detection", specs, box_form="corners", box_unit="pixels")

    def listed(*rows: list[float]) -> Feeds:
        array = np.zeros((1, 300, 6), np.float32)
        array[0, : len(rows)] = np.array(rows).reshape(-1, 6)
        return {"o": array}

    one, two = [10, 10, 50, 50, 0.9, 1], [100, 100, 200, 300, 0.5, 2]
    assert task.divergence(listed(one, two), listed(two, one)) == pytest.approx(0, abs=1e-9)
    slightly, entirely = (
        task.divergence(listed(one, two), listed(one, [*two[:4], 0.45, 2])),
        task.divergence(listed(one, two), listed(one)),
    )
    assert 0 < slightly < entirely
    assert task.divergence(listed(one), listed(one, two)) > slightly


def test_the_order_of_divergences_is_that_of_the_damage() -> None:
    task, last = detector(), 0.0
    for share in (0.99, 0.9, 0.7, 0.4, 0.1):
        weaker = np.asarray(outputs(*OBJECTS)["o"]).copy()
        weaker[..., 4:] *= share
        now = task.divergence(outputs(*OBJECTS), {"o": weaker})
        assert now > last
        last = now


def test_truth_follows_the_letterbox() -> None:
    placed = detector().place(
        TrueBoxes(np.array([[0.25, 0.5, 0.75, 1.0]]), np.array([0]), np.array([False])),
        Placement((2, 2), (0, 80), (320, 240), (640, 640)),
    )
    assert isinstance(placed, TrueBoxes)
    assert placed.xyxy.tolist() == [[160, 320, 480, 560]]
    assert placed.area == (0, 80, 640, 560)


def test_boxes_go_back_to_the_picture() -> None:
    placement = Placement((2, 2), (0, 80), (320, 240), (640, 640))
    answer = detector().answer(outputs(((160, 320, 480, 600), [0.9, 0, 0])))
    mapped = answer.mapped(placement)
    assert isinstance(mapped, Boxes)
    assert mapped.xyxy == pytest.approx(np.array([[80, 120, 240, 240]]), abs=1e-3)
    listed = mapped.describe()["boxes"]
    assert listed[0]["name"] == "cat"


def test_heads_of_unequal_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"scores \[8400, 3\] boxes and classes, the other path \[21, 3\]"):
        detector().comparison().add(outputs(), {"o": np.full((1, 21, 7), 50.0)})


def test_labels_of_another_kind_are_refused() -> None:
    with pytest.raises(UsageError, match="labels of task 'detection' are boxes, not int"):
        detector().comparison().add(outputs(*OBJECTS), outputs(*OBJECTS), 3)


@pytest.mark.parametrize(("index", "fault"), [(2, ""), (3, "is labelled 3"), (-1, "is labelled -1")])
def test_a_labelled_class_is_one_of_the_network(index: int, fault: str) -> None:
    known = TrueBoxes(np.zeros((1, 4)), np.array([index]), np.array([False]))
    assert detector().label_fault(known, outputs()).startswith(fault)
    assert bool(fault) == bool(detector().label_fault(known, outputs()))


def test_labels_of_which_nothing_is_found_judge_no_drop() -> None:
    comparison = detector().comparison()
    comparison.add(outputs(*OBJECTS[1:]), outputs(), truth(OBJECTS[0]))
    result = comparison.result()
    assert "The unsplit network scores 0 against the labels, so no loss can show" in result.headline
    assert "max_map_drop" not in result.gates


def test_memory_does_not_grow_with_outputs() -> None:
    import pickle

    sizes = []
    comparison = detector().comparison()
    for _ in range(3):
        comparison.add(outputs(*OBJECTS), outputs(*OBJECTS))
        kept = {key: value for key, value in vars(comparison).items() if not callable(value)}
        sizes.append(len(pickle.dumps(kept)))
    assert max(sizes) < 4000
    assert sizes[2] - sizes[1] < 50  # numbers grow by digits alone


def area_under(curve: Array, labelled: int) -> float:
    """101-point average precision of matches by falling score, written from COCO's description."""
    hits, misses = np.cumsum(curve), np.cumsum(~curve)
    recall, precision = hits / labelled, hits / (hits + misses)
    at = [precision[recall >= point - 1e-12].max(initial=0.0) for point in np.linspace(0, 1, 101)]
    return float(np.mean(at))


def test_average_precision_of_known_curves() -> None:
    """Three objects; the first and third of four boxes find one, the third object is missed."""
    found = [
        ((20, 20, 120, 120), [0.9, 0, 0]),
        ((400, 400, 500, 500), [0.8, 0, 0]),
        ((300, 40, 420, 240), [0.7, 0, 0]),
        ((10, 400, 60, 450), [0.6, 0, 0]),
    ]
    labelled = [(box, [1.0, 0, 0]) for box in ((20, 20, 120, 120), (300, 40, 420, 240), (50, 300, 250, 500))]
    comparison = detector().comparison()
    comparison.add(outputs(*found), outputs(), truth(*labelled))  # type: ignore[arg-type]
    accuracy = {one.name: one for one in comparison.result().accuracy}
    wanted = area_under(np.array([True, False, True, False]), 3)
    assert accuracy["map50"].reference == pytest.approx(wanted, abs=1e-9)
    assert accuracy["map50_95"].reference == pytest.approx(wanted, abs=1e-9)
    assert accuracy["map50"].other == 0


def test_ignored_objects_count_neither_way() -> None:
    crowd = TrueBoxes(
        np.array([OBJECTS[0][0], OBJECTS[1][0]], np.float64),
        np.array([0, 1]),
        np.array([False, True]),
        (0, 0, 640, 640),
    )
    comparison = detector().comparison()
    comparison.add(outputs(*OBJECTS[:2]), outputs(*OBJECTS[:1]), crowd)
    accuracy = {one.name: one for one in comparison.result().accuracy}
    assert accuracy["map50"].reference == accuracy["map50"].other == pytest.approx(1.0)


def test_the_evaluator_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    comparison = detector().comparison()
    comparison.add(outputs(*OBJECTS), outputs(*OBJECTS), truth(*OBJECTS))
    comparison.result()
    assert capfd.readouterr() == ("", "")


def test_labels_without_a_place_in_the_input_are_refused() -> None:
    unplaced = TrueBoxes(np.array([[0.1, 0.1, 0.5, 0.5]]), np.array([0]), np.array([False]))
    with pytest.raises(UsageError, match="nothing says where it lies in the network"):
        detector().comparison().add(outputs(*OBJECTS), outputs(*OBJECTS), unplaced)


def test_without_the_evaluator_labels_are_refused_and_fidelity_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    comparison = detector().comparison()
    comparison.add(outputs(*OBJECTS), outputs(*OBJECTS))
    assert comparison.result().fidelity.value == 1
    message = r"needs 'pycocotools': pip install 'splitc\[detection\]', or leave data.labels out"
    with pytest.raises(CapabilityError, match=message):
        comparison.add(outputs(*OBJECTS), outputs(*OBJECTS), truth(*OBJECTS))
    with pytest.raises(CapabilityError, match=message):
        detector().labels(Path("labels.json"))


def labelled_pictures(count: int, seed: int) -> list[tuple[Boxes, Boxes, TrueBoxes]]:
    """Labels of random objects, boxes that find most of them, and worse ones."""
    rng, pictures = np.random.default_rng(seed), []
    for _ in range(count):
        objects = int(rng.integers(1, 7))
        low = rng.uniform(0, 400, (objects, 2))
        boxes = np.concatenate([low, low + rng.uniform(40, 200, (objects, 2))], 1)
        classes = rng.integers(0, 3, objects)
        known = TrueBoxes(boxes, classes, rng.random(objects) < 0.1, (0, 0, 640, 640))
        sides = []
        for noise in (6, 12):
            moved = np.repeat(boxes, 3, 0) + rng.normal(0, noise, (3 * objects, 4))
            scores = np.sort(rng.random(3 * objects))[::-1]
            sides.append(Boxes(moved, scores, np.repeat(classes, 3)))
        pictures.append((sides[0], sides[1], known))
    return pictures


def test_replicates_are_pycocotools_figures() -> None:
    precision = MeanAveragePrecision()
    for found, _, known in labelled_pictures(30, 0):
        precision.add(found, known)
    result = precision.result()
    ours = average_precisions(joined(precision._samples))
    assert (result["map50_95"], result["map50"]) == pytest.approx(ours.tolist(), abs=1e-12)


def test_the_standard_error_of_a_drop_is_its_spread_over_data_sets() -> None:
    drops, errors = [], []
    for seed in range(40):
        paths = MeanAveragePrecision(), MeanAveragePrecision()
        for *found, known in labelled_pictures(25, seed):
            for path, boxes in zip(paths, found, strict=True):
                path.add(boxes, known)
        drops.append(average_precisions(joined(paths[0]._samples)) - average_precisions(joined(paths[1]._samples)))
        known_errors = drop_errors(*paths)
        assert known_errors is not None
        errors.append([known_errors["map50_95"], known_errors["map50"]])
    spread, mean = np.std(drops, axis=0, ddof=1), np.mean(errors, axis=0)
    # 40 sets know a spread to 11 %, and 25 pictures a standard error to 20 %
    assert (np.abs(np.log(mean / spread)) < np.log(1.5)).all()
