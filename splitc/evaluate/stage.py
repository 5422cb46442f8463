"""One stage of a verification: how its answers compare with the unsplit model's, and with those of the stage before."""

from __future__ import annotations

import numpy as np
from pydantic import JsonValue, field_serializer

from splitc.tasks import BoundTask, KeptOutputs, TaskAgreement, Truth, cosine
from splitc.types import F32, Feeds, Frozen


class Stage(Frozen):
    """One stage: against the full model, and what it adds to the stage before it.

    Attributes:
        name: Of the stage.
        fidelity: The task's headline share.
        kl, added_kl: The task's smooth distance where that is a KL divergence, nats; else None.
        cosine: Mean cosine similarity of the outputs that the task reads; None where answers differ in size.
        max_abs_diff, added_max_abs_diff: Largest absolute difference of those outputs; None in the same case.
        top1: Share of labelled samples answered rightly; None without labels, or where answers are no classes.
        divergence, added_divergence: The task's smooth distance.
        agreement: Everything that the task measured, against the full model.
    """

    name: str
    fidelity: float
    kl: float | None
    cosine: float | None
    max_abs_diff: float | None
    top1: float | None
    added_kl: float | None
    added_max_abs_diff: float | None
    divergence: float
    added_divergence: float
    agreement: TaskAgreement

    @field_serializer("agreement")
    def _document(self, agreement: TaskAgreement) -> dict[str, JsonValue]:
        return agreement.document()


class StageSums:
    """Sums of one stage over the samples; no answers are kept."""

    def __init__(self, name: str, task: BoundTask) -> None:
        self.name, self._task = name, task
        self._total = task.comparison()
        self._added = 0.0
        self._tensors, self._added_distance = _TensorSums(), _LargestDistance()

    def add(self, full: ReadOutputs, before: ReadOutputs, answer: ReadOutputs, truth: Truth | None) -> None:
        """Count one sample: the full model's answer, that of the stage before, and this stage's."""
        self._total.add(full.outputs, answer.outputs, truth)
        self._added += 0.0 if before is answer else self._task.divergence(before.outputs, answer.outputs)
        self._tensors.add(full.flat, answer.flat)
        self._added_distance.add(before.flat, answer.flat)

    def stage(self) -> Stage:
        """The stage so far; at least one sample was added."""
        found = self._total.result()
        added, is_kl = self._added / found.samples, "max_kl" in found.gates
        return Stage(
            name=self.name,
            fidelity=found.fidelity.value,
            kl=found.divergence if is_kl else None,
            cosine=self._tensors.cosine,
            max_abs_diff=self._tensors.max_abs_diff,
            top1=next((one.other for one in found.accuracy if one.name == "top1"), None),
            added_kl=added if is_kl else None,
            added_max_abs_diff=self._added_distance.value,
            divergence=found.divergence,
            added_divergence=added,
            agreement=found,
        )


class ReadOutputs:
    """Outputs of one sample that the task reads.

    Attributes:
        outputs: By name.
        flat: The same as one row of float32.
    """

    def __init__(self, outputs: Feeds, names: tuple[str, ...]) -> None:
        self.outputs: Feeds = KeptOutputs({name: np.asarray(outputs[name]) for name in names})
        self.flat: F32 = np.concatenate([array.astype(np.float32).ravel() for array in self.outputs.values()])

    def equals(self, other: ReadOutputs) -> bool:
        """Whether all outputs have the same type, shape and values."""
        pairs = zip(self.outputs.values(), other.outputs.values(), strict=True)
        return all(one.dtype == two.dtype and np.array_equal(one, two) for one, two in pairs)


class _LargestDistance:
    """Of outputs as tensors; answers of different sizes cannot be compared so."""

    def __init__(self) -> None:
        self._largest: float | None = 0.0

    def add(self, one: F32, other: F32) -> None:
        if self._largest is None or one.size != other.size:
            self._largest = None
        elif one is not other:
            self._largest = max(self._largest, float(np.max(np.abs(np.float64(one) - np.float64(other)), initial=0.0)))

    @property
    def value(self) -> float | None:
        """Largest absolute difference of a value; None where answers differ in size."""
        return self._largest


class _TensorSums:
    """Outputs as tensors."""

    def __init__(self) -> None:
        self._samples, self._cosine = 0, 0.0
        self._distance = _LargestDistance()

    def add(self, one: F32, other: F32) -> None:
        self._distance.add(one, other)
        if self._distance.value is not None:
            self._samples += 1
            self._cosine += cosine(one, other)

    @property
    def cosine(self) -> float | None:
        return None if self._distance.value is None else self._cosine / self._samples

    @property
    def max_abs_diff(self) -> float | None:
        return self._distance.value
