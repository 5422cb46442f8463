"""Two paths' answers compared sample by sample; sums are kept and no answers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitc.errors import UsageError
from splitc.tasks.agreement import TaskAccuracy, TaskAgreement
from splitc.tasks.answer import Document
from splitc.tasks.intervals import FEW_SAMPLES, PairedDifference, RunningShare, Share, percent
from splitc.tasks.truth import Truth
from splitc.types import Array, Feeds


@dataclass(frozen=True)
class SampleVerdict:
    """One sample: ``agreeing`` of ``of`` parts agree, and the smooth distance."""

    agreeing: float
    of: float
    divergence: float


class RunningComparison(ABC):
    """Accumulates a :class:`TaskAgreement`; what a task adds are the abstract methods.

    Args:
        task: The task's name.
        reads: Outputs that the task reads. A sample in which one of them has NaN or an infinity, on either path, is
            counted as not agreeing, and named.
    """

    measure: str
    """What the fidelity is the share of, as it stands in the headline."""
    divergence_unit: str
    """What the smooth distance is, with its unit."""
    divergence_gate: str = "max_divergence"
    drop_gates: ClassVar[Mapping[str, str]] = {}
    """Gate of an accuracy measure: measure -> gate."""

    def __init__(self, task: str, reads: Sequence[str]) -> None:
        self.task = task
        self.samples = 0
        self.labelled = 0
        self._reads = tuple(reads)
        self._share = RunningShare()
        self._divergence = 0.0
        self._spread = PairedDifference()
        self._worst: tuple[float, int] | None = None
        self._broken = {"reference": 0, "other": 0}
        self._broken_samples = 0

    def add(self, reference: Feeds, other: Feeds, truth: Truth | None = None) -> None:
        """Count one sample.

        Args:
            reference: Outputs of the unsplit network by name, batch 1.
            other: Outputs of the other path, of the same shapes.
            truth: Its label; of objects and pixels, as the network's input shows them (``BoundTask.place``).

        Raises:
            UsageError: An output is missing or has another shape, or the label is not of this task's kind.
        """
        first, second = self._sound(reference, "reference"), self._sound(other, "other")
        if first is not None and second is not None:
            verdict = self._compare(first, second)
        else:
            self._broken_samples += 1
            verdict = self._lost(first, second)
        self._share.add(verdict.agreeing, verdict.of)
        self._divergence += verdict.divergence
        if math.isfinite(verdict.divergence):
            self._spread.add(verdict.divergence, 0.0)
        if self._worst is None or verdict.divergence > self._worst[0]:
            self._worst = verdict.divergence, self.samples
        self.samples += 1
        if truth is not None:
            self._judge(first, second, truth)
            self.labelled += 1

    def result(self) -> TaskAgreement:
        """The verdict over the samples so far.

        Raises:
            UsageError: No sample was added.
        """
        if not self.samples:
            raise UsageError(f"task {self.task!r}: no sample was compared; give at least one for verification.")
        share, divergence = self._fidelity(), self._divergence / self.samples
        accuracy = tuple(self._accuracy()) if self.labelled else ()
        return TaskAgreement(
            task=self.task,
            measure=self.measure,
            fidelity=share,
            divergence=divergence,
            divergence_unit=self.divergence_unit,
            samples=self.samples,
            labelled=self.labelled,
            accuracy=accuracy,
            gates=self._gates(share, divergence, accuracy),
            gate_errors=self._gate_errors(accuracy),
            details=self._all_details(),
            headline=" ".join([self._headline(share, divergence), *self._warnings(accuracy)]),
        )

    def _sound(self, outputs: Feeds, side: str) -> Feeds | None:
        """The outputs; None, and counted, where they have NaN or infinities."""
        for name in self._reads:
            if name not in outputs:
                raise UsageError(
                    f"task {self.task!r}: a path lacks the output {name!r}; it has {', '.join(sorted(outputs))}."
                )
        if all(is_finite(outputs[name]) for name in self._reads):
            return outputs
        self._broken[side] += 1
        return None

    def _gates(self, share: Share, divergence: float, accuracy: Sequence[TaskAccuracy]) -> dict[str, float]:
        """Of what scores 0 on the unsplit network nothing can be lost: its drop is not measured."""
        judged = [one for one in accuracy if one.name in self.drop_gates and one.reference > 0]
        drops = {self.drop_gates[one.name]: one.drop for one in judged}
        return {"min_fidelity": share.value, self.divergence_gate: divergence, **drops}

    def _gate_errors(self, accuracy: Sequence[TaskAccuracy]) -> dict[str, float]:
        found = {self.drop_gates[one.name]: one.drop_error for one in accuracy if one.name in self.drop_gates}
        found[self.divergence_gate] = self._spread.error if math.isfinite(self._divergence) else None
        return {gate: error for gate, error in found.items() if error is not None}

    def _all_details(self) -> Document:
        assert self._worst is not None
        return {
            **self._details(),
            "worst_sample": self._worst[1],
            "worst_divergence": self._worst[0],
            "not_finite_samples": {**self._broken},
        }

    def _warnings(self, accuracy: Sequence[TaskAccuracy]) -> list[str]:
        """What a reader must know before believing the headline."""
        said = list(self._remarks())
        if accuracy:
            said.append(f"Against the labels of {self._labelled_text}, {accuracy[0].text}.")
        if self._broken_samples:
            sides = [f"{count} of {_SIDES[side]}" for side, count in self._broken.items() if count]
            said.insert(0, f"NaN or infinities in {self._broken_samples} of {self.samples} ({' and '.join(sides)}).")
        if accuracy and accuracy[0].is_share and not accuracy[0].reference:
            said.append("The unsplit network scores 0 against the labels, so no loss can show: look at data.labels.")
        if accuracy and self.labelled < FEW_SAMPLES <= self.samples:
            said.append(
                f"Few labels: {self.labelled}, fewer than {FEW_SAMPLES}; what is measured against them may be luck."
            )
        if self.samples < FEW_SAMPLES:
            said.append(f"Few samples: {self.samples}, fewer than {FEW_SAMPLES}; the interval says what they can show.")
        return said

    @property
    def _labelled_text(self) -> str:
        """``40 samples``; where only some are labelled, ``10 of 40 samples``."""
        of = "" if self.labelled == self.samples else f" of {self.samples}"
        return f"{self.labelled}{of} {'sample' if self.samples == 1 else 'samples'}"

    @property
    def _on_samples(self) -> str:
        return f"on {self.samples} {'sample' if self.samples == 1 else 'samples'}"

    def _headline(self, share: Share, divergence: float) -> str:
        return (
            f"{percent(share.value)} of {self.measure} ({interval_text(share)}), {self._on_samples}; "
            f"mean {self.divergence_unit}: {divergence:.4g}."
        )

    def _fidelity(self) -> Share:
        return self._share.share()

    def _lost(self, reference: Feeds | None, other: Feeds | None) -> SampleVerdict:
        """One sample with NaN or infinities; None stands for the broken side."""
        return SampleVerdict(0.0, self._units(reference, other), math.inf)

    def _units(self, reference: Feeds | None, other: Feeds | None) -> float:
        """Parts of a sample that cannot be compared, all of which are lost; None stands for the broken side."""
        return 1.0

    def _remarks(self) -> Sequence[str]:
        """Sentences that follow the headline."""
        return ()

    @abstractmethod
    def _compare(self, reference: Feeds, other: Feeds) -> SampleVerdict:
        """One sample whose outputs are finite on both paths."""

    @abstractmethod
    def _judge(self, reference: Feeds | None, other: Feeds | None, truth: Truth) -> None:
        """One labelled sample; None stands for outputs with NaN or infinities, which are wrong."""

    @abstractmethod
    def _accuracy(self) -> Sequence[TaskAccuracy]:
        """Measures over the labelled samples; at least one is."""

    @abstractmethod
    def _details(self) -> Document:
        """More numbers over the samples."""


_SIDES = {"reference": "the unsplit network", "other": "the other path"}


def interval_text(share: Share) -> str:
    """``95 % interval 87.1 to 99.6 %, Wilson``."""
    low, high = (percent(one) for one in share.interval)
    return f"95 % interval {low.removesuffix(' %')} to {high}, {share.method}"


def is_finite(array: Array) -> bool:
    """No NaN and no infinity; integers and booleans have none."""
    return array.dtype.kind not in "fV" or bool(np.isfinite(array.astype(np.float64)).all())


def output_of(outputs: Feeds, name: str, task: str) -> Array:
    """One output.

    Raises:
        UsageError: It is missing.
    """
    if name not in outputs:
        raise UsageError(f"task {task!r}: the output {name!r} is missing; there are {', '.join(sorted(outputs))}.")
    return np.asarray(outputs[name])


def finite_output(outputs: Feeds, name: str, task: str) -> Array:
    """One output that is an answer.

    Raises:
        UsageError: It is missing, or has NaN or infinities.
    """
    array = output_of(outputs, name, task)
    if not is_finite(array):
        raise UsageError(f"output {name!r} has NaN or infinities: the network gave no answer.")
    return array


def same_shape(reference: Array, other: Array, name: str) -> None:
    """Raises: UsageError: the arrays have different shapes."""
    if reference.shape != other.shape:
        raise UsageError(
            f"output {name!r}: the unsplit network gives {list(reference.shape)} and the other path "
            f"{list(other.shape)}; outputs of different shapes cannot be compared, look at the other path's graph."
        )


def wrong_label(task: str, truth: Truth, wanted: str) -> UsageError:
    """The refusal of a label of another kind."""
    return UsageError(f"labels of task {task!r} are {wanted}, not {type(truth).__name__}; look at data.labels.")
