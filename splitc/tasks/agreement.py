"""The verdict of a task over all samples."""

from __future__ import annotations

import math

from pydantic import Field, JsonValue

from splitc.tasks.answer import Document
from splitc.tasks.intervals import Share
from splitc.types import Frozen


class TaskAccuracy(Frozen):
    """One measure against labels, of the unsplit network and of the other path.

    Attributes:
        name: ``top1``, ``map50`` ...
        reference, other: The measure of each.
        labelled: Samples with labels.
        is_share: 0 to 1 and more is better; else an error in the labels' unit.
        drop_error: Standard error of ``drop``, both paths on the same samples; None where it is not known.
    """

    name: str
    reference: float
    other: float
    labelled: int
    is_share: bool = True
    drop_error: float | None = None

    @property
    def drop(self) -> float:
        """What the other path loses; negative where it gains."""
        return self.reference - self.other if self.is_share else self.other - self.reference

    @property
    def text(self) -> str:
        """``map50_95 is 0.248 and the unsplit network's 0.243 (drop -0.005, standard error 0.006)``."""
        drop = f"drop {self.drop:.2g}"
        if self.drop_error is not None:
            drop += f", standard error {self.drop_error:.2g}"
        return f"{self.name} is {self.other:.3g} and the unsplit network's {self.reference:.3g} ({drop})"


class TaskAgreement(Frozen):
    """How well the answers of a path agree with those of the unsplit network.

    Attributes:
        task: The task's name.
        measure: What ``fidelity`` is the share of.
        fidelity: The task's headline share with its interval; samples with NaN or infinities never agree.
        divergence: Mean of the task's smooth distance over the samples, never below 0; infinite where a sample has NaN
            or infinities.
        divergence_unit: What ``divergence`` is, with its unit.
        samples: How many were compared.
        labelled: How many of them had labels.
        accuracy: Against labels, where there are any.
        gates: Value of every gate that could be measured.
        gate_errors: Standard error of those that are means or drops, where two samples or more tell it.
        details: More numbers of the task.
        headline: All of this in English.
    """

    task: str
    measure: str
    fidelity: Share
    divergence: float = Field(ge=0)
    divergence_unit: str
    samples: int
    labelled: int = 0
    accuracy: tuple[TaskAccuracy, ...]
    gates: dict[str, float]
    gate_errors: dict[str, float] = Field({})
    details: dict[str, JsonValue]
    headline: str

    def document(self) -> Document:
        """The verdict as JSON; numbers that are not finite become null."""
        dumped: Document = self.model_dump(mode="json")
        cleaned = _finite(dumped)
        assert isinstance(cleaned, dict)
        return cleaned


def _finite(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
