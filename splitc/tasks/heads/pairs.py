"""Heads of two outputs: a score for every class, and a box, of each place or query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from splitc.errors import RecipeError, UsageError
from splitc.tasks.activations import SeenValues, decide, seen_values
from splitc.tasks.divergences import log_softmax, sigmoid
from splitc.tasks.heads.forms import require_size, settle_boxes, to_pixels
from splitc.tasks.heads.head import Decoded, DetectionHead, HeadRequest, first_sample, shape_text
from splitc.tasks.heads.options import Background, HeadOptions
from splitc.types import F64, Feeds, TensorSpec

BACKGROUND = 0.75
"""Most places of a picture show nothing: a class with a larger mean share of their scores means just that."""
NO_OBJECT = 0.5
"""The same of queries, of which there are fewer; only the last class is in question."""


@dataclass(frozen=True, eq=False)
class PairHead(DetectionHead):
    """Outputs ``[N, A, 4]`` and ``[N, A, C]``; ``reads`` has the boxes first.

    Attributes:
        class_names: How many names of classes there are; None where they are unknown.
    """

    class_names: int | None = None

    @classmethod
    def bind(cls, request: HeadRequest) -> PairHead:
        """Raises: RecipeError: not one output of boxes and one of scores, or names of other classes."""
        pair = box_pair(request)
        if pair is None:
            raise request.refusal(
                "one output [N, A, 4] of boxes and one [N, A, classes] of scores are wanted",
                'name them: outputs = ["boxes", "scores"]',
            )
        scores = pair[1].shape[-1]
        if isinstance(scores, int) and request.class_names not in (None, scores, scores - 1):
            raise request.refusal(
                f"{scores} scores by the shape, {request.class_names} names in data.classes", "give the right names"
            )
        names = tuple(spec.name for spec in pair)
        shapes = " and ".join(f"{spec.name!r} {shape_text(spec.shape)}" for spec in pair)
        options = request.options.model_copy(update={"head": cls.name, "outputs": names})
        notes = (f"outputs {shapes}: {_TITLES[cls.name]}",)
        return cls(cls._with_defaults(options), names, notes, request.size, request.class_names)

    @classmethod
    def _with_defaults(cls, options: HeadOptions) -> HeadOptions:
        """What heads of this kind have in common."""
        return options

    def _check_names(self, scores: int, background: Background) -> None:
        """Raises: RecipeError: names of classes are more or fewer than the scores without the background."""
        count = scores - (background in ("first", "last"))
        if self.class_names not in (None, count):
            raise RecipeError(
                f"task 'detection', head {self.name!r}: output {self.reads[1]!r} has {scores} scores, {count} of them "
                f"of classes, and data.classes has {self.class_names} names; give the right names, or write background."
            )

    def decode(self, outputs: Feeds) -> Decoded:
        boxes, scores = (first_sample(outputs, name, 2) for name in self.reads)
        if boxes.shape[0] != scores.shape[0] or boxes.shape[1] != 4:
            raise UsageError(
                f"outputs {self.reads[0]!r} {list(boxes.shape)} and {self.reads[1]!r} {list(scores.shape)} are no "
                "boxes with their scores."
            )
        return Decoded(self._boxes(boxes), self._shares(scores))

    def _boxes(self, boxes: F64) -> F64:
        """Corners in pixels."""
        return to_pixels(boxes, self.options, self.size)

    def _shares(self, scores: F64) -> F64:
        """Scores ``[A, C]`` of the classes that are objects."""
        if self.options.activation == "logits":
            is_one_of_many = self.options.background in ("first", "last")
            scores = np.exp(log_softmax(scores)) if is_one_of_many else sigmoid(scores)
        cut = {"first": slice(1, None), "last": slice(0, -1)}.get(self.options.background, slice(None))
        return np.clip(scores, 0, 1)[:, cut]


class Ssd(PairHead):
    """Boxes decoded by the network, of every prior, and scores of every class, often with a background class.

    Source: Liu et al., SSD: Single Shot MultiBox Detector (2016).
    """

    name: ClassVar[str] = "ssd"
    iou: ClassVar[float] = 0.45

    @property
    def is_settled(self) -> bool:
        options = self.options
        return "auto" not in (options.activation, options.background, options.box_form, options.box_unit)

    def settle(self, examples: Sequence[Feeds]) -> DetectionHead:
        if self.is_settled:
            return self
        boxes = [first_sample(one, self.reads[0], 2) for one in examples]
        scores = [first_sample(one, self.reads[1], 2) for one in examples]
        options, notes = settle_boxes(self.options, [one for one in boxes if np.isfinite(one).all()], self.reads[0])
        require_size(options, self.size, self.reads[0])
        seen = seen_values(scores, self.reads[1])
        if options.activation == "auto":
            activation, note = decide(seen, self.reads[1], is_independent=seen.is_in_unit and not seen.sums_to_one)
            options, notes = options.model_copy(update={"activation": activation}), [*notes, note]
        if options.background == "auto":
            background, note = _background(scores, seen, options, self.reads[1])
            options, notes = options.model_copy(update={"background": background}), [*notes, note]
        self._check_names(scores[0].shape[1], options.background)
        return replace(self, options=options, notes=(*self.notes, *notes))


class Detr(PairHead):
    """Queries with boxes ``cx cy w h`` in shares of the input, and logits with or without "no object" as last class.

    With it, scores are a softmax; without it (Deformable DETR, RT-DETR), a sigmoid. No suppression.

    Source: Carion et al., End-to-End Object Detection with Transformers (2020).
    """

    name: ClassVar[str] = "detr"
    iou: ClassVar[float] = 0.7
    needs_suppression: ClassVar[bool] = False

    @classmethod
    def _with_defaults(cls, options: HeadOptions) -> HeadOptions:
        return options.model_copy(
            update={
                "activation": "logits" if options.activation == "auto" else options.activation,
                "box_form": "centers" if options.box_form == "auto" else options.box_form,
                "box_unit": "relative" if options.box_unit == "auto" else options.box_unit,
            }
        )

    @property
    def is_settled(self) -> bool:
        return self.options.background != "auto"

    def settle(self, examples: Sequence[Feeds]) -> DetectionHead:
        require_size(self.options, self.size, self.reads[0])
        if self.is_settled:
            return self
        scores = [first_sample(one, self.reads[1], 2) for one in examples]
        seen = seen_values(scores, self.reads[1])
        share = _mean_shares(scores, is_logit=self.options.activation == "logits")[-1]
        background: Background = "last" if share > NO_OBJECT else "none"
        meaning = "no object, scores are a softmax" if background == "last" else "an object, scores are sigmoids"
        note = (
            f"output {self.reads[1]!r}: the last class has {share:.0%} of the queries' scores on {seen.samples} "
            f"samples, so it is {meaning}"
        )
        options = self.options.model_copy(update={"background": background})
        self._check_names(scores[0].shape[1], background)
        return replace(self, options=options, notes=(*self.notes, note))


_TITLES = {"ssd": "SSD head, a box and class scores of every prior", "detr": "DETR head, boxes and logits of queries"}


def box_pair(request: HeadRequest) -> tuple[TensorSpec, TensorSpec] | None:
    """The outputs of boxes and of scores, or None where they are not exactly two such."""
    specs = [spec for spec in request.specs if len(spec.shape) == 3]
    if len(specs) != 2 or (request.options.outputs is not None and len(request.specs) != 2):
        return None
    if request.options.outputs is not None:
        return (specs[0], specs[1]) if specs[0].shape[2] == 4 else None
    boxes = [spec for spec in specs if spec.shape[2] == 4]
    if len(boxes) == 2:
        boxes = [spec for spec in boxes if "box" in spec.name.lower()]
    if len(boxes) != 1 or specs[0].shape[1] != specs[1].shape[1]:
        return None
    return boxes[0], next(spec for spec in specs if spec is not boxes[0])


def _mean_shares(scores: Sequence[F64], *, is_logit: bool) -> F64:
    """Mean over the rows of all finite examples of each class's share.

    Where every class has a sigmoid of its own, one that is often the highest of many low ones has no large share.
    """
    rows = np.concatenate([one for one in scores if np.isfinite(one).all()])
    return np.asarray((np.exp(log_softmax(rows)) if is_logit else rows).mean(0))


def _background(scores: Sequence[F64], seen: SeenValues, options: HeadOptions, output: str) -> tuple[Background, str]:
    """Which class means that there is nothing; where scores are no shares of 1, no class does."""
    if options.activation == "probabilities" and not seen.sums_to_one:
        return "none", f"output {output!r}: no background class: rows do not sum to 1"
    shares = _mean_shares(scores, is_logit=options.activation == "logits")
    for place, name in ((0, "first"), (-1, "last")):
        if shares[place] > BACKGROUND and shares.size > 1:
            background: Background = "first" if name == "first" else "last"
            return background, f"output {output!r}: the {name} class is background, {shares[place]:.0%} of all scores"
    return "none", f"output {output!r}: no background class: neither the first nor the last has most of the scores"
