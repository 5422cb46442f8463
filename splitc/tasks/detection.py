"""Detection: boxes with classes and scores."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from splitc.tasks.agreement import TaskAgreement
from splitc.tasks.boxes import Boxes
from splitc.tasks.comparison import RunningComparison, finite_output, is_finite, output_of
from splitc.tasks.detection_comparison import BoxComparison, BoxReader, box_divergence
from splitc.tasks.geometry import suppress
from splitc.tasks.heads.head import Decoded, DetectionHead, HeadRequest
from splitc.tasks.heads.options import HeadOptions
from splitc.tasks.heads.recognise import bind_head
from splitc.tasks.labels.objects import read_object_labels
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.placement import Placement
from splitc.tasks.readings import KeptOutputs, reading
from splitc.tasks.task import BindRequest, BoundTask
from splitc.tasks.truth import TrueBoxes, Truth, class_fault
from splitc.types import Feeds

INT8_FIDELITY = 0.95
"""F1 that INT8 keeps where no gate says otherwise; settings that reached it lost less than a point of mAP50-95."""
ROUNDING = 1e-9
MOST_EXAMPLES = 16
"""Examples that decide what shapes leave open; more are not looked at."""
MOST_CANDIDATES = 4000
"""Scores that enter suppression, the best ones."""


class Detection(HeadOptions):
    """The network's answer is boxes.

    Fidelity is F1 of the boxes from ``score`` on against those of the unsplit network: same class, overlap of at least
    0.5, each box once, by falling score. The smooth distance is the mean over samples of the KL divergence of all box
    scores (yes or no, before suppression where the head is dense) plus the box error, ``score * (1 - overlap)`` summed
    over the unsplit network's boxes of a score of at least 0.1.
    """

    name: ClassVar[str] = "detection"
    gates: ClassVar[tuple[str, ...]] = ("min_fidelity", "max_kl", "max_map_drop")

    score: float = Field(0.25, gt=0, lt=1, description="least score of a box that is an answer")
    iou: float | None = Field(
        None, gt=0, le=1, description="overlap from which a box suppresses others of its class; the head's usual one"
    )
    most: int = Field(
        300,
        ge=1,
        le=10000,
        description="most boxes of a picture, the surest ones; what is left out is counted and said",
    )

    def bind(self, network: BindRequest) -> BoundTask:
        return _bound(self, bind_head(HeadRequest(network, self)), network.classes)


@dataclass(frozen=True, eq=False)
class BoundDetection(BoundTask):
    """A detector.

    Attributes:
        options: The task's options, as far as they are known.
        head: Turns outputs into boxes.
    """

    options: Detection
    head: DetectionHead

    @property
    def is_settled(self) -> bool:
        return self.head.is_settled

    @property
    def has_open_sizes(self) -> bool:
        return True

    def settle(self, examples: Iterable[Feeds]) -> BoundTask:
        """Decide by real outputs; a head whose shapes told everything only checks that they are what it reads."""
        return _bound(self.options, self.head.settle(list(itertools.islice(examples, MOST_EXAMPLES))), self.classes)

    def answer(self, outputs: Feeds) -> Boxes:
        for name in self.reads:
            finite_output(outputs, name, self.task.name)
        return self.found(outputs, self.options.score)

    def comparison(self) -> RunningComparison:
        reader = BoxReader(self._decode, self.found, self._distance, self.head.is_dense)
        return BoxComparison(self.reads, self.options.score, reader, self.options.most)

    def divergence(self, reference: Feeds, other: Feeds) -> float:
        return sum(self.divergence_parts(reference, other))

    def divergence_parts(self, reference: Feeds, other: Feeds) -> tuple[float, ...]:
        """KL divergence of the scores, and box error."""
        both = [output_of(outputs, name, self.task.name) for outputs in (reference, other) for name in self.reads]
        if not all(is_finite(one) for one in both):
            return float("inf"), float("inf")
        return self._distance(reference, other)

    def _distance(self, reference: Feeds, other: Feeds) -> tuple[float, float]:
        """KL divergence and box error of one sample's finite outputs."""

        def measured() -> tuple[float, float]:
            return box_divergence(self._decode(reference), self._decode(other), is_dense=self.head.is_dense)

        is_kept = isinstance(reference, KeptOutputs)
        return reading(other, (self.head, reference), measured) if is_kept else measured()

    def pull(self, outputs: Feeds, rng: np.random.Generator) -> Feeds | None:
        """Of the scores; boxes, whose error has no slope where it is zero, follow them."""
        return self.head.pull(outputs, rng)

    @property
    def has_many_answers(self) -> bool:
        return True

    @property
    def int8_fidelity(self) -> float:
        return INT8_FIDELITY

    def holds(self, verdict: TaskAgreement, least: float) -> bool:
        """F1, and about as many boxes: losing some and finding others must not even out."""
        left = verdict.details["boxes_left"]
        is_balanced = left is None or (isinstance(left, float) and abs(left - 1) <= 1 - least + ROUNDING)
        return is_balanced and super().holds(verdict, least)

    def labels(self, path: Path) -> LabelTable:
        return read_object_labels(path, self.classes)

    def place(self, truth: Truth, placement: Placement) -> Truth:
        return truth.in_input(placement) if isinstance(truth, TrueBoxes) else truth

    def label_fault(self, truth: Truth, reference: Feeds) -> str:
        """Heads that list objects do not say how many classes there are; names of classes do."""
        decoded = self._decode(reference)
        count = decoded.scores.shape[1] if decoded.classes is None else len(self.classes or ())
        return class_fault(truth.classes.tolist(), count) if isinstance(truth, TrueBoxes) and count else ""

    def found(self, outputs: Feeds, score: float) -> Boxes:
        """Boxes of at least ``score`` in one sample's outputs; in input pixels."""
        return reading(outputs, (self.head, score), lambda: self.boxes(self._decode(outputs), score))

    def boxes(self, decoded: Decoded, score: float) -> Boxes:
        """Boxes of at least ``score`` after suppression, by falling score; in input pixels."""
        if decoded.classes is None:
            rows, classes = np.nonzero(decoded.scores >= score)
            scores = decoded.scores[rows, classes]
        else:
            rows = np.flatnonzero(decoded.scores >= score)
            scores, classes = decoded.scores[rows], decoded.classes[rows]
        order = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
        found = Boxes(decoded.boxes[rows[order]], scores[order], classes[order].astype(np.int64), self.classes)
        if not self.head.needs_suppression:
            return found.best(self.options.most)
        assert self.options.iou is not None
        rows = suppress(found.xyxy, found.scores, found.classes, self.options.iou, len(found))
        return found.pick(rows).best(self.options.most)

    def _decode(self, outputs: Feeds) -> Decoded:
        assert self.is_settled, "settle the task with outputs of the network first"
        return reading(outputs, self.head, lambda: self.head.decode(outputs))


def _bound(options: Detection, head: DetectionHead, classes: Sequence[str] | None) -> BoundDetection:
    """Options with what the head recognised spelled out."""
    assert isinstance(head.options, Detection)
    known = head.options.model_copy(update={"iou": options.iou or head.iou})
    return BoundDetection(
        task=known,
        notes=head.notes,
        reads=head.reads,
        classes=classes,
        options=known,
        head=replace(head, options=known),
    )
