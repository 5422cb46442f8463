"""Segmentation: the class of every pixel."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field, JsonValue

from splitc.errors import RecipeError, UsageError
from splitc.tasks.activations import Activation, decide, seen_values
from splitc.tasks.answer import Document, TaskAnswer, class_name
from splitc.tasks.classification import normalized
from splitc.tasks.comparison import RunningComparison, finite_output, is_finite, output_of
from splitc.tasks.geometry import Indices
from splitc.tasks.heads.head import shape_text
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.mask_comparison import MaskComparison, PixelScores, pixel_divergence
from splitc.tasks.placement import Placement
from splitc.tasks.pulls import as_output, of_classes, of_labels
from splitc.tasks.task import BindRequest, BoundTask, Task
from splitc.tasks.truth import IGNORED, TrueMask, Truth, class_fault
from splitc.types import Array, Dim, Feeds, TensorSpec

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_NAMED = 3
"""Classes that the answer in one line names, those of the largest areas."""
MOST_EXAMPLES = 8


class Segmentation(Task):
    """The network's answer is a mask.

    Fidelity is the mean over samples of the mean intersection over union of the classes (mIoU) with the unsplit
    network's mask; the share of equal pixels stands beside it, since few changed pixels can be a whole small object.
    The smooth distance is the mean KL divergence of a pixel's class probabilities, nats.
    """

    name: ClassVar[str] = "segmentation"
    gates: ClassVar[tuple[str, ...]] = ("min_fidelity", "max_kl", "max_miou_drop")

    output: str | None = Field(None, description="name of the output with the mask; the first by default")
    class_axis: int | None = Field(
        None, ge=1, le=3, description="axis of the classes in [N, C, H, W] or [N, H, W, C]; by the shape"
    )
    activation: Activation = Field(
        "auto", description="whether softmax (or sigmoid) is still to be applied; auto tells it by real outputs"
    )
    threshold: float = Field(0.5, gt=0, lt=1, description="probability from which a pixel of a single class is set")
    background: int = Field(0, ge=-1, description="class that drawings leave clear; -1: none")

    def bind(self, network: BindRequest) -> BoundTask:
        spec = network.output(self.output, self.name)
        is_decided = not spec.dtype.startswith(("float", "bfloat"))
        axis = None if is_decided else mask_axis(spec, self.class_axis)
        count = None if axis is None else spec.shape[axis]
        kind = (
            "classes of pixels, decided by the network" if is_decided else f"scores of {count} classes on axis {axis}"
        )
        if count == 1:
            kind = f"one score a pixel on axis {axis}, set or not"
        options = self.model_copy(
            update={
                "output": spec.name,
                "class_axis": axis,
                "activation": "probabilities" if is_decided else self.activation,
            }
        )
        return BoundSegmentation(
            task=options,
            notes=(f"output {spec.name!r} {shape_text(spec.shape)}: {kind}",),
            reads=(spec.name,),
            classes=network.classes,
            options=options,
        )


@dataclass(frozen=True, eq=False)
class Mask(TaskAnswer):
    """Class of every pixel, int64 ``[H, W]``.

    Attributes:
        classes: The classes.
        names: Names of classes by index; None where they are unknown.
        background: Class that drawings leave clear.
    """

    has_places: ClassVar[bool] = True

    classes: Indices
    names: Sequence[str] | None = None
    background: int = 0

    @property
    def text(self) -> str:
        """``dog 45%, cat 5%``: the largest shares of the pixels."""
        found, counts = np.unique(self.classes, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MOST_NAMED]
        named = [f"{class_name(int(found[one]), self.names)} {counts[one] / self.classes.size:.0%}" for one in order]
        return ", ".join(named)

    def describe(self) -> Document:
        found, counts = np.unique(self.classes, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        listed: list[JsonValue] = [
            {
                "index": int(found[one]),
                "name": class_name(int(found[one]), self.names),
                "share": float(counts[one] / self.classes.size),
            }
            for one in order
        ]
        return {"height_px": self.classes.shape[0], "width_px": self.classes.shape[1], "classes": listed}

    def draw(self, picture: Image) -> Image:
        from splitc.tasks.drawing import overlay  # Pillow

        return overlay(picture, self.classes, self.background)

    def mapped(self, placement: Placement) -> Mask:
        """The mask of the picture alone, one class a picture pixel, by nearest pixels; cropped away: background."""
        columns, rows = (_nearest(placement, axis, stored) for axis, stored in enumerate(reversed(self.classes.shape)))
        is_inside = (rows >= 0)[:, None] & (columns >= 0)
        near = self.classes[np.maximum(rows, 0)[:, None], np.maximum(columns, 0)]
        return replace(self, classes=np.where(is_inside, near, max(self.background, 0)))


@dataclass(frozen=True, eq=False)
class BoundSegmentation(BoundTask):
    """A mask among the outputs.

    Attributes:
        options: The task's options, as far as they are known.
    """

    options: Segmentation

    @property
    def is_settled(self) -> bool:
        return self.options.activation != "auto"

    @property
    def has_open_sizes(self) -> bool:
        return True

    @property
    def gates(self) -> tuple[str, ...]:
        """Where the network decides itself, the smooth distance is no KL divergence."""
        if self.options.class_axis is not None:
            return self.task.gates
        return tuple("max_divergence" if gate == "max_kl" else gate for gate in self.task.gates)

    def settle(self, examples: Iterable[Feeds]) -> BoundTask:
        if self.is_settled:
            return self
        name = self.reads[0]
        rows = [self._by_pixel(np.asarray(one[name])) for one in itertools.islice(examples, MOST_EXAMPLES)]
        seen = seen_values([np.asarray(one, np.float64) for one in rows], name)
        activation, note = decide(seen, name, is_independent=all(one.shape[-1] == 1 for one in rows))
        options = self.options.model_copy(update={"activation": activation})
        return replace(self, task=options, options=options, notes=(*self.notes, note))

    def answer(self, outputs: Feeds) -> Mask:
        finite_output(outputs, self.reads[0], self.task.name)
        return Mask(self._scores(outputs).classes, self.classes, self.options.background)

    def comparison(self) -> RunningComparison:
        is_decided = self.options.class_axis is None
        return MaskComparison(self.task.name, self.reads[0], self._scores, is_decided=is_decided)

    def divergence(self, reference: Feeds, other: Feeds) -> float:
        if not all(is_finite(output_of(outputs, self.reads[0], self.task.name)) for outputs in (reference, other)):
            return float("inf")
        return pixel_divergence(self._scores(reference), self._scores(other), self.reads[0])

    def pull(self, outputs: Feeds, rng: np.random.Generator) -> Feeds | None:
        scores, output = self._scores(outputs), np.asarray(outputs[self.reads[0]])
        if scores.scores is None:
            return None
        are_logits = self.options.activation != "probabilities"
        if scores.is_independent:
            found = of_labels(scores.scores, rng, are_logits=are_logits)
        else:
            found = of_classes(np.exp(scores.scores), rng, are_logits=are_logits)
        moved = np.moveaxis(found[None], -1, self.options.class_axis or 0)
        return {self.reads[0]: as_output(moved / np.sqrt(scores.classes.size), output)}

    def labels(self, path: Path) -> LabelTable:
        from splitc.tasks.labels.masks import read_mask_labels  # Pillow

        return read_mask_labels(path)

    def place(self, truth: Truth, placement: Placement) -> Truth:
        return truth.in_input(placement) if isinstance(truth, TrueMask) else truth

    def label_fault(self, truth: Truth, reference: Feeds) -> str:
        """A network that decides itself does not say how many classes there are."""
        if self.options.class_axis is None or not isinstance(truth, TrueMask):
            return ""
        count = self._by_pixel(np.asarray(reference[self.reads[0]])).shape[-1]
        return class_fault(np.setdiff1d(truth.classes, [IGNORED]).tolist(), max(count, 2))

    def _scores(self, outputs: Feeds) -> PixelScores:
        assert self.is_settled, "settle the task with outputs of the network first"
        array = np.asarray(outputs[self.reads[0]])
        if self.options.class_axis is None:
            flat = array.reshape(array.shape[-2:] if array.shape[-1] != 1 or array.ndim < 4 else array.shape[1:3])
            return PixelScores(flat.astype(np.int64), None, is_independent=False)
        pixels = self._by_pixel(array).astype(np.float64)
        if pixels.shape[-1] == 1:
            found = normalized(pixels, self.options.activation, is_independent=True)
            return PixelScores((found[..., 0] >= self.options.threshold).astype(np.int64), found, is_independent=True)
        logs = normalized(pixels, self.options.activation, is_independent=False)
        return PixelScores(logs.argmax(-1).astype(np.int64), logs, is_independent=False)

    def _by_pixel(self, array: Array) -> Array:
        """One sample as ``[H, W, C]``.

        Raises:
            UsageError: Not four axes with one sample in front.
        """
        if array.ndim != 4 or array.shape[0] != 1 or self.options.class_axis is None:
            raise UsageError(
                f"output {self.reads[0]!r} has the shape {list(array.shape)}; one sample's mask is wanted."
            )
        return np.moveaxis(array[0], self.options.class_axis - 1, -1)


def _nearest(placement: Placement, axis: int, stored: int) -> Indices:
    """Index among ``stored`` pixels of a mask for each picture pixel along x (0) or y (1); -1 outside the input."""
    in_input = (np.arange(placement.size[axis]) + 0.5) * placement.scale[axis] + placement.offset[axis]
    places = np.floor(in_input * stored / placement.input_size[axis]).astype(np.int64)
    return np.where((places >= 0) & (places < stored), places, -1)


def mask_axis(spec: TensorSpec, wanted: int | None) -> int:
    """Axis of the classes of scores ``[N, C, H, W]`` or ``[N, H, W, C]``.

    Raises:
        RecipeError: Another number of axes, or both could be.
    """
    if len(spec.shape) != 4:
        raise RecipeError(
            f"task 'segmentation': output {spec.name!r} {shape_text(spec.shape)} is no mask; scores have the axes "
            "[N, classes, H, W] or [N, H, W, classes], and decided classes are integers."
        )
    if wanted is not None:
        return wanted
    _, first, middle, last = spec.shape
    if _is_less(first, middle) and _is_less(first, last):
        return 1
    if _is_less(last, first) and _is_less(last, middle):
        return 3
    raise RecipeError(
        f"task 'segmentation': output {spec.name!r} {shape_text(spec.shape)}: axis 1 or axis 3 could be the classes; "
        "write class_axis."
    )


def _is_less(one: Dim, other: Dim) -> bool:
    """A fixed size is less than an open one: classes are fixed."""
    return isinstance(one, int) and (not isinstance(other, int) or one < other)
