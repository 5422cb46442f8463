"""How two answers of a classifier compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np

from splitc.errors import UsageError
from splitc.tasks.agreement import TaskAccuracy
from splitc.tasks.answer import Document
from splitc.tasks.comparison import RunningComparison, SampleVerdict, same_shape, wrong_label
from splitc.tasks.divergences import bernoulli_kl, kl
from splitc.tasks.intervals import PairedDifference, wilson
from splitc.tasks.truth import Truth
from splitc.types import F64, Array, Feeds

FIVE = 5
COUNTED_FROM = {
    -1: "less 1 (labels that count from 1 would show this)",
    1: "plus 1 (a background class would show this)",
}
"""Distance of the answered class from the labelled one, where the two count from different numbers."""


class _ScoreComparison(RunningComparison):
    """Common to both kinds: one output, and how its scores become probabilities."""

    divergence_gate = "max_kl"
    drop_gates: ClassVar[Mapping[str, str]] = {"top1": "max_top1_drop"}

    def __init__(self, task: str, output: str, joined: Callable[[Array], F64], threshold: float) -> None:
        super().__init__(task, [output])
        self._output, self._joined, self._threshold = output, joined, threshold
        self._moved = 0.0
        self._changed = 0

    def _both(self, reference: Feeds, other: Feeds) -> tuple[F64, F64]:
        first, second = np.asarray(reference[self._output]), np.asarray(other[self._output])
        same_shape(first, second, self._output)
        return self._joined(first), self._joined(second)

    def _count(self, is_same: bool, moved: float, divergence: float) -> SampleVerdict:
        self._changed += not is_same
        self._moved = max(self._moved, moved)
        return SampleVerdict(float(is_same), 1.0, divergence)


class ClassComparison(_ScoreComparison):
    """One class of many.

    Args:
        task: The task's name.
        output: Output with the scores.
        joined: Scores of one sample -> log-probabilities ``[C]``.
        threshold: Not used.
    """

    measure = "top-1 decisions are the unsplit network's"
    divergence_unit = "KL divergence of the class probabilities, nats"

    def __init__(self, task: str, output: str, joined: Callable[[Array], F64], threshold: float = 0.5) -> None:
        super().__init__(task, output, joined, threshold)
        self._classes = 0
        self._pairs = PairedDifference(), PairedDifference()
        self._right = np.zeros((2, 2), np.int64)  # paths x (top 1, top 5)
        self._beside = dict.fromkeys(COUNTED_FROM, 0)

    def _compare(self, reference: Feeds, other: Feeds) -> SampleVerdict:
        p, q = self._both(reference, other)
        self._classes = p.size
        moved = float(np.max(np.abs(np.exp(p) - np.exp(q))))
        return self._count(int(p.argmax()) == int(q.argmax()), moved, float(kl(p, q)))

    def _judge(self, reference: Feeds | None, other: Feeds | None, truth: Truth) -> None:
        if isinstance(truth, bool) or not isinstance(truth, int):
            raise wrong_label(self.task, truth, "class indices")
        is_right = np.zeros((2, 2), bool)
        for side, outputs in enumerate((reference, other)):
            if outputs is not None:
                scores = self._joined(np.asarray(outputs[self._output]))
                is_right[side] = _ranks(scores, truth) < np.array([1, FIVE])
                if side == 0:
                    self._add_beside(int(scores.argmax()) - truth)
        self._right += is_right
        for pair, column in zip(self._pairs, is_right.T, strict=True):
            pair.add(*column.astype(float))

    def _accuracy(self) -> Sequence[TaskAccuracy]:
        names = ("top1", "top5") if self._classes > FIVE else ("top1",)
        return [
            TaskAccuracy(
                name=name,
                reference=self._right[0, column] / self.labelled,
                other=self._right[1, column] / self.labelled,
                labelled=self.labelled,
                drop_error=self._pairs[column].error,
            )
            for column, name in enumerate(names)
        ]

    def _add_beside(self, distance: int) -> None:
        """The unsplit network's class is the labelled one plus ``distance``."""
        if distance in self._beside:
            self._beside[distance] += 1

    def _remarks(self) -> Sequence[str]:
        """Labels that count from another number than the network are no worse network."""
        if not self.labelled:
            return ()
        right = self._right[0, 0]
        most = max(self._beside, key=self._beside.__getitem__)
        if (
            wilson(self._beside[most] / self.labelled, self.labelled)[0]
            <= wilson(right / self.labelled, self.labelled)[1]
        ):
            return ()
        return (
            f"The unsplit network answers the labelled class {COUNTED_FROM[most]} for {self._beside[most]} of "
            f"{self.labelled} samples, and the labelled one for {right}: look at what data.labels count from.",
        )

    def _details(self) -> Document:
        """``printed`` is Chen et al. 2019, eq. 2, to the letter: it divides by the number of classes too."""
        changed = self._changed + self._broken_samples
        return {
            "changed_top1": changed,
            "largest_probability_change": self._moved,
            "fidelity_printed": 1 - changed / (self.samples * self._classes) if self._classes else None,
        }


