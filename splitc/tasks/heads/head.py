"""What a detection head is: outputs in, boxes in input pixels out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from splitc.errors import RecipeError, UsageError
from splitc.tasks.geometry import Indices
from splitc.tasks.heads.options import HeadOptions
from splitc.tasks.task import BindRequest
from splitc.types import F64, Feeds, Shape, TensorSpec

Size: TypeAlias = tuple[int, int]
"""Width and height, pixels."""
COLOURS = (1, 3, 4)
"""Sizes of an axis that counts an input's colours."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """Everything that a head says about one picture, before a threshold and suppression.

    Attributes:
        boxes: Corners in input pixels, float64 ``[A, 4]``.
        scores: 0 to 1, float64: ``[A, C]`` of every class, or ``[A]`` where ``classes`` says which.
        classes: int64 ``[A]``; None where every box has a score for each class.
    """

    boxes: F64
    scores: F64
    classes: Indices | None = None

    @property
    def best(self) -> F64:
        """Highest score of each box, ``[A]``."""
        if self.classes is not None:
            return self.scores
        return np.asarray(self.scores.max(axis=1)) if self.scores.shape[1] else np.zeros(len(self.scores))


@dataclass(frozen=True)
class HeadRequest:
    """A network whose head is wanted, and what the recipe says about it."""

    network: BindRequest
    options: HeadOptions

    @property
    def specs(self) -> list[TensorSpec]:
        """The outputs in question, in the order that the options give.

        Raises:
            RecipeError: An output that the options name is not there.
        """
        if self.options.outputs is None:
            return list(self.network.outputs)
        return [self.network.output(name, self.options.name) for name in self.options.outputs]

    @property
    def size(self) -> Size | None:
        """The input's, from its shape or the options; None where neither says it."""
        return self.options.size or input_size(self.network.inputs)

    @property
    def class_names(self) -> int | None:
        """How many names of classes there are."""
        return None if self.network.classes is None else len(self.network.classes)

    def refusal(self, why: str, advice: str) -> RecipeError:
        """Why the outputs are not what the head reads."""
        shapes = ", ".join(f"{spec.name!r} {shape_text(spec.shape)}" for spec in self.specs)
        return RecipeError(f"task 'detection', head {self.options.head!r}: outputs {shapes}: {why}; {advice}.")


@dataclass(frozen=True, eq=False)
class DetectionHead(ABC):
    """A head bound to outputs.

    Attributes:
        options: Everything recognised spelled out, as far as it is known.
        reads: Outputs that are read.
        notes: What was recognised, and how.
        size: Of the input; None where it is open.
    """

    name: ClassVar[str]
    iou: ClassVar[float]
    """Overlap for suppression that networks of this kind are usually used with."""
    is_dense: ClassVar[bool] = True
    """Whether row ``i`` means the same place of the picture on every path."""
    needs_suppression: ClassVar[bool] = True

    options: HeadOptions
    reads: tuple[str, ...]
    notes: tuple[str, ...]
    size: Size | None

    @property
    def is_settled(self) -> bool:
        """Whether no real outputs are needed any more."""
        return self.options.activation != "auto"

    @abstractmethod
    def settle(self, examples: Sequence[Feeds]) -> DetectionHead:
        """Decide by real outputs what is still open.

        Raises:
            RecipeError: They contradict the head or the options.
        """

    @abstractmethod
    def decode(self, outputs: Feeds) -> Decoded:
        """Boxes and scores of one sample; the head is settled.

        Raises:
            UsageError: An output is missing or has an impossible shape.
        """

    def pull(self, outputs: Feeds, rng: np.random.Generator) -> Feeds | None:
        """A random direction of the outputs as :mod:`splitc.tasks.pulls` has it, of all scores; None: not known."""
        return None


def first_sample(outputs: Feeds, name: str, rank: int) -> F64:
    """One sample's output in float64, of ``rank`` axes: an axis of one sample in front is taken off.

    Raises:
        UsageError: It is missing, or has another number of axes or of samples.
    """
    if name not in outputs:
        raise UsageError(f"task 'detection': the output {name!r} is missing.")
    array = np.asarray(outputs[name])
    if array.ndim == rank + 1 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != rank:
        raise UsageError(
            f"task 'detection': output {name!r} has the shape {list(array.shape)}; wanted are {rank} axes of one "
            "sample, give one sample at a time."
        )
    return array.astype(np.float64)


def input_size(inputs: Sequence[TensorSpec]) -> Size | None:
    """Width and height of the first picture among the inputs, NCHW or NHWC; None where they are dynamic."""
    for spec in inputs:
        if len(spec.shape) == 4:
            is_first = spec.shape[1] in COLOURS or spec.shape[3] not in COLOURS
            height, width = spec.shape[2:] if is_first else spec.shape[1:3]
            if isinstance(height, int) and isinstance(width, int):
                return width, height
            return None
    return None


def shape_text(shape: Shape) -> str:
    """``[N,84,8400]``."""
    return "[" + ",".join(str(dim) for dim in shape) + "]"
