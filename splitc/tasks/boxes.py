"""Answers of detectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import JsonValue

from splitc.tasks.answer import Document, TaskAnswer, class_name
from splitc.tasks.geometry import Indices
from splitc.tasks.placement import Placement
from splitc.types import F64

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Boxes(TaskAnswer):
    """Detected objects, by falling score.

    Attributes:
        xyxy: Corners x1, y1, x2, y2, float64 ``[K, 4]``, pixels of the network's input until :meth:`mapped`.
        scores: 0 to 1, float64 ``[K]``.
        classes: Class index of each, int64 ``[K]``.
        names: Names of classes by index; None where they are unknown.
        left_out: How many more boxes were found, less sure than these: a task lists no more than its option ``most``.
    """

    has_places: ClassVar[bool] = True

    xyxy: F64
    scores: F64
    classes: Indices
    names: Sequence[str] | None = None
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score: float) -> Boxes:
        """Those of at least ``score``."""
        return self.pick(np.flatnonzero(self.scores >= score))

    def best(self, most: int) -> Boxes:
        """The first ``most``; how many are left out is counted."""
        return replace(self.pick(np.arange(min(len(self), most))), left_out=max(len(self) - most, 0))

    def pick(self, rows: Indices) -> Boxes:
        """Some of them, in the order of ``rows``."""
        return replace(self, xyxy=self.xyxy[rows], scores=self.scores[rows], classes=self.classes[rows])

    def mapped(self, placement: Placement) -> Boxes:
        """The same in the pixels of the picture that the input was made from, clipped to it."""
        return replace(self, xyxy=placement.to_picture(self.xyxy))

    @property
    def text(self) -> str:
        """``3 boxes: 2 dog, cat``; ``, 4 more left out`` where there are."""
        names = Counter(class_name(int(index), self.names) for index in self.classes)
        listed = ", ".join(f"{count} {name}" if count > 1 else name for name, count in names.most_common())
        more = f", {self.left_out} more left out" if self.left_out else ""
        return f"{len(self)} box{'es'[: 2 * (len(self) > 1)]}: {listed}{more}" if listed else "no box"

    def describe(self) -> Document:
        listed: list[JsonValue] = [
            {
                "index": int(index),
                "name": class_name(int(index), self.names),
                "score": float(score),
                "box_px": [float(edge) for edge in box],
            }
            for box, score, index in zip(self.xyxy, self.scores, self.classes, strict=True)
        ]
        return {"boxes": listed, "boxes_left_out": self.left_out}

    def draw(self, picture: Image) -> Image:
        """The picture with boxes, in whose pixels they are (:meth:`mapped`)."""
        from splitc.tasks.drawing import draw_boxes  # Pillow

        captions = [
            f"{class_name(int(index), self.names)} {score:.2f}"
            for index, score in zip(self.classes, self.scores, strict=True)
        ]
        return draw_boxes(picture, self.xyxy, self.classes, captions)
