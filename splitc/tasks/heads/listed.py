"""Heads that list objects: the network has chosen and suppressed them itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from splitc.errors import UsageError
from splitc.tasks.heads.forms import require_size, settle_boxes, to_pixels
from splitc.tasks.heads.head import Decoded, DetectionHead, HeadRequest, first_sample, shape_text
from splitc.types import F64, Feeds, TensorSpec

MOST_CLASSES = 1 << 30
"""Larger numbers are no class; as integers they would wrap."""
ROW, BATCHED_ROW = 6, 7
"""Values of a row: corners, score, class; or picture, corners, class, score (YOLOv7)."""


@dataclass(frozen=True, eq=False)
class ListedHead(DetectionHead):
    """Rows that are objects; those with no score are padding."""

    iou: ClassVar[float] = 1.0
    is_dense: ClassVar[bool] = False
    needs_suppression: ClassVar[bool] = False

    @property
    def is_settled(self) -> bool:
        return "auto" not in (self.options.box_form, self.options.box_unit)

    def settle(self, examples: Sequence[Feeds]) -> DetectionHead:
        if self.is_settled:
            return self
        found = [self._rows(one) for one in examples]
        boxes = [boxes[scores > 0] for boxes, scores, _ in found if np.isfinite(boxes).all()]
        options, notes = settle_boxes(self.options, boxes, self.reads[0])
        require_size(options, self.size, self.reads[0])
        return replace(self, options=options, notes=(*self.notes, *notes))

    def decode(self, outputs: Feeds) -> Decoded:
        boxes, scores, classes = self._rows(outputs)
        kept = scores > 0
        numbers = np.clip(classes[kept], -1, MOST_CLASSES).astype(np.int64) - self.options.class_offset
        return Decoded(to_pixels(boxes[kept], self.options, self.size), np.clip(scores[kept], 0, 1), numbers)

    @abstractmethod
    def _rows(self, outputs: Feeds) -> tuple[F64, F64, F64]:
        """Boxes ``[K, 4]``, scores ``[K]`` and class numbers ``[K]`` as the outputs have them."""


class End2End(ListedHead):
    """One output ``[N, K, 6]``: corners, score, class; or ``[K, 7]``: picture, corners, class, score."""

    name: ClassVar[str] = "end2end"

    @classmethod
    def bind(cls, request: HeadRequest) -> DetectionHead:
        """Raises: RecipeError: neither such an output nor those of EfficientNMS."""
        if list_parts(request) is not None:
            return Listed.bind(request)
        specs = [spec for spec in request.specs if is_rows(spec)]
        if len(specs) != 1:
            raise request.refusal(
                "one output [N, K, 6] or [K, 7], or the four of EfficientNMS are wanted", 'name it: outputs = ["..."]'
            )
        options = request.options.model_copy(
            update={"head": cls.name, "outputs": (specs[0].name,), "activation": "probabilities"}
        )
        note = f"output {specs[0].name!r} {shape_text(specs[0].shape)}: objects with corners, score and class"
        return cls(options, (specs[0].name,), (note,), request.size)

    def _rows(self, outputs: Feeds) -> tuple[F64, F64, F64]:
        rows = first_sample(outputs, self.reads[0], 2)
        if rows.shape[1] == BATCHED_ROW:
            return rows[:, 1:5], rows[:, 6], rows[:, 5]
        if rows.shape[1] != ROW:
            raise UsageError(
                f"output {self.reads[0]!r}: rows of {rows.shape[1]} values; {ROW} or {BATCHED_ROW} are wanted."
            )
        return rows[:, :4], rows[:, 4], rows[:, 5]


class Listed(ListedHead):
    """Boxes ``[N, K, 4]``, scores ``[N, K]`` and classes ``[N, K]``, with or without their count ``[N]``.

    EfficientNMS, torchvision's detectors, TensorFlow's detection API.
    """

    name: ClassVar[str] = "boxes"

    @classmethod
    def bind(cls, request: HeadRequest) -> DetectionHead:
        """Raises: RecipeError: outputs are missing, or scores and classes cannot be told apart."""
        parts = list_parts(request)
        if parts is None:
            raise request.refusal(
                "boxes [N, K, 4], scores [N, K] and classes [N, K] are wanted, told apart by type or name",
                'name them: outputs = ["boxes", "scores", "classes"], and the count where there is one',
            )
        names = tuple(spec.name for spec in parts)
        options = request.options.model_copy(update={"head": cls.name, "outputs": names, "activation": "probabilities"})
        shapes = ", ".join(f"{spec.name!r} {shape_text(spec.shape)}" for spec in parts)
        return cls(options, names, (f"outputs {shapes}: objects listed by the network",), request.size)

    def _rows(self, outputs: Feeds) -> tuple[F64, F64, F64]:
        boxes = first_sample(outputs, self.reads[0], 2)
        scores, classes = (first_sample(outputs, name, 1) for name in self.reads[1:3])
        if boxes.shape != (len(scores), 4) or len(classes) != len(scores):
            raise UsageError(
                f"outputs {', '.join(self.reads)}: {list(boxes.shape)} boxes, {len(scores)} scores and {len(classes)} "
                "classes do not belong together."
            )
        count = len(scores)
        if len(self.reads) > 3:
            said = np.asarray(outputs[self.reads[3]]).ravel()
            count = min(count, max(int(said[0]), 0)) if said.size else 0
        return boxes[:count], scores[:count], classes[:count]


def is_rows(spec: TensorSpec) -> bool:
    """Whether an output has the shape of rows that are objects."""
    shape = spec.shape
    return (len(shape) == 3 and shape[2] == ROW) or (len(shape) in (2, 3) and shape[-1] == BATCHED_ROW)


def list_parts(request: HeadRequest) -> tuple[TensorSpec, ...] | None:
    """Boxes, scores, classes and, where there is one, the count; None where outputs are not these."""
    specs = request.specs
    if request.options.outputs is not None:
        return tuple(specs) if len(specs) in (3, 4) else None
    boxes = [spec for spec in specs if spec.shape and spec.shape[-1] == 4 and len(spec.shape) in (2, 3)]
    if len(specs) not in (3, 4) or len(boxes) != 1:
        return None
    rest = [spec for spec in specs if spec is not boxes[0]]
    counts = [spec for spec in rest if _is_count(spec)] if len(specs) == 4 else []
    rest = [spec for spec in rest if spec not in counts]
    classes = [spec for spec in rest if _is_classes(spec)]
    if len(rest) != 2 or len(classes) != 1 or any(len(spec.shape) != len(boxes[0].shape) - 1 for spec in rest):
        return None
    return boxes[0], next(spec for spec in rest if spec is not classes[0]), classes[0], *counts


def _is_count(spec: TensorSpec) -> bool:
    return "num" in spec.name.lower() or "count" in spec.name.lower() or spec.shape[1:] == (1,)


def _is_classes(spec: TensorSpec) -> bool:
    is_named = any(word in spec.name.lower() for word in ("class", "label", "cls"))
    return is_named or spec.dtype.startswith(("int", "uint"))
