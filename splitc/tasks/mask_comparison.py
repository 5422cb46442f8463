"""How two masks compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitc.errors import UsageError
from splitc.tasks.agreement import TaskAccuracy
from splitc.tasks.answer import Document
from splitc.tasks.comparison import RunningComparison, SampleVerdict, interval_text, wrong_label
from splitc.tasks.divergences import bernoulli_kl, kl
from splitc.tasks.geometry import Indices
from splitc.tasks.intervals import Share, percent
from splitc.tasks.truth import IGNORED, TrueMask, Truth
from splitc.types import F64, Feeds

MOST_CLASSES = 4096
"""Of a mask: its table of confusions has the square of this."""


@dataclass(frozen=True, eq=False)
class PixelScores:
    """One sample's pixels.

    Attributes:
        classes: Decided, int64 ``[H, W]``.
        scores: Log-probabilities ``[H, W, C]``, or probabilities ``[H, W, 1]`` where ``is_independent``; None where the
            network decided itself.
    """

    classes: Indices
    scores: F64 | None
    is_independent: bool


class MaskComparison(RunningComparison):
    """Masks against the unsplit network's, and both against labels.

    Args:
        task: The task's name.
        output: Output with the mask.
        read: Outputs -> pixels of one sample.
        is_decided: The network gives classes and no scores, so that no KL divergence exists.
    """

    measure = "mIoU with the unsplit network's mask"
    divergence_unit = "KL divergence of a pixel's classes, nats"
    divergence_gate = "max_kl"
    drop_gates: ClassVar[Mapping[str, str]] = {"miou": "max_miou_drop"}

    def __init__(
        self, task: str, output: str, read: Callable[[Feeds], PixelScores], *, is_decided: bool = False
    ) -> None:
        super().__init__(task, [output])
        if is_decided:
            self.divergence_unit, self.divergence_gate = "share of changed pixels", "max_divergence"
        self._output, self._read = output, read
        self._pixels = self._equal = 0
        self._changed_samples = 0
        self._confusion = np.zeros((0, 0), np.int64)
        self._against_truth = [np.zeros((0, 0), np.int64), np.zeros((0, 0), np.int64)]

    def _compare(self, reference: Feeds, other: Feeds) -> SampleVerdict:
        first, second = self._read(reference), self._read(other)
        divergence = pixel_divergence(first, second, self._output)
        equal = int(np.count_nonzero(first.classes == second.classes))
        self._pixels, self._equal = self._pixels + first.classes.size, self._equal + equal
        self._changed_samples += equal < first.classes.size
        table = confusion(first.classes, second.classes)
        self._confusion = added(self._confusion, table)
        pixels = first.classes.size
        return SampleVerdict(mean_iou(table) * pixels, pixels, divergence)

    def _units(self, reference: Feeds | None, other: Feeds | None) -> float:
        sound = reference if reference is not None else other
        return 1.0 if sound is None else float(self._read(sound).classes.size)

    def _judge(self, reference: Feeds | None, other: Feeds | None, truth: Truth) -> None:
        if not isinstance(truth, TrueMask):
            raise wrong_label(self.task, truth, "masks")
        for side, outputs in enumerate((reference, other)):
            found = None if outputs is None else self._read(outputs).classes
            shape = truth.classes.shape if found is None else found.shape
            wanted = truth.resized(*shape).classes.ravel()
            judged = wanted != IGNORED
            # a mask with NaN is of no class: one beyond all others, which no label has
            got = np.full(wanted.size, wanted[judged].max(initial=0) + 1) if found is None else found.ravel()
            self._against_truth[side] = added(self._against_truth[side], confusion(wanted[judged], got[judged]))

    def _accuracy(self) -> Sequence[TaskAccuracy]:
        measures = [(mean_iou(table, labelled_only=True), pixel_accuracy(table)) for table in self._against_truth]
        return [
            TaskAccuracy(name=name, reference=reference, other=other, labelled=self.labelled)
            for name, reference, other in zip(("miou", "pixel_accuracy"), *measures, strict=True)
        ]

    def _details(self) -> Document:
        return {
            "pixels_equal": self._equal / self._pixels if self._pixels else None,
            "samples_changed": self._changed_samples + self._broken_samples,
            "miou_of_all_pixels": mean_iou(self._confusion),
        }

    def _headline(self, share: Share, divergence: float) -> str:
        equal = self._equal / self._pixels if self._pixels else 0.0
        changed = self._changed_samples + self._broken_samples
        return (
            f"The {self.measure} is {share.value:.3f} ({interval_text(share)}), {self._on_samples}; "
            f"{percent(1 - equal)} of the pixels changed their class, in {changed} of the samples; "
            f"mean {self.divergence_unit}: {divergence:.4g}."
        )


def pixel_divergence(reference: PixelScores, other: PixelScores, output: str) -> float:
    """Mean KL divergence of a pixel, nats; where the network decides itself, the share of changed pixels.

    Raises:
        UsageError: Masks of unequal sizes.
    """
    if reference.classes.shape != other.classes.shape:
        raise UsageError(
            f"output {output!r}: masks of {list(reference.classes.shape)} and {list(other.classes.shape)} pixels "
            "cannot be compared; look at the other path's graph."
        )
    if reference.scores is None or other.scores is None:
        return float(np.mean(reference.classes != other.classes))
    if reference.is_independent:
        return float(bernoulli_kl(reference.scores, other.scores).mean())
    return float(kl(reference.scores, other.scores).mean())


def confusion(reference: Indices, other: Indices) -> Indices:
    """Pixels by the class of both, int64 ``[C, C]``.

    Raises:
        UsageError: A class below 0 or too large.
    """
    first, second = reference.ravel(), other.ravel()
    count = int(max(first.max(initial=0), second.max(initial=0))) + 1
    if count > MOST_CLASSES or min(first.min(initial=0), second.min(initial=0)) < 0:
        raise UsageError(f"task 'segmentation': classes of pixels are 0 to {MOST_CLASSES - 1}.")
    return np.bincount(first * count + second, minlength=count * count).reshape(count, count).astype(np.int64)


def added(one: Indices, other: Indices) -> Indices:
    """Sum of two tables; the smaller one is padded with zeros."""
    count = max(len(one), len(other))
    total = np.zeros((count, count), np.int64)
    total[: len(one), : len(one)] += one
    total[: len(other), : len(other)] += other
    return total


def mean_iou(table: Indices, *, labelled_only: bool = False) -> float:
    """Mean over the classes that occur of intersection by union; 0 where there are no pixels.

    Args:
        table: Confusions, the reference's or the labels' class first.
        labelled_only: Only classes that the first of both has.
    """
    shared, first, second = np.diag(table), table.sum(1), table.sum(0)
    union = first + second - shared
    occurs = first > 0 if labelled_only else union > 0
    return float(np.mean(shared[occurs] / union[occurs])) if occurs.any() else 0.0


def pixel_accuracy(table: Indices) -> float:
    """Share of pixels of which both say the same."""
    return float(np.trace(table) / max(int(table.sum()), 1))
