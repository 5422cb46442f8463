"""Mean average precision by pycocotools, sample by sample.

pycocotools is COCO's own evaluator, and the figures that detectors are published with are its. It wants all boxes at
once, as dictionaries; here each sample is matched when it comes, and only scores and matches are kept for the
precision-recall curves: 20 bytes a box. The package is imported when the first labelled sample comes.
"""

from __future__ import annotations

import contextlib
import copy
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any

import numpy as np

from splitc.errors import CapabilityError
from splitc.tasks.boxes import Boxes
from splitc.tasks.truth import TrueBoxes
from splitc.types import F64, Array

ANY_AREA = [0.0, 1e10]
GROUPS = 20
"""Groups of samples that are left out one after the other, for a standard error."""
MOST_BOXES = 100
"""Boxes of a class and a picture that count, the best ones, as COCO has it."""


@dataclass(frozen=True, eq=False)
class MatchedBoxes:
    """Boxes of one sample or of many, class by class: what precision-recall curves are made of.

    Attributes:
        classes: Of the boxes, int64 ``[K]``.
        scores: Of the boxes, float64 ``[K]``.
        found: Bit ``i``: the box has an object at COCO's overlap ``i``; uint16 ``[K]``.
        ignored: Bit ``i``: it counts neither way there; uint16 ``[K]``.
        labels: Class of every object that counts, int64 ``[L]``.
    """

    classes: Array
    scores: Array
    found: Array
    ignored: Array
    labels: Array


class MeanAveragePrecision:
    """COCO's mAP over samples.

    Raises:
        CapabilityError: pycocotools is not installed.
    """

    def __init__(self) -> None:
        self._coco, self._evaluator = require_pycocotools()
        self._samples: list[MatchedBoxes] = []

    def add(self, found: Boxes | None, truth: TrueBoxes) -> None:
        """Match one sample.

        Args:
            found: Boxes down to very low scores, in input pixels; None where there is no answer.
            truth: The labels, in input pixels.
        """
        x1, y1, x2, y2 = truth.area
        clipped = np.zeros((0, 4)) if found is None else np.clip(found.xyxy, [x1, y1, x1, y1], [x2, y2, x2, y2])
        scores = np.zeros(0) if found is None else found.scores
        classes = np.zeros(0, np.int64) if found is None else found.classes
        known = np.unique(np.concatenate([truth.classes, classes]))
        matched = self._matched(_annotations(truth), _detections(clipped, scores, classes), known)
        self._samples.append(_packed(matched, truth.classes[~truth.ignored]))

    def result(self) -> dict[str, float]:
        """``map50_95`` and ``map50``, 0 to 1, over the classes that have labels; 0 where there are none."""
        together = joined(self._samples)
        labelled = np.unique(together.labels)
        if not labelled.size:
            return {"map50_95": 0.0, "map50": 0.0}
        evaluator = self._evaluator.COCOeval(iouType="bbox")
        _set_parameters(evaluator, labelled.tolist(), max(len(together.scores), 1))
        evaluator.evalImgs = [_as_one_picture(together, index) for index in labelled]
        evaluator._paramsEval = copy.deepcopy(evaluator.params)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluator.accumulate()
        precision = evaluator.eval["precision"][:, :, :, 0, 0]  # overlaps x recalls x classes
        return {"map50_95": float(precision.mean()), "map50": float(precision[0].mean())}

    def without(self, group: int, groups: int) -> F64:
        """mAP50-95 and mAP50, ``[2]``, of the samples that do not belong to a group, each ``groups``-th one."""
        return average_precisions(joined([one for at, one in enumerate(self._samples) if at % groups != group]))

    def __len__(self) -> int:
        return len(self._samples)

    def _matched(
        self, annotations: list[dict[str, Any]], detections: list[dict[str, Any]], known: Array
    ) -> list[dict[str, Any]]:
        """What pycocotools' evaluator says of one sample, class by class; it prints what it does, which is dropped."""
        categories = [{"id": int(index)} for index in known]
        truth, found = self._coco.COCO(), self._coco.COCO()
        with contextlib.redirect_stdout(io.StringIO()):
            for one, entries in ((truth, annotations), (found, detections)):
                one.dataset = {"images": [{"id": 0}], "categories": categories, "annotations": entries}
                one.createIndex()
            evaluator = self._evaluator.COCOeval(truth, found, "bbox")
            _set_parameters(evaluator, known.tolist(), MOST_BOXES)
            evaluator.evaluate()
        return [one for one in evaluator.evalImgs if one is not None]


def drop_errors(reference: MeanAveragePrecision, other: MeanAveragePrecision) -> dict[str, float] | None:
    """Standard errors of what the measures of ``other`` lose on the same samples, by the grouped jackknife.

    Returns:
        ``map50_95`` and ``map50``; None below two samples.

    Source: Quenouille 1956, Tukey 1958; groups: Shao & Tu, *The Jackknife and Bootstrap* (1995).
    """
    groups = min(len(reference), GROUPS)
    if groups < 2:
        return None
    drops = np.stack([reference.without(one, groups) - other.without(one, groups) for one in range(groups)])
    errors = np.sqrt((groups - 1) / groups * np.square(drops - drops.mean(0)).sum(0))
    return {"map50_95": float(errors[0]), "map50": float(errors[1])}


