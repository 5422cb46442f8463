"""A task's smooth distance of two answers as torch computes it.

What training makes small is the task's own divergence (:meth:`splitc.tasks.BoundTask.divergence`) of classes and masks;
of boxes its second-order form, by the task's random directions; of other tasks the relative squared error of the
outputs that they read. What was won is judged by the task's own divergence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from splitc.tasks import BoundTask
from splitc.train.operators import Tensor

LEAST = 1e-7
"""Least probability inside a logarithm: float32 has nothing finer beside 1."""
DIRECTIONS = 4
"""Drawn of each sample; a batch has many, so their noise is small beside that of the batch."""
Answers = Mapping[str, Tensor]


class AnswerLoss(ABC):
    """A smooth distance of the answers to a batch."""

    @abstractmethod
    def distance(self, reference: Answers, other: Answers, rng: np.random.Generator) -> Tensor:
        """One distance a sample, ``[n]``, zero where both are the same; ``rng`` draws where it is an estimate."""


@dataclass(frozen=True)
class ClassLoss(AnswerLoss):
    """KL divergence of classes, summed over places of a mask and divided by their number.

    Attributes:
        output: Which output holds the scores.
        axis: Of the classes.
        is_probability: Softmax is applied already.
    """

    output: str
    axis: int
    is_probability: bool

    def distance(self, reference: Answers, other: Answers, rng: np.random.Generator) -> Tensor:
        p, q = (self._logs(one[self.output]) for one in (reference, other))
        found = (p.exp() * (p - q)).sum(self.axis)
        return found.reshape(len(found), -1).mean(1)

    def _logs(self, scores: Tensor) -> Tensor:
        if not self.is_probability:
            return F.log_softmax(scores, self.axis)
        kept = scores.clamp(min=LEAST)
        return torch.log(kept / kept.sum(self.axis, keepdim=True))


@dataclass(frozen=True)
class LabelLoss(AnswerLoss):
    """KL divergence of answers that are each yes or no, summed.

    Attributes:
        output: Which output holds the scores.
        is_probability: The sigmoid is applied already.
    """

    output: str
    is_probability: bool

    def distance(self, reference: Answers, other: Answers, rng: np.random.Generator) -> Tensor:
        p, q = (self._shares(one[self.output]) for one in (reference, other))
        found = p * torch.log(p / q) + (1 - p) * torch.log((1 - p) / (1 - q))
        return found.reshape(len(found), -1).sum(1)

    def _shares(self, scores: Tensor) -> Tensor:
        found = scores if self.is_probability else torch.sigmoid(scores)
        return found.clamp(LEAST, 1 - LEAST)


@dataclass(frozen=True)
class TensorLoss(AnswerLoss):
    """Squared error relative to the reference's squared length, the mean over the outputs.

    Attributes:
        outputs: Which are compared.
    """

    outputs: Sequence[str]

    def distance(self, reference: Answers, other: Answers, rng: np.random.Generator) -> Tensor:
        found = [_relative(reference[name], other[name]) for name in self.outputs]
        return torch.stack(found).mean(0)


@dataclass(frozen=True, eq=False)
class DirectionLoss(AnswerLoss):
    """Half of the mean square of a change along random directions whose outer product is the divergence's Hessian.

    Attributes:
        task: Draws them, :meth:`splitc.tasks.BoundTask.pull`.
    """

    task: BoundTask

    def distance(self, reference: Answers, other: Answers, rng: np.random.Generator) -> Tensor:
        count = len(next(iter(reference.values())))
        return torch.stack([self._of_sample(index, reference, other, rng) for index in range(count)])

    def _of_sample(self, index: int, reference: Answers, other: Answers, rng: np.random.Generator) -> Tensor:
        rows = {name: one[index : index + 1] for name, one in reference.items()}
        total = torch.zeros(())
        for _ in range(DIRECTIONS):
            pull = self.task.pull({name: one.numpy() for name, one in rows.items()}, rng) or {}
            moved = [
                (torch.from_numpy(way) * (other[name][index : index + 1] - rows[name])).sum()
                for name, way in pull.items()
            ]
            total = total + torch.stack(moved).sum().square() / (2 * DIRECTIONS) if moved else total
        return total


def loss_of(task: BoundTask) -> AnswerLoss:
    """What training for a settled task makes small."""
    kind, options, output = task.task.name, task.task.model_dump(), task.reads[0]
    is_probability = options.get("activation") == "probabilities"
    if kind == "classification":
        if getattr(task, "is_independent", False):
            return LabelLoss(output, is_probability)
        return ClassLoss(output, -1, is_probability)
    if kind == "segmentation" and options.get("class_axis") is not None:
        return ClassLoss(output, int(options["class_axis"]), is_probability)
    return DirectionLoss(task) if kind == "detection" else TensorLoss(tuple(task.reads))


def _energy(x: Tensor) -> Tensor:
    return x.square().reshape(len(x), -1).sum(1).clamp(min=LEAST)


def _relative(reference: Tensor, other: Tensor) -> Tensor:
    error = (reference - other).square().reshape(len(reference), -1).sum(1)
    return error / _energy(reference)
