"""Boxes as corners x1, y1, x2, y2: overlaps, suppression, matching. Pure functions over float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from splitc.types import F64, Array

Indices = npt.NDArray[np.int64]


def corners_of_centers(boxes: Array) -> F64:
    """``[..., 4]``: centre x, centre y, width, height -> corners."""
    x, y, w, h = np.moveaxis(np.asarray(boxes, np.float64), -1, 0)
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1)


def overlaps(one: F64, other: F64) -> F64:
    """Intersection over union of every pair, ``[K, 4]`` and ``[M, 4]`` -> ``[K, M]``; 0 where a box has no area."""
    return _overlap(one[:, None], other[None])


def paired_overlaps(one: F64, other: F64) -> F64:
    """Intersection over union of boxes that stand beside each other, ``[..., 4]`` -> ``[...]``.

    It is 1 where both are the same box, even without area.
    """
    return np.where((one == other).all(-1), 1.0, _overlap(one, other))


def suppress(boxes: F64, scores: F64, classes: Indices, iou: float, most: int) -> Indices:
    """Greedy non-maximum suppression, class by class.

    The same as ONNX's ``NonMaxSuppression``: a box goes when a box of its class with a higher score stays and overlaps
    it by more than ``iou``; of equal scores the first stays.

    Args:
        boxes: ``[K, 4]``.
        scores: ``[K]``.
        classes: ``[K]``.
        iou: Overlap up to which two boxes stay, 0 to 1.
        most: How many boxes stay, the best ones of all classes.

    Returns:
        Indices of the boxes that stay, by falling score.
    """
    kept = [_suppress_class(boxes, scores, np.flatnonzero(classes == one), iou) for one in np.unique(classes)]
    together = np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.int64)
    return np.asarray(together[np.argsort(-scores[together], kind="stable")][:most], np.int64)


def match(one: F64, one_classes: Indices, other: F64, other_classes: Indices, least: float) -> tuple[Indices, F64]:
    """Partners among ``other``: each box of ``one``, in order, takes the free one of its class that it overlaps most.

    Args:
        one, one_classes: ``[K, 4]`` and ``[K]``, by falling score.
        other, other_classes: ``[M, 4]`` and ``[M]``.
        least: Overlap that a partner needs.

    Returns:
        Index of each partner ``[K]``, -1 without one, and the overlaps, 0 without one.
    """
    partners, found = np.full(len(one), -1, np.int64), np.zeros(len(one))
    shared = paired_overlaps(one[:, None], other[None])
    allowed = np.where(one_classes[:, None] == other_classes[None], shared, -1.0)
    for row in range(len(one) if len(other) else 0):
        best = int(allowed[row].argmax())
        if allowed[row, best] >= least:
            partners[row], found[row] = best, allowed[row, best]
            allowed[:, best] = -1.0
    return partners, found


def _suppress_class(boxes: F64, scores: F64, members: Indices, iou: float) -> Indices:
    order = members[np.argsort(-scores[members], kind="stable")]
    x1, y1, x2, y2 = boxes[order].T
    area = _area(boxes[order])
    kept, left = [], np.arange(len(order))
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        width = np.minimum(x2[best], x2[left]) - np.maximum(x1[best], x1[left])
        height = np.minimum(y2[best], y2[left]) - np.maximum(y1[best], y1[left])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        union = area[best] + area[left] - shared
        left = left[shared <= iou * union]
    return np.asarray(order[kept], np.int64)


def _overlap(one: F64, other: F64) -> F64:
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    union = _area(one) + _area(other) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _area(boxes: F64) -> F64:
    return np.asarray(np.prod(np.clip(boxes[..., 2:] - boxes[..., :2], 0, None), axis=-1))
