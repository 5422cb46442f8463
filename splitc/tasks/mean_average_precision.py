"""Mean average precision by pycocotools, sample by sample.

pycocotools is COCO's own evaluator, and the figures that detectors are published with are its. It wants all boxes at
once, as dictionaries; here each sample is matched when it comes, and only scores and matches are kept for the
precision-recall curves: about 20 bytes a box. The package is imported when the first labelled sample comes.
"""

from __future__ import annotations

import contextlib
import copy
import io
import math
from types import ModuleType
from typing import Any

import numpy as np

from splitc.errors import CapabilityError
from splitc.tasks.boxes import Boxes
from splitc.tasks.truth import TrueBoxes
from splitc.types import F64

ANY_AREA = [0.0, 1e10]
MOST_BOXES = 100
"""Boxes of a class and a picture that count, the best ones, as COCO has it."""


class MeanAveragePrecision:
    """COCO's mAP over samples.

    Raises:
        CapabilityError: pycocotools is not installed.
    """

    def __init__(self) -> None:
        self._coco, self._evaluator = require_pycocotools()
        self._found: list[dict[int, dict[str, Any]]] = []
        self._labelled = 0

    def add(self, found: Boxes | None, truth: TrueBoxes) -> None:
        """Match one sample.

        Args:
            found: Boxes down to scores that nobody would show, in input pixels; None where there is no answer.
            truth: The labels, in input pixels.
        """
        x1, y1, x2, y2 = truth.area
        clipped = np.zeros((0, 4)) if found is None else np.clip(found.xyxy, [x1, y1, x1, y1], [x2, y2, x2, y2])
        scores = np.zeros(0) if found is None else found.scores
        classes = np.zeros(0, np.int64) if found is None else found.classes
        known = np.unique(np.concatenate([truth.classes, classes]))
        evaluator = self._matching(_annotations(truth), _detections(clipped, scores, classes), known)
        self._labelled += int(np.count_nonzero(~truth.ignored))
        self._found.append({one["category_id"]: _compact(one) for one in evaluator.evalImgs if one is not None})

    def result(self) -> dict[str, float]:
        """``map50_95`` and ``map50``, 0 to 1, over the classes that have labels; 0 where there are none."""
        classes = sorted({index for sample in self._found for index in sample})
        if not classes or not self._labelled:
            return {"map50_95": 0.0, "map50": 0.0}
        evaluator = self._evaluator.COCOeval(iouType="bbox")
        self._set_parameters(evaluator, list(range(len(self._found))), classes)
        evaluator.evalImgs = [sample.get(index) for index in classes for sample in self._found]
        evaluator._paramsEval = copy.deepcopy(evaluator.params)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluator.accumulate()
        precision = evaluator.eval["precision"][:, :, :, 0, 0]  # overlaps x recalls x classes; -1: no labels
        return {"map50_95": _mean(precision), "map50": _mean(precision[:1])}

    def _matching(self, annotations: list[dict[str, Any]], detections: list[dict[str, Any]], known: F64) -> Any:
        """pycocotools' evaluator after it has matched one sample; it prints what it does, which is dropped."""
        categories = [{"id": int(index)} for index in known]
        truth, found = self._coco.COCO(), self._coco.COCO()
        with contextlib.redirect_stdout(io.StringIO()):
            for one, entries in ((truth, annotations), (found, detections)):
                one.dataset = {"images": [{"id": 0}], "categories": categories, "annotations": entries}
                one.createIndex()
            evaluator = self._evaluator.COCOeval(truth, found, "bbox")
            self._set_parameters(evaluator, [0], [int(index) for index in known])
            evaluator.evaluate()
        return evaluator

    def _set_parameters(self, evaluator: Any, samples: list[int], classes: list[int]) -> None:
        evaluator.params.imgIds, evaluator.params.catIds = samples, classes
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [ANY_AREA], ["all"]
        evaluator.params.maxDets = [MOST_BOXES]


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


def _compact(one: dict[str, Any]) -> dict[str, Any]:
    """What the curves need: scores, and which boxes are matched or ignored at which overlap."""
    return {
        "dtScores": np.asarray(one["dtScores"]),
        "dtMatches": np.asarray(one["dtMatches"]) > 0,
        "dtIgnore": np.asarray(one["dtIgnore"], bool),
        "gtIgnore": np.asarray(one["gtIgnore"]),
    }


def _mean(precision: F64) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else 0.0
