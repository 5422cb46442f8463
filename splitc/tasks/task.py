"""What a task is, and a task bound to the outputs of one network.

Task (options, from the recipe) ── bind(outputs, inputs, classes) ──► BoundTask ── settle(examples) ──► BoundTask
                                                                        │
              answer(outputs) ► what `run` prints and draws ◄───────────┤
              comparison() ► add(reference, other, truth) ► result() ◄──┤
              labels(path) ► what is known about the samples ◄──────────┘
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from splitc.errors import RecipeError
from splitc.registry import Component
from splitc.tasks.agreement import TaskAgreement
from splitc.tasks.answer import TaskAnswer
from splitc.tasks.comparison import RunningComparison
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.placement import Placement
from splitc.tasks.truth import Truth
from splitc.types import F64, Feeds, TensorSpec


@dataclass(frozen=True)
class BindRequest:
    """The network that a task is bound to.

    Attributes:
        outputs: Its outputs, in order.
        inputs: Its inputs, in order.
        classes: Names of classes by index; None where they are unknown.
    """

    outputs: Sequence[TensorSpec]
    inputs: Sequence[TensorSpec] = ()
    classes: Sequence[str] | None = None

    def output(self, name: str | None, task: str) -> TensorSpec:
        """The output called ``name``, or the first.

        Raises:
            RecipeError: There is none of that name, or none at all.
        """
        known = ", ".join(spec.name for spec in self.outputs)
        found = [spec for spec in self.outputs if name in (None, spec.name)]
        if not found:
            raise RecipeError(f"task {task!r}: the network has no output {name!r}; it has {known or 'none'}.")
        return found[0]


class Task(Component):
    """Options of one kind of answer."""

    gates: ClassVar[tuple[str, ...]]
    """Names of the gates that exist for it; those against labels end in ``_drop``."""
    unspelled: ClassVar[Mapping[str, object] | None] = None
    """Options that a bundle means which spells none; None where a bundle always spells them."""

    @abstractmethod
    def bind(self, network: BindRequest) -> BoundTask:
        """Find this task's answers among the outputs of a network.

        Raises:
            RecipeError: The outputs cannot be read as such answers, or could be read in several ways.
        """


@dataclass(frozen=True, eq=False)
class BoundTask(ABC):
    """A task that knows which outputs of a network it reads, and how.

    Attributes:
        task: The options with everything recognised spelled out; binding them again gives the same without examples.
        notes: What was recognised, and how.
        reads: Outputs that are read, by name.
        classes: Names of classes by index; None where they are unknown.
    """

    task: Task
    notes: tuple[str, ...]
    reads: tuple[str, ...]
    classes: Sequence[str] | None

    @property
    def is_settled(self) -> bool:
        """Whether shapes and options told everything; else :meth:`settle` must look at real outputs first."""
        return True

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the gates that exist for these outputs."""
        return self.task.gates

    @property
    def takes_labels(self) -> bool:
        """Whether answers can be judged against labels."""
        return True

    @property
    def name_counts(self) -> tuple[int, ...]:
        """How many names of classes fit these outputs; empty where the outputs do not tell."""
        return ()

    @property
    def has_open_sizes(self) -> bool:
        """Whether an answer may have another size for another sample."""
        return False

    def label_fault(self, truth: Truth, reference: Feeds) -> str:
        """Why a label can be no answer, as the end of a sentence about its sample; empty where it can.

        Args:
            truth: The label.
            reference: Outputs of the unsplit network for the sample.
        """
        return ""

    def settle(self, examples: Iterable[Feeds]) -> BoundTask:
        """Decide by real outputs of the unsplit network what shapes do not tell.

        Args:
            examples: Outputs by name, batch 1, a few samples.

        Raises:
            RecipeError: The outputs contradict the options.
        """
        return self

    def pull(self, outputs: Feeds, rng: np.random.Generator) -> Feeds | None:
        """A random direction of the outputs as :mod:`splitc.tasks.pulls` has it; None where none is known.

        Args:
            outputs: Finite, of the unsplit network for one sample.
            rng: Draws it.

        Returns:
            float32 of the shape of each output that is felt, by name.
        """
        return None

    @abstractmethod
    def answer(self, outputs: Feeds) -> TaskAnswer:
        """What the network said about one sample.

        Raises:
            UsageError: An output is missing, or has NaN or infinities.
        """

    @abstractmethod
    def comparison(self) -> RunningComparison:
        """A new accumulator of how well another path agrees."""

    @abstractmethod
    def divergence(self, reference: Feeds, other: Feeds) -> float:
        """The smooth distance of one sample, for sensitivity loops; infinite where there are NaN or infinities."""

    def divergence_parts(self, reference: Feeds, other: Feeds) -> tuple[float, ...]:
        """What :meth:`divergence` is the sum of, where parts of unlike scales would drown each other."""
        return (self.divergence(reference, other),)

    @property
    def has_many_answers(self) -> bool:
        """Whether an output holds many answers, each against a threshold: INT8 then leaves the last layers in float."""
        return False

    @property
    def int8_fidelity(self) -> float | None:
        """Fidelity up to which layers of INT8 return to float without a gate; None: all of them stay quantized."""
        return None

    def holds(self, verdict: TaskAgreement, least: float) -> bool:
        """Whether the answers of another path are as good as a fidelity of ``least`` wants."""
        return verdict.fidelity.value >= least

    def decision_scores(self, outputs: Feeds) -> F64 | None:
        """Logarithms of what competes for the decision, float64 ``[n]``, of finite outputs: the largest one wins.

        Their leads tell how often small moves may be expected to overturn a decision. None where an answer is not one
        decision.
        """
        return None

    @abstractmethod
    def labels(self, path: Path) -> LabelTable:
        """Read what is known about samples.

        Raises:
            UsageError: Not there, or of no known format.
            CapabilityError: Judging by such labels needs an extra that is not installed.
        """

    def place(self, truth: Truth, placement: Placement) -> Truth:
        """A label about a picture as the network's input shows it; classes and values stay."""
        return truth
