"""How the boxes of two paths compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitc.errors import UsageError
from splitc.tasks.agreement import TaskAccuracy
from splitc.tasks.answer import Document
from splitc.tasks.boxes import Boxes
from splitc.tasks.comparison import RunningComparison, SampleVerdict, interval_text, wrong_label
from splitc.tasks.divergences import LEAST_SCORE, bernoulli_kl
from splitc.tasks.geometry import match, paired_overlaps
from splitc.tasks.heads.head import Decoded
from splitc.tasks.intervals import Share
from splitc.tasks.mean_average_precision import MeanAveragePrecision, drop_errors
from splitc.tasks.truth import WHOLE_PICTURE, TrueBoxes, Truth
from splitc.types import F64, Feeds

SAME_BOX = 0.5
"""Overlap from which two boxes of a class are the same object."""
SEEN_SCORE = 0.1
"""Score from which a place of a dense head has a box whose error counts: thousands that show nothing would drown it."""
MISSED_SCORE = 0.001
"""Score of an object that a list lacks; evaluators look at no smaller ones."""


@dataclass(frozen=True, eq=False)
class BoxReader:
    """What a detector makes of outputs.

    Attributes:
        decode: Outputs -> everything that the head says.
        found: Outputs and a least score -> boxes after suppression.
        distance: Outputs of the unsplit network, and of another path -> KL divergence and box error.
        is_dense: Whether rows of both paths mean the same places.
    """

    decode: Callable[[Feeds], Decoded]
    found: Callable[[Feeds, float], Boxes]
    distance: Callable[[Feeds, Feeds], tuple[float, float]]
    is_dense: bool


class BoxComparison(RunningComparison):
    """Boxes against the unsplit network's.

    Args:
        reads: Outputs that are read.
        score: Least score of a box that is an answer.
        reader: Reads them.
        most: Most boxes of a sample, as the headline says where more were found.
    """

    measure = "boxes are the unsplit network's"
    divergence_unit = "KL divergence of the box scores plus box error, nats a sample"
    divergence_gate = "max_kl"
    drop_gates: ClassVar[Mapping[str, str]] = {"map50_95": "max_map_drop"}

    def __init__(self, reads: Sequence[str], score: float, reader: BoxReader, most: int) -> None:
        super().__init__("detection", reads)
        self._score, self._reader, self._most = score, reader, most
        self._counts = np.zeros(3, np.int64)  # matched, of the reference, of the other
        self._empty = {"both": 0, "reference_only": 0, "other_only": 0}
        self._rc9 = np.zeros(2)  # printed, absolute
        self._parts = np.zeros(2)  # KL, box error
        self._left_out = np.zeros(2, np.int64)  # boxes of the reference, of the other
        self._crowded = 0
        self._drift_px = [0.0, 0]
        self._precision: tuple[MeanAveragePrecision, MeanAveragePrecision] | None = None

    def _compare(self, reference: Feeds, other: Feeds) -> SampleVerdict:
        before, after = (self._reader.found(outputs, self._score) for outputs in (reference, other))
        matched = _matched(before, after)
        self._count(len(before), len(after), matched)
        self._left_out += before.left_out, after.left_out
        self._crowded += before.left_out > 0 or after.left_out > 0
        self._rc9 += rc9(before, after)
        parts = self._reader.distance(reference, other)
        self._parts += parts
        if self._reader.is_dense:
            self._add_drift(self._reader.decode(reference), self._reader.decode(other))
        return SampleVerdict(2.0 * matched, len(before) + len(after), sum(parts))

    def _count(self, before: int, after: int, matched: int) -> None:
        self._counts += matched, before, after
        self._empty["both"] += before == after == 0
        self._empty["reference_only"] += before == 0 < after
        self._empty["other_only"] += after == 0 < before

    def _lost(self, reference: Feeds | None, other: Feeds | None) -> SampleVerdict:
        """All boxes of the sound side are lost; at least one, so that the sample counts."""
        before, after = (
            0 if outputs is None else len(self._reader.found(outputs, self._score)) for outputs in (reference, other)
        )
        self._counts += 0, before, after
        return SampleVerdict(0.0, float(max(before + after, 1)), math.inf)

    def _add_drift(self, first: Decoded, second: Decoded) -> None:
        """Box edges that moved, where the unsplit network sees something."""
        seen = first.best >= self._score
        moved = np.abs(first.boxes[seen] - second.boxes[seen])
        self._drift_px = [self._drift_px[0] + float(moved.sum()), self._drift_px[1] + moved.size]

    def _judge(self, reference: Feeds | None, other: Feeds | None, truth: Truth) -> None:
        if not isinstance(truth, TrueBoxes):
            raise wrong_label(self.task, truth, "boxes")
        if truth.area == WHOLE_PICTURE:
            raise UsageError(
                "labels of objects are in shares of their picture, and nothing says where it lies in the network's "
                "input; give pictures as samples, not arrays, or no labels."
            )
        if self._precision is None:
            self._precision = MeanAveragePrecision(), MeanAveragePrecision()
        for precision, outputs in zip(self._precision, (reference, other), strict=True):
            found = None if outputs is None else self._reader.found(outputs, MISSED_SCORE)
            precision.add(found, truth)

    def _accuracy(self) -> Sequence[TaskAccuracy]:
        assert self._precision is not None
        reference, other = (precision.result() for precision in self._precision)
        errors = drop_errors(*self._precision)
        return [
            TaskAccuracy(
                name=name,
                reference=reference[name],
                other=other[name],
                labelled=self.labelled,
                drop_error=errors[name] if errors else None,
            )
            for name in reference
        ]

    def _details(self) -> Document:
        matched, before, after = (int(one) for one in self._counts)
        compared = max(self.samples - self._broken_samples, 1)
        printed, absolute = self._rc9 / self.samples
        edges, count = self._drift_px
        return {
            "f1": self._share.share().value,
            "precision": matched / after if after else None,
            "recall": matched / before if before else None,
            "boxes_reference": before,
            "boxes_other": after,
            "boxes_left": after / before if before else None,
            "boxes_left_out_reference": int(self._left_out[0]),
            "boxes_left_out_other": int(self._left_out[1]),
            "score_threshold": self._score,
            "empty_samples": {**self._empty},
            "fidelity_printed": float(printed),
            "fidelity_absolute": float(absolute),
            "score_kl": float(self._parts[0]) / compared,
            "box_error": float(self._parts[1]) / compared,
            "box_drift_px": edges / count if count else None,
        }

    def _headline(self, share: Share, divergence: float) -> str:
        _, before, after = (int(one) for one in self._counts)
        if not before and not after and not self._broken_samples:
            return (
                f"No boxes with a score of {self._score:g} or more on either path, {self._on_samples}: whether boxes "
                "agree was not measured, and the fidelity is given as 0."
            )
        return (
            f"F1 of the boxes against the unsplit network's (score from {self._score:g}, overlap from {SAME_BOX:g}, "
            f"same class) is {share.value:.3f} ({interval_text(share)}), {self._on_samples}; "
            f"{after} boxes where the unsplit network has {before}; mean {self.divergence_unit}: {divergence:.4g}."
        )

    def _remarks(self) -> Sequence[str]:
        """Empty pictures agree on nothing, and boxes that were left out are not compared, so both are said."""
        _, before, after = (int(one) for one in self._counts)
        texts = {
            "both": "neither path has boxes",
            "reference_only": "only the other path has boxes",
            "other_only": "only the unsplit network has boxes",
        }
        if not before and not after:
            return ()
        said = [f"In {count} of {self.samples} samples {texts[key]}." for key, count in self._empty.items() if count]
        if self._crowded:
            said.append(
                f"In {self._crowded} of {self.samples} samples a path has more than {self._most} boxes, of which the "
                f"least sure were left out ({self._left_out.sum()} boxes): raise data.detection.most, or score."
            )
        return said


def box_divergence(reference: Decoded, other: Decoded, *, is_dense: bool) -> tuple[float, float]:
    """KL divergence of the scores, nats, and box error of one sample.

    Args:
        reference: Of the unsplit network.
        other: Of the other path.
        is_dense: Rows mean the same places. Else objects are matched by class and overlap, and those without a partner
            are compared with a score of 0.001.

    Raises:
        UsageError: Dense heads of unequal sizes.
    """
    if is_dense:
        if reference.scores.shape != other.scores.shape:
            raise UsageError(
                f"task 'detection': the unsplit network scores {list(reference.scores.shape)} boxes and classes, the "
                f"other path {list(other.scores.shape)}; such answers cannot be compared."
            )
        seen = reference.best >= SEEN_SCORE
        moved = 1 - paired_overlaps(reference.boxes[seen], other.boxes[seen])
        divergence = bernoulli_kl(reference.scores, other.scores, LEAST_SCORE)
        return float(divergence.sum()), float((reference.best[seen] * moved).sum())
    first, second = _listed(reference), _listed(other)
    partners, shared = match(first.xyxy, first.classes, second.xyxy, second.classes, SAME_BOX)
    with_partner = partners >= 0
    wanted = np.where(with_partner, second.scores[np.maximum(partners, 0)] if len(second) else 0.0, MISSED_SCORE)
    missing = np.delete(second.scores, partners[with_partner])
    divergence = bernoulli_kl(first.scores, wanted, LEAST_SCORE).sum()
    divergence += bernoulli_kl(np.full_like(missing, MISSED_SCORE), missing, LEAST_SCORE).sum()
    return float(divergence), float((first.scores * (1 - shared)).sum())


def rc9(reference: Boxes, other: Boxes) -> F64:
    """Fidelity of one sample as Chen et al. 2019 have it (eq. 4), printed and with the absolute change, ``[2]``.

    ``sum_j IoU_j * max(0, 1 - (Cp_j - Cr_j) / Cp_j) * Cp_j / sum_j Cp_j`` over the unsplit network's boxes, each
    matched with the box of its class that it overlaps most; without one it scores 0. Printed, a score that rises counts
    above 1; with ``|Cp_j - Cr_j|`` it does not. Without boxes on both sides it is 1, on one side 0.
    """
    if not len(reference) or not len(other):
        return np.full(2, float(len(reference) == len(other)))
    partners, shared = match(reference.xyxy, reference.classes, other.xyxy, other.classes, 1e-9)
    scores = np.where(partners >= 0, other.scores[np.maximum(partners, 0)], 0.0)
    return rc9_of_pairs(reference.scores, scores, shared)


def rc9_of_pairs(pristine: F64, reconstructed: F64, shared: F64) -> F64:
    """:func:`rc9` of boxes that are matched already: scores ``[K]``, scores ``[K]`` and overlaps ``[K]`` -> ``[2]``."""
    change = (pristine - reconstructed) / pristine
    kept = np.maximum(0, 1 - np.stack([change, np.abs(change)]))
    return np.asarray((shared * kept * pristine).sum(1) / pristine.sum())


def _matched(before: Boxes, after: Boxes) -> int:
    """Boxes that both have."""
    partners, _ = match(after.xyxy, after.classes, before.xyxy, before.classes, SAME_BOX)
    return int(np.count_nonzero(partners >= 0))


def _listed(decoded: Decoded) -> Boxes:
    """The objects of a head that lists them, by falling score."""
    assert decoded.classes is not None
    order = np.argsort(-decoded.scores, kind="stable")
    return Boxes(decoded.boxes[order], decoded.scores[order], decoded.classes[order])
