"""Classification: one class of many, several labels, or yes and no."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from splitc.errors import RecipeError, UsageError
from splitc.tasks.activations import Activation, decide, seen_values
from splitc.tasks.answer import TaskAnswer
from splitc.tasks.class_comparisons import ClassComparison, LabelComparison
from splitc.tasks.class_scores import ClassScores, LabelScores
from splitc.tasks.comparison import RunningComparison, finite_output, is_finite, output_of
from splitc.tasks.divergences import LEAST, bernoulli_kl, kl, log_of, log_softmax, sigmoid
from splitc.tasks.labels.csv_labels import read_class_labels
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.pulls import as_output, of_classes, of_labels
from splitc.tasks.task import BindRequest, BoundTask, Task
from splitc.tasks.truth import Truth, class_fault
from splitc.types import F64, Array, Feeds, TensorSpec

MOST_EXAMPLES = 64
"""Examples that decide between logits and probabilities; more are not looked at."""


class Classification(Task):
    """The network's answer is a class, or labels.

    Fidelity is the share of unchanged decisions: the likeliest class (Chen et al. 2019, eq. 2 as its table has it), or
    the set of labels from ``threshold`` on. The smooth distance is the KL divergence of the probabilities, nats.
    """

    name: ClassVar[str] = "classification"
    gates: ClassVar[tuple[str, ...]] = ("min_fidelity", "max_kl", "max_top1_drop")
    unspelled: ClassVar[Mapping[str, object] | None] = {"activation": "logits"}

    output: str | None = Field(None, description="name of the output with the scores; the first by default")
    activation: Activation = Field(
        "auto", description="whether softmax (or sigmoid) is still to be applied; auto tells it by real outputs"
    )
    multi_label: bool = Field(False, description="every score is a label by itself, set or not")
    threshold: float = Field(0.5, gt=0, lt=1, description="probability from which a label is set")
    top: int = Field(5, ge=1, le=1000, description="how many classes an answer lists")

    def bind(self, network: BindRequest) -> BoundTask:
        spec = network.output(self.output, self.name)
        count = class_count(spec, self.name)
        if self.multi_label or count == 1:
            kind = "independent labels" if count != 1 else "one yes-or-no answer"
        else:
            kind = f"{count} classes" if count else "classes"
        notes = [f"output {spec.name!r} {_shape_text(spec)}: {kind}"]
        if self.output is None and len(network.outputs) > 1:
            notes.append(f"the first of {len(network.outputs)} outputs is read; the option `output` names another")
        if network.classes is not None and count and len(network.classes) not in _name_counts(count):
            notes.append(f"data.classes names {len(network.classes)} of {count} classes; others are called by number")
        return BoundClassification(
            task=self.model_copy(update={"output": spec.name}),
            notes=tuple(notes),
            reads=(spec.name,),
            classes=network.classes,
            options=self,
            is_independent=self.multi_label or count == 1,
            count=count,
        )

    def joined(self, scores: Array, activation: Activation, *, is_independent: bool) -> F64:
        """One sample's scores as log-probabilities ``[C]``, or as probabilities of independent labels.

        Args:
            scores: As the network gives them, batch 1.
            activation: Logits or probabilities.
            is_independent: Whether they are labels.

        Raises:
            UsageError: Several samples.
        """
        if scores.ndim > 1 and scores.shape[0] != 1:
            raise UsageError(f"task {self.name!r}: scores of {scores.shape[0]} samples; give one sample at a time.")
        return normalized(np.asarray(scores, np.float64).ravel(), activation, is_independent=is_independent)


@dataclass(frozen=True, eq=False)
class BoundClassification(BoundTask):
    """Scores of classes.

    Attributes:
        options: The task's options.
        is_independent: Every score is a yes or no by itself.
        count: How many scores there are.
        activation: As settled.
    """

    options: Classification
    is_independent: bool
    count: int

    @property
    def activation(self) -> Activation:
        return self.options.activation

    @property
    def is_settled(self) -> bool:
        return self.activation != "auto"

    @property
    def name_counts(self) -> tuple[int, ...]:
        return _name_counts(self.count) if self.count else ()

    def label_fault(self, truth: Truth, reference: Feeds) -> str:
        if self.is_independent or not isinstance(truth, int):
            return ""
        return class_fault([truth], np.asarray(reference[self.reads[0]]).size)

    def settle(self, examples: Iterable[Feeds]) -> BoundTask:
        if self.is_settled:
            return self
        name = self.reads[0]
        rows = [np.asarray(one[name], np.float64) for one in itertools.islice(examples, MOST_EXAMPLES)]
        seen = seen_values([row.reshape(-1, row.shape[-1] if row.ndim == 2 else row.size) for row in rows], name)
        is_independent = self.is_independent or all(row.size == 1 for row in rows)
        activation, note = decide(seen, name, is_independent=is_independent)
        options = self.options.model_copy(update={"output": name, "activation": activation})
        return replace(self, task=options, options=options, notes=(*self.notes, note), is_independent=is_independent)

    def answer(self, outputs: Feeds) -> TaskAnswer:
        found = self._joined(finite_output(outputs, self.reads[0], self.task.name))
        if self.is_independent:
            return LabelScores(found, self.options.threshold, self.classes)
        return ClassScores(np.exp(found), self.classes, self.options.top)

    def comparison(self) -> RunningComparison:
        kind = LabelComparison if self.is_independent else ClassComparison
        return kind(self.task.name, self.reads[0], self._joined, self.options.threshold)

    def divergence(self, reference: Feeds, other: Feeds) -> float:
        scores = [output_of(outputs, self.reads[0], self.task.name) for outputs in (reference, other)]
        if not all(is_finite(one) for one in scores):
            return float("inf")
        p, q = (self._joined(one) for one in scores)
        return float(bernoulli_kl(p, q).sum() if self.is_independent else kl(p, q))

    def pull(self, outputs: Feeds, rng: np.random.Generator) -> Feeds | None:
        output, are_logits = np.asarray(outputs[self.reads[0]]), self.activation != "probabilities"
        found = self._joined(output)
        if self.is_independent:
            return {self.reads[0]: as_output(of_labels(found, rng, are_logits=are_logits), output)}
        return {self.reads[0]: as_output(of_classes(np.exp(found), rng, are_logits=are_logits), output)}

    def decision_scores(self, outputs: Feeds) -> F64 | None:
        found = self._joined(output_of(outputs, self.reads[0], self.task.name))
        if not self.is_independent:
            return found
        if found.size != 1:
            return None
        odds = found[0] * (1 - self.options.threshold), (1 - found[0]) * self.options.threshold
        return np.log(np.maximum(odds[::-1], LEAST))

    def labels(self, path: Path) -> LabelTable:
        count = max(self.count, 2) if self.count else 0  # a single answer is yes or no
        return read_class_labels(path, several=self.options.multi_label, count=count)

    def _joined(self, scores: Array) -> F64:
        assert self.is_settled, "settle the task with outputs of the network first"
        return self.options.joined(scores, self.activation, is_independent=self.is_independent)


def normalized(scores: F64, activation: Activation, *, is_independent: bool) -> F64:
    """Scores ``[..., C]`` as log-probabilities, or as probabilities where every one stands by itself."""
    if is_independent:
        return np.clip(scores, 0, 1) if activation == "probabilities" else sigmoid(scores)
    return log_of(scores) if activation == "probabilities" else log_softmax(scores)


def class_count(spec: TensorSpec, task: str) -> int:
    """Classes of an output ``[N, C]``, ``[N, C, 1, 1]`` or ``[C]``.

    Raises:
        RecipeError: Not one float score for each of a fixed number of classes.
    """
    behind = spec.shape[1:] if len(spec.shape) > 1 else spec.shape
    wide = [dim for dim in behind if dim != 1] or [1]
    if len(wide) == 1 and isinstance(wide[0], int) and spec.dtype.startswith(("float", "bfloat")):
        return wide[0]
    raise RecipeError(
        f"data.task: {task!r} compares one float score for each of a fixed number of classes; {spec.name!r} is "
        f'{spec.dtype} {_shape_text(spec)}, which are no scores of classes [N, classes]; write task = "detection" or '
        '"segmentation", name another output, or use data.task = "features" to compare outputs as they are.'
    )


def _name_counts(count: int) -> tuple[int, ...]:
    """A single output may have a name of its own or one for each of its two answers."""
    return (1, 2) if count == 1 else (count,)


def _shape_text(spec: TensorSpec) -> str:
    return "[" + ",".join(str(dim) for dim in spec.shape) + "]"