class LabelComparison(_ScoreComparison):
    """Independent labels, or yes and no.

    Args:
        task: The task's name.
        output: Output with the scores.
        joined: Scores of one sample -> probabilities ``[L]``.
        threshold: Probability from which a label is set.
    """

    measure = "samples keep all decisions of the unsplit network"
    divergence_unit = "KL divergence of the label probabilities, nats"

    def __init__(self, task: str, output: str, joined: Callable[[Array], F64], threshold: float) -> None:
        super().__init__(task, output, joined, threshold)
        self._decisions = self._kept = 0
        self._exact = np.zeros(2, np.int64)
        self._pair = PairedDifference()
        self._hits = np.zeros((2, 3), np.int64)  # paths x (set rightly, set, labelled)

    def _compare(self, reference: Feeds, other: Feeds) -> SampleVerdict:
        p, q = self._both(reference, other)
        before, after = p >= self._threshold, q >= self._threshold
        self._decisions += p.size
        self._kept += int(np.count_nonzero(before == after))
        moved = float(np.max(np.abs(p - q)))
        return self._count(bool((before == after).all()), moved, float(bernoulli_kl(p, q).sum()))

    def _judge(self, reference: Feeds | None, other: Feeds | None, truth: Truth) -> None:
        if isinstance(truth, bool) or not isinstance(truth, int | frozenset):
            raise wrong_label(self.task, truth, "class indices")
        is_exact = [False, False]
        for side, outputs in enumerate((reference, other)):
            if outputs is None:
                self._hits[side, 2] += 1
                continue
            is_set = self._joined(np.asarray(outputs[self._output])) >= self._threshold
            wanted = _wanted(truth, is_set.size)
            is_exact[side] = bool((is_set == wanted).all())
            self._hits[side] += (is_set & wanted).sum(), is_set.sum(), wanted.sum()
        self._exact += is_exact
        self._pair.add(*is_exact)

    def _accuracy(self) -> Sequence[TaskAccuracy]:
        exact = self._exact / self.labelled
        f1 = 2 * self._hits[:, 0] / np.maximum(self._hits[:, 1] + self._hits[:, 2], 1)
        return [
            TaskAccuracy(
                name=name, reference=float(pair[0]), other=float(pair[1]), labelled=self.labelled, drop_error=error
            )
            for name, pair, error in (("top1", exact, self._pair.error), ("label_f1", f1, None))
        ]

    def _details(self) -> Document:
        return {
            "changed_samples": self._changed + self._broken_samples,
            "decisions_kept": self._kept / self._decisions if self._decisions else None,
            "largest_probability_change": self._moved,
            "threshold": self._threshold,
        }

    def _remarks(self) -> Sequence[str]:
        return (f"The largest change of a probability is {self._moved:.2f}.",)


def _ranks(scores: F64, truth: int) -> int:
    """How many classes are placed before the labelled one; of equal scores the first counts as first."""
    if not 0 <= truth < scores.size:
        raise UsageError(f"labels: class {truth} is not one of the network's {scores.size}; they count from 0.")
    before = np.count_nonzero(scores > scores[truth]) + np.count_nonzero(scores[:truth] == scores[truth])
    return int(before)


def _wanted(truth: int | frozenset[int], count: int) -> Array:
    """Labels that should be set; of a single answer the class 1 is yes and 0 is no."""
    if count == 1 and truth in (0, 1):
        return np.array([bool(truth)])
    indices = sorted(truth) if isinstance(truth, frozenset) else [truth]
    if count == 1 and indices in ([], [0], [1]):
        return np.array([indices == [1]])
    wrong = [index for index in indices if not 0 <= index < count]
    if wrong:
        raise UsageError(f"labels: class {wrong[0]} is not one of the network's {count} labels; they count from 0.")
    wanted = np.zeros(count, bool)
    wanted[indices] = True
    return wanted
