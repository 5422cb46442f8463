"""Features: tensors are compared as tensors, whatever they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from splitc.errors import UsageError
from splitc.tasks.agreement import TaskAccuracy
from splitc.tasks.answer import Document, TaskAnswer
from splitc.tasks.comparison import (
    RunningComparison,
    SampleVerdict,
    interval_text,
    is_finite,
    output_of,
    same_shape,
    wrong_label,
)
from splitc.tasks.divergences import cosine, relative_squared_error
from splitc.tasks.heads.head import shape_text
from splitc.tasks.intervals import Share
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.pulls import as_output, of_values
from splitc.tasks.task import BindRequest, BoundTask, Task
from splitc.tasks.truth import Truth
from splitc.types import Array, Feeds

if TYPE_CHECKING:
    from PIL.Image import Image


class Features(Task):
    """Tensors that no task here reads.

    Fidelity is the mean cosine similarity of the outputs, never below 0; the smooth distance is their squared distance
    by the mean of both squared lengths, the mean over the outputs. Neither says what a user of the network would see.
    """

    name: ClassVar[str] = "features"
    gates: ClassVar[tuple[str, ...]] = ("min_fidelity", "max_divergence")
    unspelled: ClassVar[Mapping[str, object] | None] = {}

    outputs: tuple[str, ...] | None = Field(None, description="names of the outputs that are compared; all by default")

    def bind(self, network: BindRequest) -> BoundTask:
        names = self.outputs or tuple(spec.name for spec in network.outputs)
        specs = [network.output(name, self.name) for name in names or (None,)]
        shapes = ", ".join(f"{spec.name!r} {shape_text(spec.shape)}" for spec in specs)
        notes = (f"outputs {shapes}: compared as tensors; what they mean to a user is not measured",)
        options = self.model_copy(update={"outputs": tuple(spec.name for spec in specs)})
        return BoundFeatures(options, notes, tuple(spec.name for spec in specs), network.classes)


@dataclass(frozen=True, eq=False)
class Tensors(TaskAnswer):
    """Outputs as they are.

    Attributes:
        arrays: By name.
    """

    is_for_people: ClassVar[bool] = False

    arrays: Feeds

    def describe(self) -> Document:
        return {
            name: {"shape": list(array.shape), "mean": float(np.mean(array, dtype=np.float64)) if array.size else 0.0}
            for name, array in self.arrays.items()
        }

    def draw(self, picture: Image) -> Image:
        from splitc.tasks.drawing import caption  # Pillow

        return caption(picture, ", ".join(f"{name} {list(array.shape)}" for name, array in self.arrays.items()))


@dataclass(frozen=True, eq=False)
class BoundFeatures(BoundTask):
    """Outputs that are compared as tensors."""

    @property
    def takes_labels(self) -> bool:
        return False

    def answer(self, outputs: Feeds) -> Tensors:
        return Tensors({name: output_of(outputs, name, "features") for name in self.reads})

    def comparison(self) -> RunningComparison:
        return TensorComparison(self.reads)

    def divergence(self, reference: Feeds, other: Feeds) -> float:
        pairs = [(output_of(reference, name, "features"), output_of(other, name, "features")) for name in self.reads]
        for name, pair in zip(self.reads, pairs, strict=True):
            same_shape(*pair, name)
        if not all(is_finite(one) for pair in pairs for one in pair):
            return float("inf")
        return float(np.mean([relative_squared_error(*pair) for pair in pairs]))

    def pull(self, outputs: Feeds, rng: np.random.Generator) -> Feeds | None:
        share = np.sqrt(1 / len(self.reads))
        return {name: as_output(share * of_values(outputs[name], rng), outputs[name]) for name in self.reads}

    def labels(self, path: Path) -> LabelTable:
        raise UsageError(f'{path}: tensors of the task "features" have no labels; name another task, or no labels.')


class TensorComparison(RunningComparison):
    """Outputs of both paths as tensors.

    Args:
        reads: Outputs that are compared.
    """

    measure = "mean cosine similarity of the output tensors"
    divergence_unit = "squared difference by the squared values"

    def __init__(self, reads: Sequence[str]) -> None:
        super().__init__("features", reads)
        self._largest = 0.0
        self._by_output = dict.fromkeys(reads, 0.0)

    def _compare(self, reference: Feeds, other: Feeds) -> SampleVerdict:
        cosines, errors = [], []
        for name in self._reads:
            first, second = np.asarray(reference[name]), np.asarray(other[name])
            same_shape(first, second, name)
            cosines.append(max(cosine(first, second), 0.0))
            errors.append(relative_squared_error(first, second))
            self._by_output[name] += cosines[-1]
            self._largest = max(self._largest, _largest_difference(first, second))
        elements = self._units(reference, other)
        return SampleVerdict(float(np.mean(cosines)) * elements, elements, float(np.mean(errors)))

    def _units(self, reference: Feeds | None, other: Feeds | None) -> float:
        sound = reference if reference is not None else other
        return 1.0 if sound is None else float(sum(max(np.asarray(sound[name]).size, 1) for name in self._reads))

    def _judge(self, reference: Feeds | None, other: Feeds | None, truth: Truth) -> None:
        raise wrong_label(self.task, truth, "none: tensors have no labels")

    def _accuracy(self) -> Sequence[TaskAccuracy]:
        return ()

    def _details(self) -> Document:
        compared = max(self.samples - self._broken_samples, 1)
        return {
            "cosine": {name: total / compared for name, total in self._by_output.items()},
            "max_abs_diff": self._largest,
        }

    def _headline(self, share: Share, divergence: float) -> str:
        return (
            f"The {self.measure} is {share.value:.4f} ({interval_text(share)}), {self._on_samples}; "
            f"mean {self.divergence_unit}: {divergence:.4g}. Tensors "
            "were compared; what a user of the network would see was not measured."
        )


def _largest_difference(one: Array, other: Array) -> float:
    return float(np.max(np.abs(one.astype(np.float64) - other.astype(np.float64)), initial=0.0))
