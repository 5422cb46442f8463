"""Answers of classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from splitc.tasks.answer import Document, TaskAnswer, class_name
from splitc.types import F64

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class ClassScores(TaskAnswer):
    """One class of many.

    Attributes:
        probabilities: Shares of 1, float64 ``[C]``.
        classes: Names by index; None where they are unknown.
        top: How many of the likeliest classes :meth:`describe` lists.
    """

    probabilities: F64
    classes: Sequence[str] | None = None
    top: int = 5

    @property
    def index(self) -> int:
        """The likeliest class; the first of equal ones."""
        return int(self.probabilities.argmax())

    @property
    def text(self) -> str:
        return f"{class_name(self.index, self.classes)} ({self.probabilities[self.index]:.0%})"

    def describe(self) -> Document:
        order = np.argsort(-self.probabilities, kind="stable")[: self.top]
        listed: list[JsonValue] = [self._one(int(index)) for index in order]
        return {**self._one(self.index), "top": listed}

    def draw(self, picture: Image) -> Image:
        from splitc.tasks.drawing import caption  # Pillow

        return caption(picture, f"{class_name(self.index, self.classes)} {self.probabilities[self.index]:.0%}")

    def _one(self, index: int) -> Document:
        return {
            "index": index,
            "name": class_name(index, self.classes),
            "share": float(self.probabilities[index]),
        }


@dataclass(frozen=True, eq=False)
class LabelScores(TaskAnswer):
    """Independent yes-or-no answers; a single one is a binary classifier.

    Attributes:
        probabilities: Of each label, float64 ``[L]``.
        threshold: From which probability on a label is set.
        classes: Names of the labels; of a single output also those of its two answers, no first.
    """

    probabilities: F64
    threshold: float
    classes: Sequence[str] | None = None

    @property
    def labels(self) -> list[int]:
        """Labels that are set, the likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")
        return [int(index) for index in order if self.probabilities[index] >= self.threshold]

    @property
    def text(self) -> str:
        if self.probabilities.size == 1:
            return f"{self._binary_name()} ({self.probabilities[0]:.0%})"
        named = [f"{class_name(one, self.classes)} ({self.probabilities[one]:.0%})" for one in self.labels]
        return ", ".join(named) or "no label"

    def describe(self) -> Document:
        if self.probabilities.size == 1:
            return {
                "index": len(self.labels),
                "name": self._binary_name(),
                "probability": float(self.probabilities[0]),
                "threshold": self.threshold,
            }
        found: list[JsonValue] = [
            {"index": one, "name": class_name(one, self.classes), "probability": float(self.probabilities[one])}
            for one in self.labels
        ]
        return {"labels": found, "threshold": self.threshold}

    def draw(self, picture: Image) -> Image:
        from splitc.tasks.drawing import caption  # Pillow

        if self.probabilities.size == 1:
            return caption(picture, f"{self._binary_name()} {self.probabilities[0]:.0%}")
        named = [f"{class_name(one, self.classes)} {self.probabilities[one]:.0%}" for one in self.labels]
        return caption(picture, ", ".join(named) or "no label")

    def _binary_name(self) -> str:
        answer = len(self.labels)
        if self.classes is not None and len(self.classes) == 2:
            return self.classes[answer]
        name = self.classes[0] if self.classes else "yes"
        return name if answer else ("no" if name == "yes" else f"not {name}")
