"""YOLO's heads: raw maps with anchors, and decoded rows with or without objectness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from splitc.errors import RecipeError, UsageError
from splitc.tasks.activations import decide, seen_values
from splitc.tasks.divergences import sigmoid
from splitc.tasks.geometry import corners_of_centers
from splitc.tasks.heads.head import Decoded, DetectionHead, HeadRequest, first_sample, shape_text
from splitc.tasks.pulls import as_output, of_labels
from splitc.types import F32, F64, Array, Dim, Feeds

LEAST_PIXELS = 32.0
"""Decoded boxes of an input of several hundred pixels reach further than this; cells of a grid may not."""


@dataclass(frozen=True, eq=False)
class YoloV3(DetectionHead):
    """Raw maps ``[N, A * (5 + C), H, W]``, one a level: x, y, w, h, objectness and classes of each anchor.

    ``centre = (sigmoid(xy) * s - (s - 1) / 2 + cell) * stride`` with ``s = scale_x_y``, ``size = exp(wh) * anchor``,
    ``score = sigmoid(objectness) * sigmoid(class)``.

    Source: Redmon & Farhadi, YOLOv3 (2018); ``scale_x_y``: Bochkovskiy et al., YOLOv4 (2020).
    """

    name: ClassVar[str] = "yolov3"
    iou: ClassVar[float] = 0.45

    @classmethod
    def bind(cls, request: HeadRequest) -> YoloV3:
        """Raises: RecipeError: anchors or strides are missing, or do not fit the outputs."""
        specs, anchors = request.specs, request.options.anchors
        if anchors is None:
            raise request.refusal("raw maps need their anchors", "write anchors = [[w, h, w, h, ...], ...] a level")
        if len(anchors) != len(specs) or any(len(level) % 2 or not level for level in anchors):
            raise request.refusal(
                f"{len(anchors)} lists of anchors for {len(specs)} outputs", "write pairs of w, h for each output"
            )
        if request.options.strides is not None and len(request.options.strides) != len(specs):
            raise request.refusal("`strides` has another length", "write one stride for each output")
        if request.options.strides is None and request.size is None:
            raise request.refusal("the input's size is open", "write strides, or size = [width, height]")
        counts = {_classes_of_map(request, spec.shape, level) for spec, level in zip(specs, anchors, strict=True)}
        if len(counts) > 1:
            raise request.refusal("levels have unequal numbers of classes", "name the outputs of the levels alone")
        if request.class_names not in (None, *counts):
            raise request.refusal(
                f"{min(counts)} classes by the shape, {request.class_names} names in data.classes",
                "look at anchors, or give the right names",
            )
        shapes = ", ".join(f"{spec.name!r} {shape_text(spec.shape)}" for spec in specs)
        note = f"outputs {shapes}: YOLOv3 head, raw maps, {counts.pop()} classes, {len(anchors[0]) // 2} anchors a cell"
        names = tuple(spec.name for spec in specs)
        options = request.options.model_copy(
            update={
                "head": cls.name,
                "outputs": names,
                "activation": "logits" if request.options.activation == "auto" else request.options.activation,
            }
        )
        return cls(options, names, (note,), request.size)

    def settle(self, examples: Sequence[Feeds]) -> DetectionHead:
        return self

    def decode(self, outputs: Feeds) -> Decoded:
        levels = [self._level(outputs, index) for index in range(len(self.reads))]
        return Decoded(np.concatenate([boxes for boxes, _ in levels]), np.concatenate([scores for _, scores in levels]))

    def pull(self, outputs: Feeds, rng: np.random.Generator) -> Feeds | None:
        return {name: self._pull(outputs, index, rng) for index, name in enumerate(self.reads)}

    def _pull(self, outputs: Feeds, index: int, rng: np.random.Generator) -> F32:
        """Of one level: ``score = objectness * class`` hands on to both."""
        output, are_logits = np.asarray(outputs[self.reads[index]]), self.options.activation != "probabilities"
        raw = first_sample(outputs, self.reads[index], 3)
        raw = raw.reshape(len((self.options.anchors or ())[index]) // 2, -1, *raw.shape[1:])
        shares = sigmoid(raw[:, 4:]) if are_logits else raw[:, 4:]
        found = np.zeros(raw.shape)
        found[:, 4:] = pull_of_products(shares, 1, rng)
        if are_logits:
            found[:, 4:] *= shares * (1 - shares)
        return as_output(found, output)

    def _level(self, outputs: Feeds, index: int) -> tuple[F64, F64]:
        """Boxes ``[A * H * W, 4]`` and scores ``[A * H * W, C]``."""
        raw = first_sample(outputs, self.reads[index], 3)
        anchors = np.array((self.options.anchors or ())[index], np.float64).reshape(-1, 2)
        channels, height, width = raw.shape
        if channels % len(anchors) or channels // len(anchors) < 6:
            raise UsageError(
                f"output {self.reads[index]!r}: {channels} channels are not those of {len(anchors)} anchors."
            )
        raw = raw.reshape(len(anchors), -1, height, width)
        shares = raw if self.options.activation == "probabilities" else sigmoid(raw)
        stretch = self.options.scale_x_y
        cells = np.stack(np.meshgrid(np.arange(width), np.arange(height)))
        centres = (shares[:, :2] * stretch - (stretch - 1) / 2 + cells) * self._stride(index, width, height)
        with np.errstate(over="ignore"):
            sizes = np.minimum(np.exp(raw[:, 2:4]), 1e6) * anchors[:, :, None, None]
        boxes = np.concatenate([centres, sizes], 1).transpose(0, 2, 3, 1).reshape(-1, 4)
        scores = (shares[:, 4:5] * shares[:, 5:]).transpose(0, 2, 3, 1).reshape(len(boxes), -1)
        return corners_of_centers(boxes), scores

    def _stride(self, index: int, width: int, height: int) -> F64:
        """Pixels a cell, x and y, ``[2, 1, 1]``."""
        if self.options.strides is not None:
            return np.full((2, 1, 1), float(self.options.strides[index]))
        assert self.size is not None
        strides: F64 = np.array(self.size, np.float64) / np.array([width, height])
        return strides.reshape(2, 1, 1)


@dataclass(frozen=True, eq=False)
class DecodedYolo(DetectionHead):
    """One output of decoded rows: centre and size in input pixels, then scores.

    Attributes:
        classes: How many; None where it is not known before the first output.
        axis: Of a row's values; None where the first output tells it: the shorter one.
    """

    values_before: ClassVar[int]
    """Values of a row before its classes."""
    classes: int | None = None
    axis: int | None = None

    @classmethod
    def bind(cls, request: HeadRequest) -> DecodedYolo:
        """Raises: RecipeError: not one output of three axes, or too few values a row."""
        specs = [spec for spec in request.specs if len(spec.shape) == 3]
        if not specs or (request.options.outputs is None and len(specs) > 1):
            raise request.refusal("one output [N, rows, values] is wanted", 'name it: outputs = ["..."]')
        spec = specs[0]
        expected = request.options.class_count or request.class_names
        axis = values_axis(spec.shape, None if expected is None else expected + cls.values_before)
        values = None if axis is None else spec.shape[axis]
        assert not isinstance(values, str)
        masks = _mask_values(request)
        classes = request.options.class_count or (None if values is None else values - cls.values_before - masks)
        if classes is not None and values is not None and not 1 <= classes <= values - cls.values_before:
            raise request.refusal(f"rows of {values} values hold no {classes} classes", "look at head and class_count")
        if request.class_names is not None and classes is not None and request.class_names != classes:
            raise request.refusal(
                f"{classes} classes by the shape, {request.class_names} names in data.classes",
                "write class_count, another head, or the right names",
            )
        options = request.options.model_copy(update={"head": cls.name, "outputs": (spec.name,), "class_count": classes})
        count = "" if classes is None else f", {classes} classes"
        note = f"output {spec.name!r} {shape_text(spec.shape)}: {_TITLES[cls.name]}{count}, cx cy w h in input pixels"
        notes = [note, f"{masks} values of each row are of masks, which are not read"] if masks else [note]
        return cls(options, (spec.name,), tuple(notes), request.size, classes, axis)

    def settle(self, examples: Sequence[Feeds]) -> DetectionHead:
        rows = [self._rows(one) for one in examples]
        scores = [row[:, 4 : self.values_before + (self.classes or row.shape[1])] for row in rows]
        reach = max((float(np.max(np.abs(row[:, :4]))) for row in rows if np.isfinite(row).all()), default=np.inf)
        if reach < LEAST_PIXELS and self.size is not None and min(self.size) > 4 * LEAST_PIXELS:
            raise RecipeError(
                f"task 'detection', head {self.name!r}: boxes of output {self.reads[0]!r} reach {reach:.3g} only, so "
                "they are not in input pixels; export the network with its decoding, or choose another head."
            )
        if self.is_settled:
            return self
        activation, note = decide(seen_values(scores, self.reads[0]), self.reads[0], is_independent=True)
        note = note.replace(f"output {self.reads[0]!r} is", f"scores of output {self.reads[0]!r} are")
        options = self.options.model_copy(update={"activation": activation})
        return replace(self, options=options, notes=(*self.notes, note))

    def decode(self, outputs: Feeds) -> Decoded:
        rows = self._rows(outputs)
        last = rows.shape[1] if self.classes is None else self.values_before + self.classes
        scores = rows[:, 4:last]
        scores = sigmoid(scores) if self.options.activation == "logits" else np.clip(scores, 0, 1)
        extra = self.values_before - 4
        return Decoded(corners_of_centers(rows[:, :4]), scores[:, :1] * scores[:, 1:] if extra else scores)

    def pull(self, outputs: Feeds, rng: np.random.Generator) -> Feeds | None:
        output, rows = np.asarray(outputs[self.reads[0]]), self._rows(outputs)
        last = rows.shape[1] if self.classes is None else self.values_before + self.classes
        are_logits = self.options.activation == "logits"
        scores = sigmoid(rows[:, 4:last]) if are_logits else np.clip(rows[:, 4:last], 0, 1)
        found = np.zeros(rows.shape)
        if self.values_before > 4:
            found[:, 4:last] = pull_of_products(scores, 1, rng)
        else:
            found[:, 4:last] = of_labels(scores, rng, are_logits=False)
        if are_logits:
            found[:, 4:last] *= scores * (1 - scores)
        return {self.reads[0]: as_output(found.T if self._is_turned(output) else found, output)}

    def _is_turned(self, output: Array) -> bool:
        """Values come before rows."""
        return (self.axis or (2 if output.shape[-2] > output.shape[-1] else 1)) == 1

    def _rows(self, outputs: Feeds) -> F64:
        """``[rows, values]``, whichever axis comes first in the output."""
        array = first_sample(outputs, self.reads[0], 2)
        rows = array.T if self._is_turned(array) else array
        if rows.shape[1] <= self.values_before:
            raise UsageError(f"output {self.reads[0]!r} has the shape {list(array.shape)}: rows have no classes.")
        return rows


class YoloV5(DecodedYolo):
    """``[N, rows, 5 + C]``: centre, size, objectness, classes; ``score = objectness * class``."""

    name: ClassVar[str] = "yolov5"
    iou: ClassVar[float] = 0.45
    values_before: ClassVar[int] = 5


class YoloV8(DecodedYolo):
    """``[N, 4 + C, rows]`` or ``[N, rows, 4 + C]``: centre, size, classes; YOLOv8, 9 and 11."""

    name: ClassVar[str] = "yolov8"
    iou: ClassVar[float] = 0.7
    values_before: ClassVar[int] = 4


def pull_of_products(shares: F64, axis: int, rng: np.random.Generator) -> F64:
    """Of scores that are a first value times each of the others along an axis, as directions of the values."""
    objectness, classes = np.split(shares, [1], axis)
    by_score = of_labels(objectness * classes, rng, are_logits=False)
    return np.concatenate([(by_score * classes).sum(axis, keepdims=True), by_score * objectness], axis)


_TITLES = {"yolov5": "YOLOv5 head", "yolov8": "YOLOv8 head"}


def _mask_values(request: HeadRequest) -> int:
    """Values of a row that weigh mask prototypes ``[N, M, H, W]``, of an instance segmentation network."""
    maps = [spec.shape[1] for spec in request.specs if len(spec.shape) == 4]
    return maps[0] if len(maps) == 1 and isinstance(maps[0], int) else 0


def values_axis(shape: Sequence[Dim], expected: int | None = None) -> int | None:
    """Axis of a row's values in an output ``[N, P, Q]``; None where both are open.

    Args:
        shape: Of the output.
        expected: How many values a row has; without it, the fixed axis, or the shorter of two.
    """
    fixed = {axis: dim for axis, dim in enumerate(shape) if axis and isinstance(dim, int)}
    fitting = [axis for axis, dim in fixed.items() if dim == expected]
    if len(fitting) == 1:
        return fitting[0]
    return min(fixed, key=lambda axis: fixed[axis]) if fixed else None


def _classes_of_map(request: HeadRequest, shape: Sequence[Dim], level: Sequence[float]) -> int:
    anchors = len(level) // 2
    channels = shape[1] if len(shape) == 4 else None
    if not isinstance(channels, int) or channels % anchors or channels // anchors < 6:
        raise request.refusal(
            f"{shape_text(tuple(shape))} is no map of {anchors} anchors [N, anchors * (5 + classes), H, W]",
            "look at anchors and outputs",
        )
    return channels // anchors - 5
