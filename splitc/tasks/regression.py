"""Regression: the network's answer is numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from splitc.errors import UsageError
from splitc.tasks.agreement import TaskAccuracy
from splitc.tasks.answer import Document, TaskAnswer, class_name
from splitc.tasks.comparison import (
    RunningComparison,
    SampleVerdict,
    finite_output,
    is_finite,
    output_of,
    same_shape,
    wrong_label,
)
from splitc.tasks.divergences import relative_squared_error
from splitc.tasks.heads.head import shape_text
from splitc.tasks.labels.csv_labels import read_value_labels
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.log_histogram import LogHistogram
from splitc.tasks.pulls import as_output, of_values
from splitc.tasks.task import BindRequest, BoundTask, Task
from splitc.tasks.truth import Truth
from splitc.types import F64, Feeds

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_LISTED = 64
"""Values that a description lists."""


class Regression(Task):
    """The network's answer is numbers: scores, coordinates, depths.

    Fidelity is the share of values within ``tolerance + relative * |value|`` of the unsplit network's. The smooth
    distance is the squared distance by the mean of both squared lengths, 0 to 4.
    """

    name: ClassVar[str] = "regression"
    gates: ClassVar[tuple[str, ...]] = ("min_fidelity", "max_divergence")

    output: str | None = Field(None, description="name of the output with the values; the first by default")
    tolerance: float = Field(0.0, ge=0, description="largest difference of equal values, in the output's unit")
    relative: float = Field(0.05, ge=0, lt=1, description="the same as a share of the unsplit network's value, added")

    def bind(self, network: BindRequest) -> BoundTask:
        spec = network.output(self.output, self.name)
        options = self.model_copy(update={"output": spec.name})
        note = f"output {spec.name!r} {shape_text(spec.shape)}: values, equal {tolerance_text(self)}"
        return BoundRegression(options, (note,), (spec.name,), network.classes, options)


@dataclass(frozen=True, eq=False)
class Values(TaskAnswer):
    """Numbers of one sample, float64 ``[V]``.

    Attributes:
        values: The numbers.
        names: Their names; None where they are unknown.
    """

    values: F64
    names: Sequence[str] | None = None

    def describe(self) -> Document:
        return {
            "count": self.values.size,
            "values": {
                class_name(index, self.names).replace("class ", "value "): float(value)
                for index, value in enumerate(self.values[:MOST_LISTED])
            },
        }

    @property
    def text(self) -> str:
        named = [
            f"{self.names[index]} {value:.4g}" if self.names and index < len(self.names) else f"{value:.4g}"
            for index, value in enumerate(self.values[:4])
        ]
        return ", ".join(named) + (" ..." if self.values.size > 4 else "")

    def draw(self, picture: Image) -> Image:
        from splitc.tasks.drawing import caption  # Pillow

        return caption(picture, self.text)


@dataclass(frozen=True, eq=False)
class BoundRegression(BoundTask):
    """Values among the outputs.

    Attributes:
        options: The task's options.
    """

    options: Regression

    @property
    def has_open_sizes(self) -> bool:
        return True

    def answer(self, outputs: Feeds) -> Values:
        values = finite_output(outputs, self.reads[0], self.task.name)
        return Values(values.astype(np.float64).ravel(), self.classes)

    def comparison(self) -> RunningComparison:
        return ValueComparison(self.reads[0], self.options)

    def divergence(self, reference: Feeds, other: Feeds) -> float:
        first, second = (output_of(outputs, self.reads[0], self.task.name) for outputs in (reference, other))
        same_shape(first, second, self.reads[0])
        return relative_squared_error(first, second) if is_finite(first) and is_finite(second) else float("inf")

    def pull(self, outputs: Feeds, rng: np.random.Generator) -> Feeds | None:
        output = np.asarray(outputs[self.reads[0]])
        return {self.reads[0]: as_output(of_values(output, rng), output)}

    def labels(self, path: Path) -> LabelTable:
        return read_value_labels(path)


class ValueComparison(RunningComparison):
    """Values of both paths.

    Args:
        output: Output with the values.
        options: The tolerance.
    """

    divergence_unit = "squared difference by the squared values"

    def __init__(self, output: str, options: Regression) -> None:
        super().__init__(options.name, [output])
        self.measure = f"values are the unsplit network's {tolerance_text(options)}"
        self._output, self._options = output, options
        self._errors = LogHistogram()
        self._labelled_errors = np.zeros((2, 2))  # paths x (sum of absolute errors, of squares)
        self._labelled_values = 0

    def _compare(self, reference: Feeds, other: Feeds) -> SampleVerdict:
        first, second = np.asarray(reference[self._output]), np.asarray(other[self._output])
        same_shape(first, second, self._output)
        wanted, got = first.astype(np.float64).ravel(), second.astype(np.float64).ravel()
        errors = np.abs(wanted - got)
        self._errors.add(errors)
        within = errors <= self._options.tolerance + self._options.relative * np.abs(wanted)
        return SampleVerdict(float(within.sum()), float(within.size), relative_squared_error(wanted, got))

    def _units(self, reference: Feeds | None, other: Feeds | None) -> float:
        sound = reference if reference is not None else other
        return 1.0 if sound is None else float(max(np.asarray(sound[self._output]).size, 1))

    def _judge(self, reference: Feeds | None, other: Feeds | None, truth: Truth) -> None:
        if not isinstance(truth, np.ndarray):
            raise wrong_label(self.task, truth, "numbers")
        self._labelled_values += truth.size
        for side, outputs in enumerate((reference, other)):
            if outputs is None:
                self._labelled_errors[side] = np.inf
                continue
            values = np.asarray(outputs[self._output], np.float64).ravel()
            if values.size != truth.size:
                raise UsageError(f"labels: {truth.size} values for a sample, and the network answers {values.size}.")
            errors = np.abs(values - truth)
            self._labelled_errors[side] += errors.sum(), np.square(errors).sum()

    def _accuracy(self) -> Sequence[TaskAccuracy]:
        means = self._labelled_errors / max(self._labelled_values, 1)
        means[:, 1] = np.sqrt(means[:, 1])
        return [
            TaskAccuracy(name=name, reference=pair[0], other=pair[1], labelled=self.labelled, is_share=False)
            for name, pair in zip(("mean_absolute_error", "root_mean_square_error"), means.T, strict=True)
        ]

    def _details(self) -> Document:
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        quantiles = {name: self._errors.quantile(share) for name, share in shares.items()}
        return {"absolute_error": {**quantiles, "max": self._errors.largest}}


def tolerance_text(options: Regression) -> str:
    """``within 5 %``, ``within 0.1``, ``within 0.1 + 5 %``."""
    parts = [f"{options.tolerance:g}"] if options.tolerance or not options.relative else []
    parts += [f"{100 * options.relative:g} %"] if options.relative else []
    return f"within {' + '.join(parts)}"
