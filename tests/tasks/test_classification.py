"""Classes, labels, yes and no: what is told apart, and what a verdict names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from task_cases import bound, softmax, spec

from splitc.errors import RecipeError, UsageError
from splitc.tasks.class_scores import ClassScores, LabelScores
from splitc.types import Array, Feeds

RNG = np.random.default_rng(0)
LOGITS = [RNG.standard_normal((1, 10)).astype(np.float32) * 4 for _ in range(8)]
SCORES = [spec("scores", "N", 10)]


def outputs(array: Array) -> Feeds:
    return {"scores": array}


@pytest.mark.parametrize(
    ("examples", "activation", "note"),
    [
        pytest.param(LOGITS, "logits", r"is logits: values reach -\d", id="logits"),
        pytest.param([softmax(x) for x in LOGITS], "probabilities", "rows sum to 1, on 8 samples", id="softmax"),
        pytest.param([softmax(x).astype(np.float16) for x in LOGITS], "probabilities", "rows sum to 1", id="float16"),
        pytest.param([np.log(softmax(x)) for x in LOGITS], "logits", "log-probabilities", id="log-softmax"),
        pytest.param([1 / (1 + np.exp(-x)) for x in LOGITS], "logits", "write multi_label = true", id="sigmoid"),
    ],
)
def test_logits_and_probabilities_are_told_apart_and_said(examples: list[Array], activation: str, note: str) -> None:
    task = bound("classification", SCORES, examples=[outputs(x) for x in examples])
    assert task.task.model_dump()["activation"] == activation
    assert task.notes[0] == "output 'scores' [N,10]: 10 classes"
    assert len(task.notes) == 2
    assert re.search(note, task.notes[-1])


@pytest.mark.parametrize(
    ("options", "scores", "wanted"),
    [
        pytest.param({"activation": "logits"}, [[2.0, 0.0]], [2.0, 0.0], id="logits"),
        pytest.param({"activation": "probabilities"}, [[0.75, 0.25]], np.log([3.0, 1.0]), id="probabilities"),
        pytest.param({"activation": "probabilities"}, [[0.75]], np.log([1.0, 3.0]), id="yes-or-no"),
        pytest.param({"activation": "probabilities", "threshold": 0.75}, [[0.75]], [0.0, 0.0], id="at-the-threshold"),
    ],
)
def test_leads_of_decisions(options: dict[str, object], scores: list[list[float]], wanted: list[float]) -> None:
    task = bound("classification", [spec("scores", "N", len(scores[0]))], **options)
    found = task.decision_scores(outputs(np.array(scores)))
    assert found is not None
    np.testing.assert_allclose(np.diff(found), np.diff(wanted), atol=1e-12)  # float64's rounding


def test_several_labels_are_no_single_decision() -> None:
    task = bound("classification", SCORES, activation="logits", multi_label=True)
    assert task.decision_scores(outputs(LOGITS[0])) is None


def test_one_sample_at_a_time() -> None:
    task = bound("classification", SCORES, activation="logits")
    with pytest.raises(UsageError, match="scores of 2 samples; give one sample at a time"):
        task.answer(outputs(np.zeros((2, 10))))
    with pytest.raises(RecipeError, match="no examples tell logits from probabilities"):
        bound("classification", SCORES).settle([])


def test_examples_with_nan_tell_nothing() -> None:
    broken = np.full((1, 10), np.nan, np.float32)
    task = bound("classification", SCORES, examples=[outputs(broken), outputs(softmax(LOGITS[0]))])
    assert "on 1 sample" in task.notes[-1]
    with pytest.raises(RecipeError, match="all of the 1 examples have NaN or infinities"):
        bound("classification", SCORES, examples=[outputs(broken)])


def test_probabilities_are_not_softmaxed_again() -> None:
    """A double softmax made 73 % of 98.6 %, and the KL too small."""
    shares = np.array([[0.986, 0.013, 0.001]], np.float32)
    task = bound("classification", [spec("scores", 1, 3)], examples=[outputs(shares)], classes=["a", "b", "c"])
    described = task.answer(outputs(shares)).describe()
    assert (described["index"], described["name"]) == (0, "a")
    assert described["share"] == pytest.approx(0.986, abs=1e-6)  # float32's rounding
    other = np.array([[0.6, 0.3, 0.1]], np.float32)
    wanted = float((shares * np.log(shares / other)).sum())
    assert task.divergence(outputs(shares), outputs(other)) == pytest.approx(wanted, rel=1e-5)  # float32's rounding


def test_logits_and_their_probabilities_get_the_same_verdict() -> None:
    moved = [x + RNG.standard_normal(x.shape).astype(np.float32) for x in LOGITS]
    verdicts = []
    for of in (lambda x: x, softmax):
        task = bound("classification", SCORES, examples=[outputs(of(x)) for x in LOGITS])
        comparison = task.comparison()
        for before, after in zip(LOGITS, moved, strict=True):
            comparison.add(outputs(of(before)), outputs(of(after)), 3)
        verdicts.append(comparison.result())
    assert verdicts[0].fidelity == verdicts[1].fidelity
    assert verdicts[0].divergence == pytest.approx(verdicts[1].divergence, rel=1e-5)  # probabilities in float32
    assert verdicts[0].accuracy == verdicts[1].accuracy


def test_top1_and_top5_and_gates() -> None:
    task = bound("classification", SCORES, activation="logits")
    comparison = task.comparison()
    for before in LOGITS:
        order = np.argsort(-before[0])
        after = before.copy()
        after[0, order[[0, 1]]] = after[0, order[[1, 0]]]  # the second becomes the first
        comparison.add(outputs(before), outputs(after), int(order[0]))
    result = comparison.result()
    assert result.fidelity.value == 0
    assert {one.name: (one.reference, one.other, one.labelled) for one in result.accuracy} == {
        "top1": (1.0, 0.0, 8),
        "top5": (1.0, 1.0, 8),
    }
    assert result.gates == {"min_fidelity": 0.0, "max_kl": result.divergence, "max_top1_drop": 1.0}


@pytest.mark.parametrize(
    ("samples", "labelled", "said"),
    [
        pytest.param(40, 10, "Against the labels of 10 of 40 samples, top1 is", id="some"),
        pytest.param(40, 40, "Against the labels of 40 samples, top1 is", id="all"),
        pytest.param(1, 1, "Against the labels of 1 sample, top1 is", id="one"),
    ],
)
def test_how_many_samples_have_labels_is_said(samples: int, labelled: int, said: str) -> None:
    comparison = bound("classification", SCORES, activation="logits").comparison()
    for index in range(samples):
        one = outputs(LOGITS[index % len(LOGITS)])
        comparison.add(one, one, 3 if index < labelled else None)
    result = comparison.result()
    assert (result.samples, result.labelled) == (samples, labelled)
    assert said in result.headline
    assert ("Few labels: 10, fewer than 30" in result.headline) == (labelled < samples)


def test_gates_against_labels_exist_only_with_labels() -> None:
    comparison = bound("classification", SCORES, activation="logits").comparison()
    comparison.add(outputs(LOGITS[0]), outputs(LOGITS[0]))
    result = comparison.result()
    assert set(result.gates) == {"min_fidelity", "max_kl"}
    assert result.accuracy == ()


def test_one_output_that_moves_is_named() -> None:
    """A softmax over one output is always 1: fidelity 1.0000 and KL 0 while an answer moved by 0.63."""
    task = bound(
        "classification", [spec("scores", "N", 1)], examples=[outputs(np.array([[x]])) for x in (0.2, 0.3, 0.9)]
    )
    assert "probabilities already" in task.notes[-1]
    comparison = task.comparison()
    comparison.add(outputs(np.array([[0.3]])), outputs(np.array([[0.93]])))
    result = comparison.result()
    assert result.fidelity.value == 0
    assert result.divergence == pytest.approx(0.3 * np.log(0.3 / 0.93) + 0.7 * np.log(0.7 / 0.07), rel=1e-9)
    assert result.details["largest_probability_change"] == pytest.approx(0.63)
    assert "The largest change of a probability is 0.63." in result.headline


def test_one_logit() -> None:
    task = bound("classification", [spec("scores", "N", 1)], examples=[outputs(np.array([[x]])) for x in (-3.0, 4.0)])
    answer = task.answer(outputs(np.array([[0.0]])))
    assert isinstance(answer, LabelScores)
    assert answer.describe() == {"index": 1, "name": "yes", "probability": 0.5, "threshold": 0.5}


@pytest.mark.parametrize(
    ("classes", "no", "yes"),
    [(None, "no", "yes"), (["cat"], "not cat", "cat"), (["quiet", "wake word"], "quiet", "wake word")],
)
def test_names_of_yes_and_no(classes: list[str] | None, no: str, yes: str) -> None:
    task = bound("classification", [spec("scores", "N", 1)], classes=classes, activation="probabilities")
    assert task.answer(outputs(np.array([[0.1]]))).describe()["name"] == no
    assert task.answer(outputs(np.array([[0.9]]))).describe()["name"] == yes


def test_labels_that_are_set() -> None:
    task = bound("classification", SCORES, multi_label=True, activation="probabilities", classes=list("abcdefghij"))
    before = np.full((1, 10), 0.1)
    before[0, [2, 5]] = 0.9, 0.7
    after = before.copy()
    after[0, 5] = 0.4
    assert [one["name"] for one in task.answer(outputs(before)).describe()["labels"]] == ["c", "f"]  # type: ignore
    comparison = task.comparison()
    comparison.add(outputs(before), outputs(before), frozenset({2, 5}))
    comparison.add(outputs(before), outputs(after), frozenset({2, 5}))
    result = comparison.result()
    assert result.fidelity.value == 0.5  # and not 19 of 20 decisions
    assert result.details["decisions_kept"] == 0.95
    accuracy = {one.name: (one.reference, one.other) for one in result.accuracy}
    assert accuracy == {"top1": (1.0, 0.5), "label_f1": (1.0, pytest.approx(6 / 7))}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["reference", "other", "both"])
def test_nan_and_infinities_never_agree_and_are_named(bad: float, side: str) -> None:
    comparison = bound("classification", SCORES, activation="logits").comparison()
    broken = LOGITS[0].copy()
    broken[0, 0] = bad
    comparison.add(outputs(LOGITS[1]), outputs(LOGITS[1]), 1)
    comparison.add(
        outputs(LOGITS[0] if side == "other" else broken), outputs(LOGITS[0] if side == "reference" else broken), 1
    )
    result = comparison.result()
    assert result.fidelity.value == 0.5
    assert result.divergence == np.inf
    assert result.document()["divergence"] is None
    assert result.details["worst_sample"] == 1
    assert "NaN or infinities in 1 of 2 (" in result.headline
    assert ("of the unsplit network" in result.headline.split("NaN")[1]) == (side != "other")
    with pytest.raises(UsageError, match="NaN or infinities: the network gave no answer"):
        bound("classification", SCORES, activation="logits").answer(outputs(broken))


def test_few_samples_are_said_and_many_are_not() -> None:
    for count, is_said in ((29, True), (30, False)):
        comparison = bound("classification", SCORES, activation="logits").comparison()
        for _ in range(count):
            comparison.add(outputs(LOGITS[0]), outputs(LOGITS[0]))
        assert (f"Few samples: {count}, fewer than 30" in comparison.result().headline) == is_said


def test_the_headline_says_exactly_what_was_measured() -> None:
    comparison = bound("classification", SCORES, activation="logits").comparison()
    for number in range(40):
        after = LOGITS[0].copy()
        if number == 7:
            after[0, 0] = 99
        comparison.add(outputs(LOGITS[0]), outputs(after))
    assert comparison.result().headline.startswith(
        "97.5 % of top-1 decisions are the unsplit network's (95 % interval 87.1 to 99.6 %, Wilson), on 40 samples; "
        "mean KL divergence of the class probabilities, nats: "
    )


def test_one_sample_by_itself_is_the_mean_of_one() -> None:
    task = bound("classification", SCORES, activation="logits")
    comparison = task.comparison()
    comparison.add(outputs(LOGITS[0]), outputs(LOGITS[1]))
    assert task.divergence(outputs(LOGITS[0]), outputs(LOGITS[1])) == comparison.result().divergence


@pytest.mark.parametrize(
    ("act", "message"),
    [
        pytest.param(lambda c: c.result(), "no sample was compared", id="no-samples"),
        pytest.param(
            lambda c: c.add(outputs(LOGITS[0]), outputs(LOGITS[0][:, :5])),
            r"output 'scores': the unsplit network gives \[1, 10\] and the other path \[1, 5\]",
            id="shapes",
        ),
        pytest.param(
            lambda c: c.add(outputs(LOGITS[0]), {"x": LOGITS[0]}), "a path lacks the output 'scores'", id="lacks"
        ),
        pytest.param(lambda c: c.add(outputs(LOGITS[0]), outputs(LOGITS[0]), 10), "class 10 is not one of", id="range"),
        pytest.param(
            lambda c: c.add(outputs(LOGITS[0]), outputs(LOGITS[0]), frozenset({1})), "are class indices", id="kind"
        ),
    ],
)
def test_refusals(act, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=message):
        act(bound("classification", SCORES, activation="logits").comparison())


def test_outputs_that_are_no_classes() -> None:
    with pytest.raises(RecipeError, match=r"no scores of classes \[N, classes\]; write task = \"detection\""):
        bound("classification", [spec("scores", 1, 84, 8400)])


def test_names_of_too_few_classes_are_said() -> None:
    task = bound("classification", SCORES, classes=["a", "b"], activation="logits")
    assert task.notes[-1] == "data.classes names 2 of 10 classes; others are called by number"
    assert task.answer(outputs(np.eye(10)[None, 5])).describe()["name"] == "class 5"


@pytest.mark.parametrize("shape", [(1, 10, 1, 1), (10,), (1, 10)])
def test_shapes_of_one_class_axis(shape: tuple[int, ...]) -> None:
    task = bound("classification", [spec("scores", *shape)], activation="logits")
    answer = task.answer(outputs(LOGITS[0].reshape(shape)))
    assert isinstance(answer, ClassScores)
    assert answer.index == int(LOGITS[0].argmax())
    listed = answer.describe()["top"]
    assert isinstance(listed, list)
    assert len(listed) == 5


def test_the_first_of_several_outputs_is_read_and_said() -> None:
    task = bound("classification", [spec("logits", 1, 10), spec("embedding", 1, 64)])
    assert task.reads == ("logits",)
    assert task.notes[1] == "the first of 2 outputs is read; the option `output` names another"


def test_clips_are_averaged() -> None:
    clips = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.2, 0.2, 0.6]]))
    by_shares = bound("clip", [spec("scores", "N", 3)], activation="logits")
    assert by_shares.answer(outputs(clips)).describe()["share"] == pytest.approx(1.4 / 3)
    by_logits = bound("clip", [spec("scores", "N", 3)], activation="logits", average="logits")
    logits = clips.mean(0)
    assert by_logits.answer(outputs(clips)).describe()["share"] == pytest.approx(softmax(logits)[2])
    comparison = by_shares.comparison()
    comparison.add(outputs(clips), outputs(clips[::-1]), 2)
    assert comparison.result().divergence == pytest.approx(0, abs=1e-12)  # sums in another order
    with pytest.raises(RecipeError, match="no logits to average"):
        bound("clip", [spec("scores", "N", 3)], activation="probabilities", average="logits")


def test_labels_come_from_csv(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("picture,index\ncat/0.png,3\ndog/0.png,4\n")
    table = bound("classification", SCORES, activation="logits").labels(file)
    assert table.find(str(tmp_path / "cat/0.png")) == 3
    assert table.find(str(tmp_path / "cow/0.png")) is None
    several = bound("classification", SCORES, multi_label=True)
    file.write_text("a.png,3,5\nb.png\n")
    assert several.labels(file).find("/x/a.png") == frozenset({3, 5})


@pytest.mark.parametrize(
    ("shift", "labelled", "words"),
    [
        pytest.param(0, 40, None, id="right"),
        pytest.param(
            1, 40, "labelled class less 1 (labels that count from 1 would show this) for 40 of 40", id="from-1"
        ),
        pytest.param(
            -1, 40, "labelled class plus 1 (a background class would show this) for 40 of 40", id="background"
        ),
        pytest.param(2, 40, None, id="otherwise-wrong"),
        pytest.param(1, 3, None, id="too-few-to-tell"),
        pytest.param(1, 0, None, id="no-labels"),
    ],
)
def test_labels_that_count_from_another_number_are_said(shift: int, labelled: int, words: str | None) -> None:
    comparison = bound("classification", SCORES, activation="logits").comparison()
    for index in range(40):
        one = outputs(np.eye(10)[None, 2 + index % 6])
        comparison.add(one, one, 2 + index % 6 + shift if index < labelled else None)
    headline = comparison.result().headline
    assert words in headline if words else "count from" not in headline