def joined(samples: Sequence[MatchedBoxes]) -> MatchedBoxes:
    """Boxes of all samples, one after the other."""
    parts = (field.name for field in fields(MatchedBoxes))
    columns = ([getattr(sample, part) for sample in samples] for part in parts)
    return MatchedBoxes(*(np.concatenate(column) if column else np.zeros(0, np.int64) for column in columns))


def average_precisions(boxes: MatchedBoxes) -> F64:
    """mAP50-95 and mAP50, ``[2]``, as pycocotools makes them of the same matches, many times faster."""
    curves = [_class_precision(boxes, index) for index in np.unique(boxes.labels)]
    by_overlap = np.mean(curves, axis=0) if curves else np.zeros(10)
    return np.array([by_overlap.mean(), by_overlap[0]])


def _class_precision(boxes: MatchedBoxes, index: int) -> F64:
    """Mean precision at 101 recalls, one an overlap, ``[10]``."""
    rows = np.flatnonzero(boxes.classes == index)
    rows = rows[np.argsort(-boxes.scores[rows], kind="stable")]
    overlaps = np.arange(10, dtype=np.uint16)
    is_found, is_ignored = ((bits[rows][:, None] >> overlaps) & 1 == 1 for bits in (boxes.found, boxes.ignored))
    hits, misses = np.cumsum(is_found & ~is_ignored, 0), np.cumsum(~is_found & ~is_ignored, 0)
    recall = hits / np.count_nonzero(boxes.labels == index)
    precision = hits / np.maximum(hits + misses, np.spacing(1))
    precision = np.append(np.maximum.accumulate(precision[::-1])[::-1], np.zeros((1, 10)), 0)
    points = np.linspace(0, 1, 101)
    return np.array([precision[np.searchsorted(recall[:, at], points, "left"), at].mean() for at in range(10)])


def require_pycocotools() -> tuple[ModuleType, ModuleType]:
    """Its modules ``coco`` and ``cocoeval``.

    Raises:
        CapabilityError: Not installed.
    """
    try:
        from pycocotools import coco, cocoeval
    except ImportError as error:
        raise CapabilityError(
            "mAP against labels needs 'pycocotools': pip install 'splitc[detection]', or leave data.labels out."
        ) from error
    return coco, cocoeval


def ap_loss_db(before: float, after: float) -> float | None:
    """``10 log10((before - after) / before)``, dB; None where the average precision does not fall.

    Source: Iino et al., IFMDC, eq. 7.
    """
    return 10 * math.log10((before - after) / before) if after < before else None


def _annotations(truth: TrueBoxes) -> list[dict[str, Any]]:
    return [
        {**_entry(number, box, int(index)), "iscrowd": int(ignored)}
        for number, (box, index, ignored) in enumerate(
            zip(truth.xyxy, truth.classes, truth.ignored, strict=True), start=1
        )
    ]


def _detections(xyxy: F64, scores: F64, classes: Any) -> list[dict[str, Any]]:
    return [
        {**_entry(number, box, int(index)), "score": float(score)}
        for number, (box, score, index) in enumerate(zip(xyxy, scores, classes, strict=True), start=1)
    ]


def _entry(number: int, box: F64, index: int) -> dict[str, Any]:
    """Numbers begin at 1: pycocotools takes 0 for no match."""
    x1, y1, x2, y2 = (float(edge) for edge in box)
    size = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
    return {"id": number, "image_id": 0, "category_id": index, **size}


def _set_parameters(evaluator: Any, classes: list[int], most: int) -> None:
    evaluator.params.imgIds, evaluator.params.catIds = [0], classes
    evaluator.params.areaRng, evaluator.params.areaRngLbl = [ANY_AREA], ["all"]
    evaluator.params.maxDets = [most]


def _packed(matched: list[dict[str, Any]], labels: Array) -> MatchedBoxes:
    """The evaluator's entries of one sample in few bytes."""
    counts = [len(one["dtScores"]) for one in matched]
    classes = np.repeat(np.array([one["category_id"] for one in matched], np.int64), counts)
    scores = np.concatenate([np.zeros(0), *(np.asarray(one["dtScores"], np.float64) for one in matched)])
    found, ignored = (
        np.concatenate([np.zeros(0, np.uint16), *(_bits(np.asarray(one[part]) > 0) for one in matched)])
        for part in ("dtMatches", "dtIgnore")
    )
    return MatchedBoxes(classes, scores, found, ignored, labels)


def _bits(flags: Array) -> Array:
    """Flags of every overlap, bool ``[10, K]``, as one number a box, uint16 ``[K]``."""
    weights = 1 << np.arange(len(flags), dtype=np.uint16)
    return np.asarray((flags.T * weights).sum(1, dtype=np.uint16))


def _as_one_picture(boxes: MatchedBoxes, index: int) -> dict[str, Any]:
    """All boxes of a class as the evaluator's entry of a single picture: curves are made across pictures anyway."""
    rows = np.flatnonzero(boxes.classes == index)
    overlaps = np.arange(10, dtype=np.uint16)[:, None]
    return {
        "dtScores": boxes.scores[rows],
        "dtMatches": (boxes.found[rows] >> overlaps) & 1,
        "dtIgnore": ((boxes.ignored[rows] >> overlaps) & 1).astype(bool),
        "gtIgnore": np.zeros(np.count_nonzero(boxes.labels == index)),
    }
